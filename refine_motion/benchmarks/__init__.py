"""Ground truth in its official layouts, and evaluation against it."""
