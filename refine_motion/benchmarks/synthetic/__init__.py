"""Procedural videos with exact flow."""
