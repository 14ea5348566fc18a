"""CorrFlow: learning to copy colours between frames, and with that to follow anything (arXiv 1905.00875)."""
