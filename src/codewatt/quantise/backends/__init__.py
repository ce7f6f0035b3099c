"""Backends: libraries that make GPTQ and AWQ checkpoints, one module each."""
