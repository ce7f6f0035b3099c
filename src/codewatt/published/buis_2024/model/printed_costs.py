"""Memory, compute, times and energy by equations 3.23 to 3.34 of Buis 2024, exactly as printed.

Right values are computed by `codewatt.sizing`; `cost_formulas.py` says what differs. Names of
arguments are those of table 3.2: n_params, heads (h), model_size (m), element_bytes (p), batch (b)
and tokens (s).
"""


def kv_bytes_per_token(n_params: float, heads: int, model_size: int, element_bytes: float) -> float:
    """Equation 3.23 (bytes): 2 * n_params * (h_heads * d_model) * p."""
    return 2 * n_params * (heads * model_size) * element_bytes


def kv_bytes(
    batch: int, tokens: int, n_params: float, heads: int, model_size: int, element_bytes: float
) -> float:
    """Equation 3.24 (bytes): 2 * b * s * n_params * h_heads * d_model * p."""
    return 2 * batch * tokens * n_params * heads * model_size * element_bytes


def kv_bytes_grouped(
    batch: int,
    tokens: int,
    n_params: float,
    heads: int,
    groups: int,
    model_size: int,
    element_bytes: float,
) -> float:
    """Equation 3.25 (bytes): 2 * b * s * n_params * (h_heads / g) * d_model * p.

    Args:
        groups: g; by the text "how much groups of heads there are".
    """
    return 2 * batch * tokens * n_params * (heads / groups) * model_size * element_bytes


def vram_bytes(
    n_params: float, weight_bytes: float, kv_cache: float, cache_element_bytes: float
) -> float:
    """Equation 3.26 (bytes): n_parameters * p_parameters + KV-cache * p_KV-cache."""
    return n_params * weight_bytes + kv_cache * cache_element_bytes


def prefill_compute(n_params: float, batch: int, tokens: int) -> float:
    """Equation 3.27 (FLOPs): 2 * n_params * b * s."""
    return 2 * n_params * batch * tokens


def prefill_memory(n_params: float) -> float:
    """Equation 3.28 (bytes): 2 * n_params."""
    return 2 * n_params


def decode_compute(n_params: float, batch: int) -> float:
    """Equation 3.29 (FLOPs of one decode step): 2 * n_params * b * 1."""
    return 2 * n_params * batch * 1


def decode_memory(n_params: float) -> float:
    """Equation 3.30 (bytes of one decode step): 2 * n_params."""
    return 2 * n_params


def time_to_first_token_s(
    compute: float, flops_rate: float, memory_bytes: float, memory_rate: float
) -> float:
    """Equation 3.31 (s): prefill compute / FLOPs rate + prefill memory / HBM rate."""
    return compute / flops_rate + memory_bytes / memory_rate


def time_per_output_token_s(
    compute: float, flops_rate: float, memory_bytes: float, memory_rate: float
) -> float:
    """Equation 3.32 (s): decode compute / FLOPs rate + decode memory / HBM rate."""
    return compute / flops_rate + memory_bytes / memory_rate


def total_generation_time_s(ttft_s: float, tpot_s: float, tokens: float) -> float:
    """Equation 3.33 (s): TTFT + TPOT * n_tokens."""
    return ttft_s + tpot_s * tokens


def energy_j(power_w: float, seconds: float) -> float:
    """Equation 3.34 (J): P * t."""
    return power_w * seconds
