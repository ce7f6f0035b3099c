"""GPTQ (Frantar et al. 2023, algorithm 1): int8 and int4, by the library that is asked for."""

from codewatt.quantise.packed_quantiser import PackedQuantiser

QUANTISER = PackedQuantiser("gptq")
