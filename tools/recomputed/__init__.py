"""Every figure of a study's tables, derived a second time from its raw files.

Nothing here is imported or copied from codewatt: the definitions are those of
docs/explanation/energy.md, docs/explanation/roofline.md, docs/explanation/completions.md,
docs/explanation/statistics.md and docs/explanation/fidelity.md.
"""
