"""Completions: one module an engine."""
