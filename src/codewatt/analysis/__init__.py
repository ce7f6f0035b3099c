"""Tidy tables and their statistics."""
