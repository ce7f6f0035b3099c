"""Pruning: one module a method."""
