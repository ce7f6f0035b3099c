"""Units and their conversions. Values are kept in SI units (J, s, bytes) until they are shown."""

#: Energy.
J_PER_WH = 3600.0
WH_PER_KWH = 1e3
J_PER_KWH = 3.6e6
J_PER_KJ = 1e3
J_PER_MJ = 1e6

#: Mass (of CO2 equivalent).
G_PER_KG = 1e3

#: Time.
S_PER_MIN = 60
S_PER_H = 3600
MS_PER_S = 1e3
NS_PER_S = 1e9

#: Memory: decimal units, as data sheets, Slurm and Snakemake have them.
BYTES_PER_MB = 1e6
BYTES_PER_GB = 1e9

#: Memory: binary units, as the kernel and allocators have them.
BYTES_PER_KIB = 1 << 10
BYTES_PER_MIB = 1 << 20
BYTES_PER_GIB = 1 << 30

#: Computing.
FLOPS_PER_TFLOP = 1e12
