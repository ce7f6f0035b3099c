"""Rows of the variant table, and what making a variant took."""

import json
import math

import numpy as np
from scipy import stats

from recomputed import energy, soundness
from recomputed.cells import ends
from recomputed.energy import FIGURES, PARTS
from recomputed.raw import read_json
from recomputed.runs import IDS, over

COMPARED = ("logits_cosine_mean", "logits_cosine_min", "kl_nats_per_token", "top1_agreement_share")
#: Bits of the numbers that safetensors files hold whole.
WHOLE = {"F64", "F32", "F16", "BF16"}


class Cost:
    """Seconds and joules of one job with one window; `path` names its manifest."""

    def __init__(self, study, manifest):
        self.seconds = manifest.get("duration_s")
        self.joules, self.status, self.note = {}, {}, None
        windows = manifest.get("windows")
        self.made = bool(windows)
        if not windows:
            return
        (window,) = windows
        self.seconds = window["end_s"] - window["start_s"]
        path = study.file(manifest["timeline"])
        if not path.is_file():
            self.note = f"{manifest['timeline']} is gone"
            return
        meter = energy.Meter(path, manifest.get("device"))
        self.joules = meter.energy(window["start_s"], window["end_s"])
        self.status = meter.status()
        self.note = soundness.making_note(meter, window, manifest, study.limits)


class Making:
    """All that pruning and quantising a variant took, and scoring its layers."""

    def __init__(self, study, manifest):
        self.variant, self.scores = Cost(study, manifest), None
        if manifest.get("scores"):
            self.scores = Cost(study, read_json(study.file(manifest["scores"]["path"])))
        self.made = self.variant.made

    def joules_inside(self, row, inside):
        """(joules, None) inside the boundary of a cell, or (None, why there are none)."""
        boundary, spent = row["energy_boundary"], []
        for what, cost in (("quantising", self.variant), ("scoring layers", self.scores)):
            if cost is None:
                continue
            if cost.note is not None:
                return None, f"{what}: {cost.note}"
            if cost.joules.get(boundary) is None:
                return None, f"{what}: no energy within boundary {boundary}"
            for part in inside:
                ways = [cost.status[part], row[f"{part}_energy_status"]]
                if sorted(ways) == ["measured", "modelled"]:
                    told = f"{part} is {ways[0]} in {what} and {ways[1]} in the cell"
                    return None, f"energies of different origin: {told}"
            spent.append(cost.joules[boundary])
        return math.fsum(spent), None


def variant_row(study, ids, manifest, making):
    """All columns of a variant but its baseline."""
    infeasible = manifest.get("status") == "infeasible"
    model = read_json(study.results / "models" / ids["model"] / "manifest.json")
    precision = study.precisions[ids["precision"]]
    row = {
        "variant_id": "--".join(ids.values()),
        **ids,
        "status": "infeasible" if infeasible else "ok",
        "status_reason": manifest.get("reason") if infeasible else None,
        "method": None if infeasible else precision["method"],
        "dtype": manifest.get("dtype"),
        "layers": None if infeasible else model["layers"] - study.layers_removed(ids["prune"]),
        "parameters": manifest.get("parameters"),
        "weights_origin": None if infeasible else _origin(model),
        "size_bytes": manifest.get("size_bytes"),
        "meaningful_accuracy": None if infeasible else model["meaningful_accuracy"],
        **_fidelity(study, ids, manifest),
        **_cost("quantise", study, making.variant),
        **_cost("score_layers", study, making.scores),
    }
    if not infeasible:
        row |= _sizes(study, manifest)
    return row


def _origin(model):
    """What a GGUF file was packed as, if the model came from one."""
    unpacked = model.get("unpacked_from")
    return unpacked and f"unpacked from GGUF {unpacked['packed_as']}"


def _cost(phase, study, cost):
    joules = energy.figures(cost and cost.joules, study.boundary)
    status = cost.status if cost else {}
    return {
        f"{phase}_s": cost and cost.seconds,
        **{f"{phase}_{part}_j": joules[part] for part in FIGURES},
        **{f"{phase}_{part}_energy_status": status.get(part) for part in PARTS},
        f"{phase}_energy_note": cost and cost.note,
    }


def _sizes(study, manifest):
    """Bytes of all tensors in the weights' files, if they are here, and numbers if none is packed.

    A safetensors file begins with the length of a JSON header, which has each tensor's shape.
    """
    folder = study.file(manifest["weights"]["directory"])
    files = [folder / name for name in manifest["weights"]["files"] if name.endswith("safetensors")]
    if not files or not all(file.is_file() for file in files):
        return {}
    total, numbers, whole = 0, 0, True
    for path in files:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        total += path.stat().st_size - 8 - length
        numbers += sum(math.prod(tensor["shape"]) for tensor in header.values())
        whole = whole and {tensor["dtype"] for tensor in header.values()} <= WHOLE
    packed = manifest.get("quantised") is not None or not whole
    return {"size_bytes": total} | ({} if packed else {"parameters": numbers})


def _fidelity(study, ids, manifest):
    row = dict.fromkeys(("fidelity_corpus", "fidelity_positions", *COMPARED, "perplexity"))
    row |= {"perplexity_change": None, **ends("perplexity_change_ci95", None)}
    row["fidelity_note"] = None
    path = study.results / "variants" / "--".join(ids.values()) / "fidelity.json"
    if not study.fidelity:
        return row
    found = read_json(path)
    row["fidelity_corpus"], row["fidelity_note"] = study.fidelity["corpus"], found.get("reason")
    if found["status"] == "infeasible":
        return row
    if row["fidelity_note"] is None and not manifest.get("meaningful_accuracy", True):
        row["fidelity_note"] = "random weights: fidelity says nothing about a trained model"
    compared = found["comparison"] or {}
    row |= {name: compared.get(name) for name in COMPARED}
    sizes = np.array(found["model"]["sequence_positions"])
    nats = np.array(found["model"]["sequence_nats"])
    row["fidelity_positions"] = int(sizes.sum())
    row["perplexity"] = math.exp(nats.sum() / sizes.sum())
    if found["baseline_model"]:
        row |= _perplexity_change(nats - np.array(found["baseline_model"]["sequence_nats"]), sizes)
    return row


def _perplexity_change(nats, sizes):
    """A ratio of sums over sequences, and its interval."""
    k, log_ratio = len(sizes), nats.sum() / sizes.sum()
    row = {"perplexity_change": math.expm1(log_ratio)}
    if k > 1:
        squares = ((nats - sizes * log_ratio) ** 2).sum()
        half = stats.t.ppf(0.975, k - 1) * math.sqrt(k / (k - 1) * squares) / sizes.sum()
        interval = math.expm1(log_ratio - half), math.expm1(log_ratio + half)
        row |= ends("perplexity_change_ci95", interval)
    return row


def compare_sizes(rows, study):
    """Each variant's baseline, of the same model, and its change in size."""
    of = {
        row["model"]: row
        for row in rows
        if all(row[axis] == study.baseline[axis] for axis in ("precision", "prune"))
    }
    for row in rows:
        base = of.get(row["model"], {})
        row["baseline_variant_id"] = base.get("variant_id")
        sizes = row["size_bytes"], base.get("size_bytes")
        row["size_bytes_change"] = None if None in sizes else over(sizes[0] - sizes[1], sizes[1])


def read_variants(cells, study):
    """(ids, manifest) of the variants of these cells, each once."""
    found = {cell.variant: {axis: cell.ids[axis] for axis in IDS} for cell in cells}
    return {
        name: (ids, read_json(study.results / "variants" / name / "manifest.json"))
        for name, ids in found.items()
    }
