"""What a study will take before it runs, and how that compares with what it took."""
