"""What every training from a stream of samples shares: its order, checkpoints, pieces and what it tells of itself."""
