"""Texts that compression is calibrated and measured on: one module a source."""
