"""Kernels of a decoding step, in Triton; only what runs on a GPU imports them."""
