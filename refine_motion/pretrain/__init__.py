"""Pre-training from nothing on an endless procedural stream with exact flow."""
