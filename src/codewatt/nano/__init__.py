"""Models small enough to be trained where they are needed."""
