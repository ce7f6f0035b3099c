"""Nano models: trained within a study in under a minute, on generated Python functions."""
