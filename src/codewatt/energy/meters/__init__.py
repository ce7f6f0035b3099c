"""Meters: one module for each source of readings, with a common base class."""
