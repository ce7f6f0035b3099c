"""A whole record of each kind, as its stage writes it; tests replace the fields they are about."""

from copy import deepcopy
from typing import Any

from codewatt.benchmarks.prompt_format import HUMANEVAL_PLUS_FORMAT

Record = dict[str, Any]
PROVENANCE: Record = {
    "python": "3.11.7", "versions": {"torch": "2.13.0", "autoawq": None}, "host": "node1",
    "kernel": "6.1", "cpu": None, "cpu_count": 8, "memory_bytes": 2**35, "gpu": None,
    "commit": None, "environment": {},
}  # fmt: skip
CODE = ["stage.py aaaa", "codewatt.files bbbb"]
PLACEMENT: Record = {"hardware": None, "slurm": None, "gpus": []}
DIGEST = "0" * 64
SAMPLER: Record = {
    "started_s": 1.0, "ready_s": 2.0, "stopped_s": 9.0, "startup_s": 1.0, "startup_cpu_s": 0.5,
    "sampling_cpu_s": 0.1, "cpu_share": 0.01, "max_rss_bytes": 2**27,
    "meters": {
        "host": {
            "reads": 3, "interval_s": 0.5, "rate_hz": 2.0, "max_gap_s": 0.5, "failures": {},
        }
    },
}  # fmt: skip
METER: Record = {
    "name": "nvml", "version": None, "interval_s": None,
    "components": {"gpu": {"status": "unavailable", "method": "nvml", "detail": "no NVML"}},
    "devices": [], "facts": {},
}  # fmt: skip
MADE: Record = {"provenance": PROVENANCE, "code": CODE}
CORPUS: Record = {
    "id": "held", "source": "nano", "samples": 8, "tokens": 64, "seed": 0, "documents": 8,
    "sha256": DIGEST,
}  # fmt: skip
LIMITS: Record = {
    "min_time_s": 1.0, "time_factor": 4.0, "suite_time_s": 60.0, "grace_s": 2.0,
    "wall_factor": 10.0, "memory_bytes": 2**32, "total_memory_bytes": None, "processes": 64,
    "files": 128, "tmpfs_bytes": 2**26, "start_s": 60.0, "next_s": 5.0,
}  # fmt: skip
WEIGHTS: Record = {
    "directory": "weights",
    "files": {"model.safetensors": {"bytes": 10, "sha256": DIGEST}},
}


def window(phase: str, start_s: float, end_s: float) -> Record:
    """A window that belongs to no repeat."""
    return {"phase": phase, "repeat": None, "batch": None, "start_s": start_s, "end_s": end_s}


def metered(*windows: Record) -> Record:
    """The fields of a metered job."""
    return {
        "windows": list(windows), "epoch_offset_s": 1.7e9, "meters": [deepcopy(METER)],
        "sampler": deepcopy(SAMPLER),
    }  # fmt: skip


def job_energy(phase: str) -> Record:
    """The metered fields of a variant or of layer scores."""
    return {
        **metered(window(phase, 3.0, 3.5)),
        "duration_s": 0.5, "timeline": "timeline.parquet", "device": "cpu",
    }  # fmt: skip


def model_record(**changes: Any) -> Record:
    """models/<model>/manifest.json."""
    record = {
        "schema": 1, "source": {"source": "nano", "seed": 0}, "weights": WEIGHTS,
        "meaningful_accuracy": True, "model_type": "starcoder2", "layers": 4, "parameters": 100,
        "size_bytes": 400, "dtypes": ["F32"], **MADE,
    }  # fmt: skip
    return deepcopy(record) | changes


def benchmark_record(**changes: Any) -> Record:
    """benchmarks/<benchmark>/manifest.json."""
    record = {
        "schema": 2, "kind": "nano", "settings": {"kind": "nano", "tasks": 12}, "tasks": 12,
        "sha256": DIGEST, "prompt_format": HUMANEVAL_PLUS_FORMAT.to_record(),
    }  # fmt: skip
    return deepcopy(record) | changes


def layer_scores_record(**changes: Any) -> Record:
    """models/<model>/layers.<method>.<corpus>.json, of block influence."""
    record = {
        "schema": 2, "model": "nano", "method": "block_influence", "layers": 3,
        "removed": {"1": [2], "2": [2, 1]}, "block_influence": [0.9, 0.2, 0.1], "corpus": CORPUS,
        "sequences": 8, "tokens": 264, "judged_tokens": 97, "dtype": "float32",
        "placement": PLACEMENT, **job_energy("score_layers"), **MADE,
    }  # fmt: skip
    return deepcopy(record) | changes


