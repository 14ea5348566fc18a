"""Labels of a first frame carried through a video by features, by flow or by tracks."""
