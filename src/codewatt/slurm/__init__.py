"""Slurm's commands, strings, nodes and jobs; no study and no site file is known here."""
