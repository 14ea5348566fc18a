"""Looks: what stands between the exact scene and the picture that a camera gives."""
