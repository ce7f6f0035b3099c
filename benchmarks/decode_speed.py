"""Engines against each other: tokens/s and joules of decoding, by precision and batch size.

Builds the architecture of a study's first model with random weights on the device, so nothing is
downloaded; makes each precision by the project's own quantisers and loads it by its loader. All
models then stay loaded, and in every round each engine completes the same prompts with each of
them at each batch size, one after the other, again and again for a second and a half. Rounds give
the mean and the 95 % interval of the geometric mean. Energy is the GPU's counter over the decoding
windows (J/token) and over whole batches (J/task). Prints a table and writes a JSON record.

    python benchmarks/decode_speed.py --study config/studies/starcoder2-3b-metering.yaml \
        --precisions bf16 int4-wo --batch-sizes 1 32 --out decode_speed.json
"""

import argparse
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
# The sampler is a process of its own.
os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])

import yaml

from codewatt.analysis.log_scale_statistics import Summary, summarise
from codewatt.corpora.prepare_corpus import prepare_corpus
from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.energy.job_meter import JobMeter
from codewatt.energy.sampler import Sampler
from codewatt.files import write_json
from codewatt.generate.engine import DecodingParams, Engine, InfeasibleError, open_engine
from codewatt.models.generation_config import GenerationDefaults
from codewatt.models.loading import Loaded, load_model, resolve_device, used_gpu_uuids
from codewatt.models.tokenizers import make_tokenizer
from codewatt.provenance import provenance
from codewatt.quantise.quantiser import open_quantiser
from codewatt.sizing.measured_machine import measure_machine

_GPTQ = {
    "method": "gptq", "group_size": 128, "act_order": False, "compute_dtype": "bfloat16",
    "calibration": "code", "backend": "gptqmodel",
}  # fmt: skip
_CALIBRATION = {"source": "stdlib", "part": "calibration", "samples": 32, "tokens": 512, "seed": 0}
PRECISIONS: dict[str, dict[str, Any]] = {
    "fp32": {"method": "none", "dtype": "float32"},
    "bf16": {"method": "none", "dtype": "bfloat16"},
    "int8": {
        "method": "bitsandbytes", "quant_type": "int8", "compute_dtype": "float16",
        "double_quantisation": False, "outlier_threshold": 6.0,
    },
    "nf4": {
        "method": "bitsandbytes", "quant_type": "nf4", "compute_dtype": "bfloat16",
        "double_quantisation": False,
    },
    "int8-wo": {"method": "torchao", "quant_type": "int8", "compute_dtype": "bfloat16"},
    "int4-wo": {
        "method": "torchao", "quant_type": "int4", "compute_dtype": "bfloat16", "group_size": 128,
    },
    "fp8-wo": {"method": "torchao", "quant_type": "fp8", "compute_dtype": "bfloat16"},
    "fp8-dynamic": {"method": "torchao", "quant_type": "fp8_dynamic", "compute_dtype": "bfloat16"},
    "gptq-int8": {**_GPTQ, "bits": 8},
    "gptq-int4": {**_GPTQ, "bits": 4},
    "awq-int4": {
        "method": "awq", "bits": 4, "group_size": 128, "compute_dtype": "bfloat16",
        "calibration": "code", "backend": "gptqmodel",
    },
}  # fmt: skip
_SOURCE = "def area(width, height):\n    '''Area of a rectangle, as a number.'''\n"
_RUN_S = 1.5


