"""Audit of the figures of published studies; one subpackage for each study.

To add a study, add a subpackage with a module `audited_study` that sets STUDY to a
`PublishedStudy`, its data files and a README.md that names their source and columns. The
subpackage's name is the name of the study in `codewatt published check [STUDY]`.
"""
