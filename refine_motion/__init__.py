"""Refine pre-trained motion models on your own unlabelled videos (arXiv 2401.00850)."""
