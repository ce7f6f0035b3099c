"""Steps and power of decoding: the measured table as documented, and estimates beside runs."""

import csv
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

from codewatt.errors import CodewattError
from codewatt.sizing import decode_rates
from codewatt.sizing.decode_rates import cpu_step, gpu_step, measured_kind, power_w
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.job_costs import generate_job
from codewatt.sizing.known_configs import known_models
from codewatt.sizing.roofline import Demand
from codewatt.sizing.weight_bytes import weight_bytes
from codewatt.sizing.workload import Workload
from tests.support.estimates import pruned_architecture

REPOSITORY = Path(__file__).resolve().parents[3]
KINDS = {
    "fp32": "float32", "bf16": "bfloat16", "int8": "llm.int8", "nf4": "nf4", "int8-wo": "int8",
    "int4-wo": "int4",
}  # fmt: skip
FP32 = {"method": "none", "dtype": "float32"}
BF16 = {"method": "none", "dtype": "bfloat16"}
NF4 = {"method": "bitsandbytes", "quant_type": "nf4", "compute_dtype": "bfloat16"}
FP4 = {"method": "bitsandbytes", "quant_type": "fp4", "compute_dtype": "float16"}
INT8 = {"method": "bitsandbytes", "quant_type": "int8", "compute_dtype": "float16"}
INT4 = {"method": "torchao", "quant_type": "int4", "compute_dtype": "bfloat16", "group_size": 128}
PUBLISHED = {"starcoder2-3b": "bigcode/starcoder2-3b", "starcoder2-7b": "bigcode/starcoder2-7b",
             "phi-2": "microsoft/phi-2"}  # fmt: skip


def number(text):
    return float(re.match(r"[\d,.]+", text)[0].replace(",", ""))


def documented():
    """(engine, kind, batch) → (tokens/s, J/token) of docs/archive/h200-engines.md.

    The page repeats some cells on another card below the table; the estimates use the table.
    """
    page = (REPOSITORY / "docs/archive/h200-engines.md").read_text()
    found = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) == 6 and cells[0].isdigit() and cells[3] != "infeasible":
            key = (cells[2], KINDS[cells[1]], int(cells[0]))
            found.setdefault(key, (number(cells[3]), number(cells[4])))
        if len(cells) == 5 and cells[0] in ("transformers", "graph") and cells[1][0].isdigit():
            found[cells[0], "bfloat16", 164] = number(cells[1]), number(cells[2])
    return found


def test_the_table_is_the_one_that_is_documented():
    with (REPOSITORY / "src/codewatt/sizing/rates.csv").open() as stream:
        rows = {
            (row["engine"], row["kind"], int(row["batch"])): (
                float(row["tokens_per_s"]),
                float(row["j_per_token"]),
            )
            for row in csv.DictReader(stream)
        }
    assert rows == documented()
    assert len(rows) == 35


def demand(repo, precision):
    architecture = pruned_architecture(known_models()[repo].config, 0)
    element = 4 if precision == FP32 else 2
    return Demand.of(architecture, weight_bytes(architecture, precision).step, element)


@pytest.mark.parametrize("engine", ["transformers", "graph"])
@pytest.mark.parametrize("kind", sorted(set(KINDS.values())))
def test_the_measured_machine_gets_its_own_steps_back(engine, kind):
    """Prompts and contexts are not told exactly, hence the tolerance."""
    table = documented()
    precision = decode_rates._KINDS[kind]
    for (row_engine, row_kind, batch), (tokens_per_s, j_per_token) in table.items():
        if (row_engine, row_kind) != (engine, kind):
            continue
        prompt = {1: 64, 164: 172}.get(batch, 108)
        asked = demand("bigcode/starcoder2-3b", precision)
        gpu = get_gpu("h200")
        dtype = str(precision.get("dtype") or precision["compute_dtype"])
        step = gpu_step(engine, kind, batch, asked, prompt + 64, gpu, dtype)
        assert step.seconds == pytest.approx(batch / tokens_per_s, rel=0.12)
        assert power_w(gpu, step.utilisation) == pytest.approx(tokens_per_s * j_per_token, rel=0.12)


