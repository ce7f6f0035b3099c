"""Clusters: what jobs ask of Slurm, what would misplace them, and what a site offers."""
