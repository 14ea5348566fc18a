"""Pure functions behind the metrics: tensors in, tensors out, no state."""
