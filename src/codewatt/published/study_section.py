"""The claims of a published text that the cells of a study file bear on, for its summary page.

No verdict on a claim is computed here: the page on the published studies has those on the published
data, and the summary page has the study's own statements.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import format_percent, format_points
from codewatt.analysis.published_section import PublishedClaim, PublishedSection
from codewatt.published import statement
from codewatt.published.buis_2024.statements import STATEMENTS as THESIS
from codewatt.published.de_reus_2024.statements import STATEMENTS as PAPER
from codewatt.published.study_files import BUIS, DE_REUS, study_file

_STATEMENTS = {DE_REUS: PAPER, BUIS: THESIS}
#: Beginnings of the ids of the two models that the thesis compares.
_COMPARED = ("llama", "deepseek")
_LEVEL = 0.05
_BILLION = 1e9


@dataclass(frozen=True)
class StudyTables:
    """Rows of a study's tables.

    Attributes:
        cells: the cells that ran, by id.
        comparisons: rows of the comparison table.
        methods: (model, prune, precision) -> quantisation method, "none" for none.
        domains: names of the domains of the tasks.
    """

    cells: Mapping[str, Row]
    comparisons: Sequence[Row]
    methods: Mapping[tuple[str, str, str], str]
    domains: frozenset[str]

    @classmethod
    def of(
        cls,
        cells: Sequence[Row],
        comparisons: Sequence[Row],
        variants: Sequence[Row],
        domains: Sequence[Row],
    ) -> "StudyTables":
        """From the rows of the tables cell, comparison, variant and domain."""
        return cls(
            cells={row["cell_id"]: row for row in cells if row["status"] == "ok"},
            comparisons=comparisons,
            methods={_variant(row): row["method"] for row in variants},
            domains=frozenset(row["domain"] for row in domains),
        )

    def is_quantised(self, row: Row) -> bool:
        """Whether a cell's weights are quantised."""
        return self.methods.get(_variant(row), "none") != "none"


def study_section(name: str, tables: StudyTables, page: str) -> PublishedSection | None:
    """The section of a study's summary page on the published study that it repeats.

    Args:
        name: the study's name.
        tables: its tables.
        page: path of the page on the published studies, relative to the summary page; "" if there
            is no such page.

    Returns:
        None if the study repeats no published one.
    """
    file = study_file(name)
    if file is None:
        return None
    texts = {aspect: text(tables) for aspect, text in _ASPECTS.items()}
    claims = []
    for one in _STATEMENTS[file.published]:
        found = [texts[aspect] for aspect in one.about if texts[aspect]]
        if found:
            claims.append(PublishedClaim(one.place, one.quote, one.finding, " ".join(found)))
    return PublishedSection(file.published, file.what, file.tiny, page, tuple(claims))


def _pruned(tables: StudyTables) -> str:
    def pruned(cell: Row, reference: Row) -> bool:
        same = all(cell[axis] == reference[axis] for axis in ("model", "precision"))
        return same and cell["prune_layers"] > reference["prune_layers"]

    return _compared_text(tables, "pruned with unpruned", pruned)


def _quantised(tables: StudyTables) -> str:
    return _compared_text(tables, "quantised with unquantised", _is_quantisation(tables))


def _quantised_sizes(tables: StudyTables) -> str:
    pairs = _compared(tables, _is_quantisation(tables))
    sizes = {tables.cells[row["reference_cell_id"]]["parameters"] for row in pairs}
    if len(sizes - {None}) < 2:
        return ""
    return f"{len(sizes - {None})} model sizes. {_quantised(tables)}"


def _is_quantisation(tables: StudyTables) -> Callable[[Row, Row], bool]:
    def quantised(cell: Row, reference: Row) -> bool:
        same = cell["prune"] == reference["prune"]
        return same and tables.is_quantised(cell) and not tables.is_quantised(reference)

    return quantised


def _fine_tuned(tables: StudyTables) -> str:
    def fine_tuned(cell: Row, reference: Row) -> bool:
        plain = not tables.is_quantised(cell) and not tables.is_quantised(reference)
        return plain and cell["model"] != reference["model"]

    return _compared_text(tables, "fine-tuned with base", fine_tuned)


