"""Stage 2: the student learns to reproduce the pseudo-labels."""
