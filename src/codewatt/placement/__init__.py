"""What the jobs of a study request of Slurm, and whether a site file fits the cluster."""
