"""Figures: one module for each, and modules for what several figures share."""