def run(repo, precision, gpu, tasks, batch, new_tokens, removed=0):
    """(seconds, GPU joules) of one repeat, by the difference that a repeat makes."""
    architecture = pruned_architecture(known_models()[repo].config, removed)
    stored = weight_bytes(architecture, precision).total

    def job(repeats):
        work = Workload(
            completions=tasks, sequences=batch, batches=-(-tasks // batch), prompt_tokens=172,
            longest_prompt=538, new_tokens=new_tokens, repeats=repeats, warmup_batches=1,
            most_warmup_batches=1, rest_s=0.0, most_rest_s=0.0,
            idle_s=5.0, interval_s=0.02, engine="transformers", judged=tasks,
        )  # fmt: skip
        return generate_job(architecture, precision, work, get_gpu(gpu), stored)

    one, two = job(1), job(2)
    return two.metered_s - one.metered_s, two.gpu_j - one.gpu_j


#: docs/archive/h200-engines.md: what was run → seconds and GPU joules of a repeat.
MEASURED = {
    "H100, bfloat16": ((BF16, "h100", 5, 1, 128), 11.7, 1922),
    "H100, nf4": ((NF4, "h100", 5, 1, 128), 14.8, 2208),
    "H100, LLM.int8()": ((INT8, "h100", 5, 1, 128), 33.3, 4427),
    "H200, batch 1": ((BF16, "h200", 8, 1, 128), 24.3, 3907),
    "H200, batch 32": ((BF16, "h200", 164, 32, 128), 28.2, 6427),
    "H200, 24 layers, batch 1": ((BF16, "h200", 8, 1, 128, 6), 16.7, 2798),
    "H200, 24 layers, batch 32": ((BF16, "h200", 164, 32, 128, 6), 20.1, 4827),
}


@pytest.mark.parametrize("name", MEASURED)
def test_our_own_runs_are_estimated_within_a_factor_of_1_4(name):
    asked, seconds, joules = MEASURED[name]
    estimated_s, estimated_j = run("bigcode/starcoder2-3b", *asked)
    assert 1 / 1.4 < estimated_s / seconds < 1.4
    assert 1 / 1.4 < estimated_j / joules < 1.4


def published_runs():
    """(model, limit, precision, layers pruned) → mean (s, GPU Wh) of a run, by de Reus et al."""
    runs = defaultdict(list)
    path = REPOSITORY / "src/codewatt/published/de_reus_2024/energy.csv"
    with path.open() as stream:
        for row in csv.DictReader(stream):
            key = (row["model"], int(row["token_limit"]), row["precision"], row["layers_pruned"])
            runs[key].append((float(row["runtime_s"]), float(row["gpu_wh"])))
    return {key: tuple(map(fmean, zip(*values, strict=True))) for key, values in runs.items()}


def test_published_runs_on_an_a100_are_estimated_within_what_the_docs_say():
    """164 tasks at batch 1, as if each completion ran to the limit, unquantised in float32."""
    precisions = {"none": FP32, "4bit": FP4, "8bit": INT8}
    ratios = defaultdict(list)
    for (model, limit, precision, removed), (seconds, gpu_wh) in published_runs().items():
        estimated_s, estimated_j = run(
            PUBLISHED[model], precisions[precision], "a100-40", 164, 1, limit, int(removed)
        )
        ratios[precision].append((estimated_s / seconds, estimated_j / 3600 / gpu_wh))
    assert {precision: len(found) for precision, found in ratios.items()} == {
        "none": 23, "4bit": 4, "8bit": 4,
    }  # fmt: skip
    spans = {
        precision: tuple((min(each), max(each)) for each in zip(*found, strict=True))
        for precision, found in ratios.items()
    }
    page = (REPOSITORY / "docs/explanation/estimate.md").read_text()
    for precision, ((low_s, high_s), (low_j, high_j)) in spans.items():
        name = {"none": "none", "4bit": "fp4", "8bit": "LLM.int8()"}[precision]
        assert f"| {name} | {low_s:.2f} to {high_s:.2f} | {low_j:.2f} to {high_j:.2f} |" in page


def test_steps_get_no_shorter_with_sequences_layers_bytes_or_a_slower_card():
    asked = demand("bigcode/starcoder2-7b", BF16)
    for engine in ("transformers", "graph"):
        for kind, precision in decode_rates._KINDS.items():
            other = demand("bigcode/starcoder2-7b", precision)
            batches = [
                gpu_step(engine, kind, batch, other, 300, get_gpu("l40s"), "bfloat16").seconds
                for batch in (8, 32, 64, 164, 400)
            ]
            assert batches == sorted(batches)
        cards = [
            gpu_step(engine, "bfloat16", 1, asked, 300, get_gpu(name), "bfloat16").seconds
            for name in ("h200", "h100", "a100-80", "l40s", "l4")
        ]
        assert cards == sorted(cards)
        assert cards[-1] > 0.04, "14 GB at 300 GB/s"
    small, large = (demand(f"Qwen/Qwen2.5-{size}", BF16) for size in ("0.5B", "14B"))
    on_cpu = [cpu_step("transformers", "float32", 1, each, 300).seconds for each in (small, large)]
    assert on_cpu[1] > 10 * on_cpu[0]


def test_a_card_that_is_kept_busy_draws_more():
    """7B in bfloat16 by generate(): an H200 waits for Python, an L4 hardly does."""
    asked = demand("bigcode/starcoder2-7b", BF16)
    steps = [
        gpu_step("transformers", "bfloat16", 1, asked, 300, get_gpu(name), "bfloat16")
        for name in ("h200", "l4")
    ]
    assert steps[0].utilisation < 0.3 < 0.6 < steps[1].utilisation <= 1


@pytest.mark.parametrize(
    ("precision", "kind", "why"),
    [
        (BF16, "bfloat16", None),
        ({"method": "none", "dtype": "float16"}, "bfloat16", None),
        (FP4, "nf4", None),
        (INT4, "int4", None),
        (
            {**INT4, "quant_type": "fp8"},
            "int8",
            "fp8 was not measured; estimated like torchao's int8",
        ),
        (
            {"method": "awq", "bits": 4},
            "int4",
            "awq was not measured; estimated like torchao's int4",
        ),
        (
            {"method": "gguf", "quant_type": "Q8_0"},
            "float32",
            "engine llama_cpp is estimated from bytes and FLOPs on a CPU",
        ),
        (
            {"method": "gptq", "bits": 8},
            "int8",
            "gptq was not measured; estimated like torchao's int8",
        ),
    ],
)
def test_a_precision_that_was_not_measured_says_what_stands_for_it(precision, kind, why):
    assert measured_kind(precision) == (kind, why)


def test_a_method_that_nothing_stands_for_is_said():
    with pytest.raises(CodewattError, match=r"'qat': no measured precision .* to measured_kind"):
        measured_kind({"method": "qat", "compute_dtype": "float16"})
