"""The study file: its model, its errors, its schema."""
