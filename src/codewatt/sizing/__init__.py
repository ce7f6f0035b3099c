"""How big a model is, and the least that running it must move and compute."""
