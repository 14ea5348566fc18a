"""The whole main job on worlds whose truth is known, so that it can be judged."""
