"""Motion models behind one contract, and the weight files they load."""
