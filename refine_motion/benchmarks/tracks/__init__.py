"""Benchmarks of tracked points in their official layouts, and how a model is scored on them."""
