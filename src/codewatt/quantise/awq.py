"""AWQ (Lin et al. 2024, section 3): int4, by the library that is asked for."""

from codewatt.quantise.packed_quantiser import PackedQuantiser

QUANTISER = PackedQuantiser("awq")