def variant_record(**changes: Any) -> Record:
    """variants/<variant>/manifest.json, of a variant that was made."""
    record = {
        "schema": 2, "variant": {"model": "nano", "prune": "none", "precision": "fp32"},
        "method": "none",
        "settings": {"prune": {"method": "none"}, "precision": {"method": "none"}},
        "base": {"source": {"source": "nano"}, "layers": 4, "parameters": 100, "dtypes": ["F32"]},
        "weights": WEIGHTS, "size_bytes": 400, "dtype": "float32", "layers": 4, "parameters": 100,
        "model_type": "starcoder2", "quantised": None, "meaningful_accuracy": True,
        "placement": PLACEMENT, "packing": None, "corpora": [], "kept_layers": None,
        "scores": None, **job_energy("quantise"), **MADE,
    }  # fmt: skip
    return deepcopy(record) | changes


def fidelity_record(**changes: Any) -> Record:
    """variants/<variant>/fidelity.json, of a variant that was compared."""
    model = {
        "class": "Starcoder2ForCausalLM", "layers": 4, "dtype": "float32",
        "logits_dtype": "float32", "nats_per_token": 1.0, "perplexity": 2.7,
        "sequence_nats": [10.0, 12.0], "sequence_positions": [10, 12],
    }  # fmt: skip
    record = {
        "schema": 2, "variant": {"model": "nano", "prune": "none", "precision": "int8"},
        "corpus": CORPUS, "baseline": "nano--none--fp32", "device": "cpu", "threads": 2,
        "placement": PLACEMENT, "status": "ok", "sequences": 2, "positions": 22, "model": model,
        "baseline_model": model,
        "comparison": {
            "logits_cosine_mean": 0.99, "logits_cosine_min": 0.9,
            "logits_cosine_quantiles": {"0.5": 0.99}, "kl_nats_per_token": 0.01,
            "top1_agreement_share": 0.95, "identical": False,
        },
        "reason": None, **MADE,
    }  # fmt: skip
    return deepcopy(record) | changes


def generate_record(**changes: Any) -> Record:
    """cells/<cell>/generate.json, of a cell that ran."""
    cell = {
        "id": "nano--none--fp32--held--stripped--t64--b1--transformers",
        "design_id": "nano--none--fp32--held--stripped--t64--b1--transformers", "session": 1,
        "variant": "nano--none--fp32", "model": "nano", "prune": "none", "precision": "fp32",
        "benchmark": "held", "prompt": "stripped", "token_limit": 64, "batch_size": 1,
        "engine": "transformers", "hardware": None,
    }  # fmt: skip
    record = {
        "schema": 5, "cell": cell, "status": "ok", "repeats": 3,
        "prompt": {
            "asked": "direct completion", "has_chat_template": False, "stop_strings": ["\ndef "],
            "first_task_id": "Nano/0", "first_prompt": "def f(x):",
        },
        "decoding": {
            "strategy": "greedy", "samples": 1, "repeats": 3, "seed": 0,
            "warmup": {"batches": 1, "max_cv": None, "window_batches": 5, "max_batches": 50},
            "temperature": None, "top_p": None,
        },
        "threads": 2, "placement": PLACEMENT,
        "model": {
            "class": "Starcoder2ForCausalLM", "model_type": "starcoder2", "dtype": "float32",
            "device": "cpu", "layers": 4, "memory_bytes": 400, "kernels": {"Linear": 24},
            "parameters": 100, "meaningful_accuracy": True,
        },
        "engine": {"name": "transformers"},
        "generation": {
            "stop_token_ids": [0], "stop_tokens": ["<end>"], "stop_tokens_from": "config.json",
            "ignored_settings": {},
        },
        "logits": {"sequences": 12, "invalid_sequences": 0, "first_invalid_token": None},
        "roofline": {
            "machine": {
                "bandwidth_bytes_per_s": 2e10, "matmul_flops_per_s": 3e11,
                "matrix_dtype": "float32", "copied_bytes": 2**29, "matrix_edge": 1024,
            },
            "demand": None, "reason": "size not known",
        },
        "peak_memory": {"device_bytes": None, "host_bytes": 2**28},
        "start": {
            "conditions": None, "rest_s": 0.0, "condition_met": None, "reason": None,
            "sensor": "rapl", "temperature_c": None, "power_w": 12.5,
            "initial_temperature_c": None, "initial_power_w": 12.5,
        },
        "warmup": {"batches": 1, "repeated_batch_s": [], "cv": None, "steady": None},
        "files": {}, **metered(), **MADE,
    }  # fmt: skip
    return deepcopy(record) | changes


