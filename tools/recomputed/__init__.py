"""Every figure of a study's tables, derived a second time from its raw files.

Nothing here is imported or copied from codewatt: the definitions are those of docs/measuring.md,
docs/statistics.md and docs/compression.md.
"""
