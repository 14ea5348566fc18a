"""Points through videos: where they come from, following them, and what is written."""
