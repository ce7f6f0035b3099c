"""Judging completions inside a sandbox."""
