"""Libraries that make GPTQ and AWQ checkpoints."""