def _batch_sizes(tables: StudyTables) -> str:
    sizes: dict[tuple[object, ...], set[int]] = {}
    for row in tables.cells.values():
        key = (*_variant(row), row["benchmark"], row["prompt"], row["token_limit"], row["engine"])
        sizes.setdefault((*key, row["hardware"]), set()).add(row["batch_size"])
    several = [found for found in sizes.values() if len(found) > 1]
    if not several:
        return ""
    names = ", ".join(map(str, sorted(set().union(*several))))
    return f"{_counted(sum(map(len, several)), 'cell')} at batch sizes {names}."


def _model_sizes(tables: StudyTables) -> str:
    rows = [row for row in tables.cells.values() if not tables.is_quantised(row)]
    sizes = sorted({row["parameters"] for row in rows if row["parameters"] is not None})
    if len(sizes) < 2:
        return ""
    low, high = (f"{size / _BILLION:.3g}" for size in (sizes[0], sizes[-1]))
    return (
        f"{_counted(len(rows), 'unquantised cell')} of models with {low} to {high} billion "
        "parameters."
    )


def _compared_models(tables: StudyTables) -> str:
    models = {row["model"] for row in tables.cells.values()}
    found = [[m for m in models if m.startswith(name)] for name in _COMPARED]
    if not all(found):
        return ""
    count = sum(row["model"] in {*found[0], *found[1]} for row in tables.cells.values())
    return f"{_counted(count, 'cell')} of the two models."


def _domains(tables: StudyTables) -> str:
    if len(tables.domains) < 2:
        return ""
    return f"Results by domain, of {len(tables.domains)} domains."


_ASPECTS: Mapping[str, Callable[[StudyTables], str]] = {
    statement.QUANTISED: _quantised,
    statement.QUANTISED_SIZES: _quantised_sizes,
    statement.PRUNED: _pruned,
    statement.FINE_TUNED: _fine_tuned,
    statement.BATCH_SIZES: _batch_sizes,
    statement.MODEL_SIZES: _model_sizes,
    statement.LLAMA_DEEPSEEK: _compared_models,
    statement.DOMAINS: _domains,
}


def _compared(tables: StudyTables, wanted: Callable[[Row, Row], bool]) -> list[Row]:
    """The rows of the comparison table of two cells that ran, of a kind."""
    cells = tables.cells
    return [
        row
        for row in tables.comparisons
        if row["cell_id"] in cells
        and row["reference_cell_id"] in cells
        and wanted(cells[row["cell_id"]], cells[row["reference_cell_id"]])
    ]


def _compared_text(tables: StudyTables, what: str, wanted: Callable[[Row, Row], bool]) -> str:
    """Number of comparisons of a kind, with the range of their changes; "" if there is none."""
    rows = _compared(tables, wanted)
    pairs = {(row["cell_id"], row["reference_cell_id"]) for row in rows}
    if not pairs:
        return ""
    changes = [
        _range(rows, ("energy_j",), "energy of a run", format_percent),
        _range(rows, ("pass_at_1_plus", "pass_at_1_base"), "pass@1", _signed_points),
    ]
    found = "; ".join(filter(None, changes)) or "no change is given, see the table of cells"
    return f"{_counted(len(pairs), 'comparison')} of {what} cells: {found}."


def _range(
    rows: Sequence[Row], metrics: Sequence[str], name: str, form: Callable[[float], str]
) -> str:
    """Smallest and largest estimate of the first metric that has one; "" if none has."""
    for metric in metrics:
        found = [r for r in rows if r["metric"] == metric and r["estimate"] is not None]
        if found:
            low, high = (form(end([r["estimate"] for r in found])) for end in (min, max))
            between = low if low == high else f"{low} to {high}"
            shown = sum(r["p_holm"] is not None and r["p_holm"] < _LEVEL for r in found)
            return f"{name} {between} (adjusted p < {_LEVEL} in {shown} of {len(found)})"
    return ""


def _signed_points(fraction: float) -> str:
    sign = "+" if fraction > 0 else "\N{MINUS SIGN}" if fraction < 0 else ""
    return f"{sign}{format_points(abs(fraction))}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _variant(row: Row) -> tuple[str, str, str]:
    return row["model"], row["prune"], row["precision"]
