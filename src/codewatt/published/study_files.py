"""The study files of this project that repeat a published study."""

from dataclasses import dataclass
from pathlib import Path

from codewatt.files import sha256_file

DE_REUS, BUIS = "de Reus et al. 2024", "Buis 2024"


@dataclass(frozen=True)
class StudyFile:
    """A file of config/studies that repeats a published study.

    Attributes:
        name: the study's name, which is that of its folder of results.
        published: `DE_REUS` or `BUIS`.
        what: what it does with the published study.
        tiny: whether its models are tiny ones with random weights, so that nothing it measures is
            of the published models.
    """

    name: str
    published: str
    what: str
    tiny: bool = False


_AS_DONE, _IMPROVED = "as it was done", "as it should be done"
_TINY = "its steps, on tiny models with random weights"
STUDY_FILES = (
    StudyFile("de-reus-2024", DE_REUS, _AS_DONE),
    StudyFile("de-reus-2024-improved", DE_REUS, _IMPROVED),
    StudyFile("de-reus-2024-pythia", DE_REUS, "its checkpoints of Pythia"),
    StudyFile("de-reus-2024-smoke", DE_REUS, _TINY, tiny=True),
    StudyFile("buis-2024", BUIS, _AS_DONE),
    StudyFile("buis-2024-improved", BUIS, _IMPROVED),
    StudyFile("buis-2024-smoke", BUIS, _TINY, tiny=True),
)


def study_file(name: str) -> StudyFile | None:
    """The study file of a study's name; None if the study repeats no published one."""
    return next((one for one in STUDY_FILES if one.name == name), None)


def table_path(results: Path, study: str) -> Path:
    """The cell table of a study, below a folder with a folder for each study."""
    return results / study / "tables" / "cell.parquet"


def table_digests(results: Path) -> dict[str, str]:
    """Study -> SHA-256 of its cell table, of the study files that have one.

    What the page on the published studies shows of measurements is stale if this has changed.
    """
    paths = {one.name: table_path(results, one.name) for one in STUDY_FILES}
    return {name: sha256_file(path) for name, path in paths.items() if path.is_file()}
