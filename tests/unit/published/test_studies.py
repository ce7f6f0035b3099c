"""Published studies are found by name, and another one needs only a subpackage."""

from pathlib import Path

import pytest

import codewatt.published
from codewatt.cli import main
from codewatt.errors import CodewattError
from codewatt.published.counter_wraps import RaplCounters
from codewatt.published.published_study import open_study, study_names

STUDY = """
from dataclasses import dataclass
from pathlib import Path
from codewatt.published.checked_run import CheckedRun
from codewatt.published.figure_checks import reference_checks, sum_check
from codewatt.published.run_study import RunStudy


@dataclass
class Run:
    run: int
    total_wh: float
    table: str = "tables/all.csv"
    runtime_s: float = 3600.0
    cpu_wh: float = 10.0
    co2_g: float = 1.0
    cpu_w: float = 10.0
    reference_cpu_w: float | None = 30.0
    reference_source: str = "wall meter"
    parts_wh = {"cpu": 10.0, "gpu": 20.0}
    reference_j = {"cpu": 36_000.0, "gpu": 50 * 3600.0}


class Study(RunStudy):
    name, meter, legend = "other_2025", "PDU", "W: mean power."
    data = Path(__file__)
    run_columns = ("run", "total_wh")

    def check_runs(self, path):
        runs = [Run(0, 30.0), Run(1, 31.0)]
        return [CheckedRun(r, [*reference_checks(r, "PDU"), sum_check(r)], None) for r in runs]

    def findings(self, configurations):
        yield f"{len(configurations)} configuration."


STUDY = Study()
"""


@pytest.fixture
def _another_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "other_2025"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "audited_study.py").write_text(STUDY)
    monkeypatch.setattr(
        codewatt.published, "__path__", [*codewatt.published.__path__, str(tmp_path)]
    )


def test_an_unknown_study_is_named_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert study_names() == ["buis_2024", "de_reus_2024"]
    with pytest.raises(
        CodewattError, match="'none': unknown study; allowed: buis_2024, de_reus_2024"
    ):
        open_study("none")
    assert main(["published", "check", "none"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("_another_study")
def test_a_another_study_needs_only_a_subpackage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study_names() == ["buis_2024", "de_reus_2024", "other_2025"]
    assert main(["published", "check", "other_2025", "--csv", str(tmp_path / "out.csv")]) == 0
    text = capsys.readouterr().out
    assert "PDU W" in text
    assert "gpu_agrees_with_pdu 2, total_adds_up 1" in text
    assert "267 runs" not in text
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("run,total_wh,cpu_w,errors,")
    assert lines[2].startswith("1,31.0,10.0,gpu_agrees_with_pdu total_adds_up,")


@pytest.mark.usefixtures("_another_study")
def test_without_a_name_all_studies_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["published", "check"]) == 0
    text = capsys.readouterr().out
    assert "267 runs of de Reus et al. 2024." in text
    assert "figures of 41 tables and three listings of Buis 2024." in text
    assert "1 configuration." in text
    assert main(["published", "check", "--csv", str(tmp_path / "out.csv")]) == 1
    assert "--csv: one study is needed" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_counters_of_any_number_of_packages() -> None:
    """Four packages of 1 Wh each, of which each wrapped twice and one a third time."""
    counters = RaplCounters(range_j=3600.0, packages=4)
    wraps = counters.infer_wraps(published_wh=1.5, reference_wh=10.4)
    assert (wraps.missed, wraps.both, wraps.one) == (9, 2, 1)
    assert (wraps.both_wh, wraps.all_wh) == (8.0, 9.0)
    assert wraps.residual_wh == pytest.approx(0.1)
    assert counters.wrap_s(power_w=4.0) == 3600.0
