"""Stage 1: the frozen teacher's verified pseudo-labels, their evidence, filters and store."""
