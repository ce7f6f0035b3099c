"""de Reus et al. 2024 (arXiv 2411.12758): raw energy figures, checked against EAR's log."""
