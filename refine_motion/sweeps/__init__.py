"""Sweep files of Weights & Biases, run here without an account."""
