"""Quantisation methods, one module each; GPTQ and AWQ share one."""
