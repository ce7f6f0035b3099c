"""Meters: one module a source of readings, behind one base class."""
