"""Metering, joules and their validity."""
