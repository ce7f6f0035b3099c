"""A machine that was shared, and repeats that do not agree, fail wherever CPU energy is billed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.cell_energy import measure_cell
from codewatt.energy.validity.sharing import check_repeat_spread
from codewatt.parquet import write_rows

Measured = Callable[..., dict[str, Any]]
HOST = ("host", "host", "machine")


def told(cell: dict[str, Any], name: str, repeat: int | None) -> dict[str, Any]:
    return next(e for e in cell["checks"] if (e["name"], e["repeat"]) == (name, repeat))


def busier(bench: Any, quantity: str, processors: float, start_s: float, end_s: float) -> None:
    """Others take some processors between two times."""
    t_s, values = bench.series[*HOST, quantity]
    gained = np.clip(t_s - start_s, 0, end_s - start_s) * processors
    bench.series[*HOST, quantity] = (t_s, values + gained)


def machine_of(bench: Any, processors: int) -> None:
    allocation = {"processors": processors, "share": 1.0}
    bench.meters["host"] = replace(bench.meters["host"], facts={"allocation": allocation})


@pytest.mark.parametrize("boundary", ["node", "job", "gpu"])
@pytest.mark.parametrize("cpu", ["measured", "modelled"])
@pytest.mark.parametrize("quantity", ["busy_s", "stolen_s"])
def test_others_on_the_machine_fail_the_repeat_where_cpu_is_billed(
    bench: Any, measured: Measured, boundary: str, cpu: str, quantity: str
) -> None:
    """Work of others and time that a hypervisor takes, from the second repeat on."""
    if cpu == "modelled":
        bench.drop("rapl")
    busier(bench, quantity, 2.0, 1050, 1070)
    cell = measured(boundary=boundary)
    first, second = (told(cell, "node_not_shared", repeat) for repeat in (0, 1))
    assert (first["passed"], second["passed"]) == (True, False)
    assert second["observed"] == pytest.approx(2.1)
    assert second["limit"] == pytest.approx(0.4), "0.05 of 8 processors"
    assert second["severity"] == ("warning" if boundary == "gpu" else "error")
    assert cell["valid"] is (boundary == "gpu")
    words = "2.1 by others, 0 taken" if quantity == "busy_s" else "0.1 by others, 2 taken"
    assert words in second["detail"]


@pytest.mark.parametrize(
    ("processors", "others", "limit", "passes"),
    [
        (2, 0.03, 0.1, True),  # what a quiet machine shows
        (2, 0.15, 0.1, False),
        (8, 0.35, 0.4, True),
        (8, 0.45, 0.4, False),
        (128, 0.45, 0.5, True),
        (128, 0.6, 0.5, False),
    ],
)
def test_the_limit_is_the_lesser_of_a_number_and_a_share(
    bench: Any, measured: Measured, processors: int, others: float, limit: float, passes: bool
) -> None:
    machine_of(bench, processors)
    busier(bench, "busy_s", others - 0.1, 1000, 1090)  # the machine does 0.1 beside the job
    cell = measured()
    for repeat in (0, 1):
        found = told(cell, "node_not_shared", repeat)
        assert found["limit"] == pytest.approx(limit)
        assert found["observed"] == pytest.approx(others)
        assert found["passed"] is passes
    assert cell["valid"] is passes
    wide = {"max_other_cpu_share": 0.5, "max_other_cpus": 5}
    assert measured(validity=wide)["valid"] is (others < 1)


def runs_of(*joules: float | None, bound_j: float = 0.0, boundary: str = "node") -> list[Any]:
    return [
        {"repeat": n, "energy_j": {boundary: j}, "uncertainty_j": {boundary: bound_j}}
        for n, j in enumerate(joules)
    ]


def spread(*joules: float | None, bound_j: float = 0.0, **settings: Any) -> dict[str, Any]:
    judging = EnergySettings.from_dict(settings)
    runs = runs_of(*joules, bound_j=bound_j, boundary=judging.boundary)
    return check_repeat_spread(runs, dict.fromkeys(range(len(joules)), 100.0), judging)


@pytest.mark.parametrize(
    ("joules", "bound_j", "observed", "passed"),
    [
        ((87.0, 1277.0, 2245.0), 1.0, 2244 / 88 - 1, False),
        ((87.0, 1277.0), 1.0, 1276 / 88 - 1, False),
        ((1277.0, 2245.0), 20.0, 2225 / 1297 - 1, False),
        ((100.0, 135.0), 2.0, 133 / 102 - 1, False),
        ((2437.7, 2254.3, 2019.8, 1986.7, 2118.0), 24.0, 2413.7 / 2010.7 - 1, True),  # an H100
        ((25.0, 26.0, 27.5), 0.5, 27 / 25.5 - 1, True),
        # The edges leave more open than the repeats differ by.
        ((10.0, 14.0), 3.0, 0.0, True),
        ((100.0, None, 100.0), 0.0, 0.0, True),
        ((0.0, 0.0), 0.0, 0.0, True),
        ((0.0, 5.0), 0.0, None, False),
        ((100.0,), 0.0, None, None),
        ((100.0, None), 0.0, None, None),
        ((), 0.0, None, None),
    ],
)
def test_repeats_of_the_same_work_take_the_same_energy(
    joules: tuple[float, ...], bound_j: float, observed: float | None, passed: bool | None
) -> None:
    found = spread(*joules, bound_j=bound_j)
    assert (found["passed"], found["severity"], found["limit"]) == (passed, "error", 0.25)
    assert found["observed"] == (None if observed is None else pytest.approx(observed))
    assert spread(*joules, bound_j=bound_j, boundary="gpu")["severity"] == "warning"


def test_noise_of_a_few_hundredths_never_fails_and_twice_the_energy_always_does() -> None:
    """Repeats of known truth: a standard deviation of 4 %, edges known to 1 %."""
    draw = np.random.default_rng(5)
    for count in (2, 3, 5, 10):
        for _ in range(300):
            joules = 100 * (1 + 0.04 * np.clip(draw.standard_normal(count), -2.5, 2.5))
            assert spread(*joules, bound_j=1.0)["passed"] is True
            joules[draw.integers(count)] *= 2
            assert spread(*joules, bound_j=1.0)["passed"] is False


def test_a_spread_fails_a_cell_whose_cpu_is_billed(bench: Any, measured: Measured) -> None:
    """The second repeat waits for others: it takes the same power for half as long again."""
    for phase, start_s, end_s in (("repeat", 1050, 1080), ("decode", 1055, 1080)):
        window = next(w for w in bench.windows if (w["phase"], w["repeat"]) == (phase, 1))
        window |= {"start_s": float(start_s), "end_s": float(end_s)}
    bench.windows[-1] |= {"start_s": 1081.0, "end_s": 1089.0}
    cell = measured()
    found = told(cell, "repeats_agree", None)
    assert found["passed"] is True, "it idles from 1070 s on"
    bench.drop("nvml", "rapl")  # CodeCarbon: a constant power
    bench.windows[6]["end_s"] = 1045.0
    cell = measured()
    found = told(cell, "repeats_agree", None)
    assert (found["passed"], found["severity"]) == (False, "error")
    assert "repeats 0: 1050 J, 1: 2100 J" in found["detail"]
    assert cell["valid"] is False
    assert measured(validity={"max_repeat_spread": 1.5})["valid"] is True


def test_repeats_that_drew_other_completions_are_compared_by_token(
    bench: Any, tmp_path: Path
) -> None:
    path = bench.write(tmp_path / "timeline.parquet")
    decoding = {**bench.manifest["decoding"], "strategy": "sampled"}
    manifest = {**bench.manifest, "decoding": decoding}

    def spread_of(tokens: tuple[int, int] | None) -> dict[str, Any]:
        tasks = None
        if tokens is not None:
            tasks = tmp_path / "tasks.parquet"
            window = {"task_id": "t", "sample": 0, "batch": 0, "start_s": 1031.0, "end_s": 1032.0}
            rows = [{"repeat": n, "new_tokens": k, **window} for n, k in enumerate(tokens)]
            fields = [
                *((name, "int32") for name in ("repeat", "new_tokens", "sample", "batch")),
                *((name, "float64") for name in ("start_s", "end_s")),
                ("task_id", "string"),
            ]
            write_rows(tasks, [*rows, *rows], fields)
        cell = measure_cell(manifest, path, None, None, {}, tasks).record
        return told(cell, "repeats_agree", None)

    unknown = spread_of(None)
    assert unknown["passed"] is None
    assert "may have done different work" in unknown["detail"]
    assert spread_of((500, 510))["passed"] is True
    assert spread_of((500, 1000))["passed"] is False
    assert spread_of((500, 1000))["observed"] == pytest.approx(1.0, rel=0.05)
    assert spread_of((500, 0))["passed"] is None
