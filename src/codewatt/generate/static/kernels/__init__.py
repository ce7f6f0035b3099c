"""Triton kernels of a decode step; only code that runs on a GPU imports them."""