def infeasible_generate_record(**changes: Any) -> Record:
    """cells/<cell>/generate.json, of a cell that could not run."""
    record = generate_record(status="infeasible", reason="does not fit")
    for key in (
        "model", "engine", "generation", "logits", "roofline", "peak_memory", "start", "warmup",
    ):  # fmt: skip
        del record[key]
    return record | changes


def evaluate_record(**changes: Any) -> Record:
    """cells/<cell>/evaluate.json, of a cell that ran."""
    shares = {"base": {"1": 1.0, "10": None}, "plus": {"1": 0.0, "10": None}}
    record = {
        "schema": 5, "status": "ok", "benchmark": "held", "dataset_sha256": DIGEST,
        "pass_at_k": shares, "by_repeat": [{"repeat": 0, **shares}],
        "verdicts": [
            {
                "task_id": "t0", "repeat": 0, "sample": 0, "base": "pass", "plus": "fail",
                "why": "plus: test 1: wrong output", "program": 0, "start_s": 201.0,
                "end_s": 202.5, "cpu_s": 0.2,
            }
        ],
        "tasks": 1, "domains": {}, "excluded": [], "environment": None, "judged": 1,
        "sanitized": False,
        "sandbox": {
            "tool": "bubblewrap 0.9", "privileges": "user namespace",
            "start": "one sandbox for each program", "jobs": 2,
            "total_memory_bytes": 2**32, "limits": LIMITS,
        },
        **metered(window("evaluate", 200.0, 203.5)), **MADE,
    }  # fmt: skip
    return deepcopy(record) | changes


def depth_record(**changes: Any) -> Record:
    """cells/<cell>/depth.json."""
    return {"schema": 1, "cell": "c", "tasks": 2, "correct": 1, "zero": False} | changes


def joules(**known: float | None) -> Record:
    """Joules by part; None for those that are not given."""
    return {part: known.get(part) for part in ("gpu", "cpu", "dram", "node", "job")}


def run(repeat: int, duration_s: float, **known: float | None) -> Record:
    """One repeat of energy.json without phases; `known` as of `joules`."""
    absent = dict.fromkeys(
        f"{prefix}{kind}_j"
        for prefix in ("", "net_", "prefill_", "decode_")
        for kind in ("energy", "uncertainty")
    )
    return {
        "repeat": repeat, "duration_s": duration_s, **{key: joules() for key in absent},
        "energy_j": joules(**known), "prefill_s": None, "decode_s": None, "alternatives": {},
        "net_note": None,
    }  # fmt: skip


def component(status: str) -> Record:
    """Where a part's energy comes from."""
    return {"status": status, "method": "RAPL packages", "detail": None}


def energy_record(**changes: Any) -> Record:
    """cells/<cell>/energy.json, of a cell that ran, without runs and checks."""
    record = {
        "schema": 4, "cell": generate_record()["cell"], "boundary": "node", "components": {},
        "allocation": {"share": 0.5}, "baseline": {"idle_w": {"cpu": 3.0}}, "windows": [],
        "runs": [], "evaluate": None, "load": None, "warmup": None,
        "sampler": {"cpu_share": 0.01, "max_rss_bytes": None},
        "carbon": {"country": "NLD", "g_per_kwh": 360.0, "source": "a table"},
        "checks": [], "valid": True, "code": CODE,
    }  # fmt: skip
    return deepcopy(record) | changes


def infeasible_energy_record(**changes: Any) -> Record:
    """cells/<cell>/energy.json, of a cell that could not run."""
    record = {
        "schema": 4, "cell": generate_record()["cell"], "status": "infeasible",
        "reason": "does not fit", "code": CODE,
    }  # fmt: skip
    return deepcopy(record) | changes


def making_energy_record(**changes: Any) -> Record:
    """variants/<variant>/making_energy.json, of a variant that was not pruned by scores."""
    record = {
        "schema": 2, "variant": {"model": "nano", "prune": "none", "precision": "int8"},
        "quantise": {
            "duration_s": 0.5, "energy_j": {"cpu": 7.0, "gpu": None},
            "energy_status": {"cpu": "modelled", "gpu": None}, "energy_note": None,
        },
        "score_layers": None, "code": CODE,
    }  # fmt: skip
    return deepcopy(record) | changes
