"""Collections of videos of actions in their official layouts."""
