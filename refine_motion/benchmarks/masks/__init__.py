"""Benchmarks of masks of objects in their official layouts, and how predicted masks are scored on them."""
