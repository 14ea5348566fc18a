"""Benchmarks of joints in their official layouts, and how predicted places are scored on them."""
