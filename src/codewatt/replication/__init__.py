"""Replication packages: a finished study as one archive, and its tables made again from it."""
