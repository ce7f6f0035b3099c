"""Decoding whose every step has the same shapes and addresses, so that it can be captured once."""
