"""The energy of making a variant: pruning and quantising it, and scoring the layers it lost."""

import os
from collections.abc import Mapping
from typing import Any

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_record import MAKING_SCHEMA, MakingEnergyRecord, StageEnergy
from codewatt.energy.job_energy_record import JobEnergyRecord, Joules, MadeVariant, PhaseWindow
from codewatt.energy.job_meter import JobMeter
from codewatt.energy.validity.phase import check_phase
from codewatt.errors import CodewattError
from codewatt.files import read_json, sha256_file

Path = str | os.PathLike[str]


def measure_making(
    manifest: MadeVariant,
    timeline_path: Path,
    scores_path: Path | None,
    scores_timeline_path: Path | None,
    settings: Mapping[str, Any],
) -> MakingEnergyRecord:
    """Compute the energy of making a variant.

    Args:
        manifest: of the variant.
        timeline_path: raw telemetry of its quantise job.
        scores_path, scores_timeline_path: layer scores that it was pruned by, and their raw
            telemetry; None if it was not pruned by scores.
        settings: of energy, as a study has them (codewatt.config.energy_settings).

    Raises:
        CodewattError: a timeline is missing or unreadable, or the variant was pruned by other
            scores.
    """
    energy_settings = EnergySettings.from_dict(settings)
    scored = None
    named = manifest.get("scores")
    if named is not None:
        if scores_path is None or scores_timeline_path is None:
            raise CodewattError(
                f"layer scores {named['path']}: the file or its timeline is missing"
            )
        if sha256_file(scores_path) != named["sha256"]:
            raise CodewattError(
                f"{scores_path}: the variant was pruned by an earlier version of these layer "
                "scores; quantise it again"
            )
        scored = measure_stage(read_json(scores_path), scores_timeline_path, energy_settings)
    return {
        "schema": MAKING_SCHEMA,
        "variant": manifest["variant"],
        "quantise": measure_stage(manifest, timeline_path, energy_settings),
        "score_layers": scored,
    }


def measure_stage(
    manifest: JobEnergyRecord, timeline_path: Path, settings: EnergySettings
) -> StageEnergy:
    """Compute the energy of a job with one window, whose name is its phase.

    Args:
        manifest: of the job; without windows nothing was made, and nothing was metered.
        timeline_path: its raw telemetry.

    Raises:
        CodewattError: the timeline is missing or unreadable.
    """
    windows = manifest.get("windows")
    if not windows:
        absent: Joules = dict.fromkeys(PARTS)
        return {
            "duration_s": manifest.get("duration_s"),
            "energy_j": absent,
            "energy_status": dict.fromkeys(PARTS),
            "energy_note": None,
        }
    window: PhaseWindow = {**windows[0], "repeat": None, "batch": None}
    meter = JobMeter.read(timeline_path, manifest.get("device"), manifest.get("meters"))
    sound = check_phase(
        window["phase"],
        meter.timeline,
        meter.sources,
        [window],
        manifest.get("sampler"),
        settings,
    )
    note = "too short for two readings of a meter" if sound["passed"] is None else sound["observed"]
    return {
        "duration_s": manifest.get("duration_s"),
        "energy_j": meter.energy(window["start_s"], window["end_s"]),
        "energy_status": {**meter.statuses()},
        "energy_note": None if note is None else str(note),
    }
