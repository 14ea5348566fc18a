"""Pictures of motion."""
