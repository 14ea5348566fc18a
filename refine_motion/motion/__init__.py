"""Tensor maths of motion with no network in it: sampling, correlation, cycle consistency."""
