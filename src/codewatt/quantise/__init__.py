"""Precisions: one module a method."""