def main() -> None:
    """Measure, print a table, write the record."""
    options = _options()
    import torch

    device = resolve_device("auto")
    synchronise = torch.cuda.synchronize if device == "cuda" else _nothing
    decoding = DecodingParams(token_limit=options.token_limit, stop_strings=())
    base = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        models = _models(options.study, options.precisions, options.engines, device, base)
    finally:
        shutil.rmtree(base)
    machine = vars(measure_machine(device, "bfloat16"))
    print(f"{_name(device)}: {machine}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        timeline = Path(scratch) / "timeline.parquet"
        with Sampler(timeline, gpu_ids=used_gpu_uuids(device)) as sampler:
            runs, described = _rounds(models, decoding, synchronise, options)
        meter = JobMeter.read(timeline, device)
        for part in ("batch", "decode"):
            for run in runs:
                joules = [meter.energy(*window)["gpu"] for window in run.pop(f"{part}_windows")]
                run[f"{part}_gpu_j"] = None if None in joules else sum(joules)
    cells = dict.fromkeys((run["precision"], run["engine"], run["batch_size"]) for run in runs)
    rows = [_row(cell, runs) for cell in cells]
    record = {
        "parameters": {name: loaded.model.num_parameters() for (name, _), loaded in models.items()},
        "machine": machine,
        "engines": described,
        "rows": rows,
        "runs": runs,
        "sampler": sampler.summary,
        "provenance": provenance(),
    }
    write_json(options.out, record)
    for row in rows:
        print(_words(row))


def _models(
    study: Path, precisions: list[str], engines: list[str], device: str, folder: Path
) -> dict[tuple[str, str], Loaded]:
    """Each precision of the study's first model, loaded for each engine; once, if they agree."""
    source = folder / "source"
    made = random_model(study, "bfloat16", device)
    made.model.save_pretrained(source)
    made.tokenizer.save_pretrained(source)
    del made
    prepare_corpus(_CALIBRATION, folder / "documents.jsonl")
    calibration = PreparedCorpus.read(folder / "documents.jsonl", _CALIBRATION)
    models = {}
    for name in precisions:
        settings, start_s = PRECISIONS[name], time.monotonic()
        quantiser = open_quantiser(settings["method"])
        target = folder / name
        target.mkdir()
        written = quantiser.quantise(source, target, settings, device, calibration)
        print(f"{name}: made in {time.monotonic() - start_s:.1f} s", flush=True)
        packed = settings["method"] in ("gptq", "awq")
        loaded: dict[bool, Loaded] = {}
        for engine in engines:
            own_kernels = packed and engine == "graph"
            if own_kernels not in loaded:
                start_s = time.monotonic()
                loaded[own_kernels] = load_model(
                    source if written is None else target,
                    dtype=quantiser.load_dtype(settings),
                    device=device,
                    keep_packed_layout=own_kernels,
                )
                print(f"{name}: loaded in {time.monotonic() - start_s:.1f} s", flush=True)
            models[name, engine] = loaded[own_kernels]
        shutil.rmtree(target)
    return models


def _rounds(
    models: dict[tuple[str, str], Loaded], decoding: DecodingParams, synchronise: Any, options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every model, engine and batch size, round by round; warmed up before."""
    engines: dict[tuple[str, str, int], Engine] = {}
    described, texts, runs = [], {}, []
    prepared: dict[tuple[str, str], Engine] = {}
    prompts = {size: _prompts(options.tasks, size) for size in options.batch_sizes}
    started_s = time.monotonic()
    for (precision, name), loaded in models.items():
        for size in options.batch_sizes:
            cell = {"precision": precision, "engine": name, "batch_size": size}
            engine = open_engine(name, loaded, synchronise)
            if name == "graph" and (precision, name) in prepared:
                engine.share_weights(prepared[precision, name])
            prepared[precision, name] = engine
            try:
                engine.prepare([prompts[size]], decoding)
            except InfeasibleError as error:
                described.append({**cell, "infeasible": str(error)})
                print(f"{precision}, {name}, batch {size}: infeasible: {error}", flush=True)
                continue
            # A captured step is for one token limit; generate() needs a few tokens only.
            few = replace(decoding, token_limit=min(8, decoding.token_limit))
            engine.complete(prompts[size], decoding if name == "graph" else few)
            engines[precision, name, size] = engine
            described.append({**cell, **engine.describe_model(), **engine.describe()})
    print(f"warmed up in {time.monotonic() - started_s:.1f} s", flush=True)
    for number in range(options.rounds):
        for (precision, name, size), engine in engines.items():
            run, tokens = _run(engine, prompts[size], decoding)
            texts.setdefault((precision, size, name), tokens)
            cell = {"precision": precision, "engine": name, "batch_size": size, "round": number}
            runs.append({**cell, **run})
        print(f"round {number} at {time.monotonic() - started_s:.0f} s", flush=True)
        if time.monotonic() - started_s > options.budget_s:
            break
    _print_agreement(texts)
    return runs, described


def _run(
    engine: Engine, prompts: list[str], decoding: DecodingParams
) -> tuple[dict[str, Any], list[list[int]]]:
    """The same batch for a second and a half; and the tokens of the first."""
    batches, start_s = [], time.monotonic()
    while not batches or time.monotonic() - start_s < _RUN_S:
        batches.append(engine.complete(prompts, decoding))
    tokens = sum(done.new_tokens for batch in batches for done in batch.completions)
    tasks = len(batches) * len(prompts)
    run = {
        "tasks": tasks,
        "decoded_tokens": tokens - tasks,  # the prefill makes each one's first
        "decode_s": sum(batch.end_s - batch.first_token_s for batch in batches),
        "ttft_s": sum(batch.first_token_s - batch.start_s for batch in batches) / len(batches),
        "batch_windows": [(batch.start_s, batch.end_s) for batch in batches],
        "decode_windows": [(batch.first_token_s, batch.end_s) for batch in batches],
    }
    return run, [done.tokens for done in batches[0].completions]


def _print_agreement(texts: dict[tuple[str, int, str], list[Any]]) -> None:
    """The share of sequences whose tokens are those of the first engine."""
    for (precision, size, name), tokens in texts.items():
        first = next(v for (p, s, _), v in texts.items() if (p, s) == (precision, size))
        if tokens is not first:
            same = sum(a == b for a, b in zip(first, tokens, strict=True))
            print(f"{precision}, batch {size}, {name}: {same} of {len(first)} sequences equal")


def _row(cell: tuple[str, str, int], runs: list[dict[str, Any]]) -> dict[str, Any]:
    own = [r for r in runs if (r["precision"], r["engine"], r["batch_size"]) == cell]

    def per(joules: str, count: str) -> list[float | None]:
        return [None if run[joules] is None else run[joules] / run[count] for run in own]

    values = {
        "tokens_per_s": [run["decoded_tokens"] / run["decode_s"] for run in own],
        "j_per_token": per("decode_gpu_j", "decoded_tokens"),
        "j_per_task": per("batch_gpu_j", "tasks"),
        "ttft_s": [run["ttft_s"] for run in own],
    }
    names = dict(zip(("precision", "engine", "batch_size"), cell, strict=True))
    return {**names, **{key: vars(summarise(found)) for key, found in values.items()}}


def _words(row: dict[str, Any]) -> str:
    def interval(key: str) -> str:
        summary = Summary(**row[key])
        if summary.mean is None:
            return "absent"
        ends = " [{:.4g}, {:.4g}]".format(*summary.ci95) if summary.ci95 else ""
        return f"{summary.mean:.4g}{ends}"

    keys = ("tokens_per_s", "j_per_token", "j_per_task", "ttft_s")
    figures = " | ".join(interval(key) for key in keys)
    return f"| {row['precision']} | {row['engine']} | {row['batch_size']} | {figures} |"


def random_model(study: Path, dtype: str, device: str) -> Loaded:
    """The study's first model with random weights, made on the device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = yaml.safe_load(study.read_text(encoding="utf-8"))["models"][0]
    values = dict(settings["config"])
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            config, dtype=getattr(torch, dtype), trust_remote_code=False
        ).eval()
    with tempfile.TemporaryDirectory() as folder:
        small = {"source": "stdlib", "vocab_size": 2048}
        tokenizer = make_tokenizer(small, config.vocab_size, Path(folder))
    generation = GenerationDefaults((tokenizer.eos_token_id,), "tokenizer")
    return Loaded(model, tokenizer, device, dtype, generation)


def prompts_of(size: int) -> list[str]:
    """Prompts of unequal length, about 50 to 150 tokens."""
    return [_SOURCE * (2 + number % 4) + f"def f{number}(x):" for number in range(size)]


def _prompts(tasks: Path | None, size: int) -> list[str]:
    """The first prompts of a benchmark's file, stripped, or made-up ones."""
    if tasks is None:
        return prompts_of(size)
    with gzip.open(tasks, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["prompt"].strip() for line in lines][:size]


def _name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def _nothing() -> None:
    """The CPU has nothing to wait for."""


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", default=["transformers", "graph"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--tasks", type=Path, help="a benchmark's .jsonl.gz, for its prompts")
    parser.add_argument("--budget-s", type=float, default=3600.0, help="no round begins after it")
    parser.add_argument("--token-limit", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
