"""Videos: found, probed once, cut into clips, read as frames, written."""
