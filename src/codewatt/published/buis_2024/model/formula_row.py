"""One numbered formula of the thesis: as printed, as it is, and what the difference changes."""

from dataclasses import dataclass

RIGHT, PARTLY, WRONG = "right", "right for some models", "wrong"
MISSING = "not in the text"

#: Modules of the printed formulas, and of the right ones.
PARAMETERS, COSTS, DEFINITIONS = (
    *("model/printed_parameters.py", "model/printed_costs.py", "model/printed_definitions.py"),
)
SHAPES, COUNTS, BYTES, ROOFLINE = (
    *("sizing/layer_shapes.py", "sizing/parameter_counts.py", "sizing/weight_bytes.py"),
    "sizing/roofline.py",
)


@dataclass(frozen=True)
class FormulaRow:
    """One formula.

    Attributes:
        number: of the equation, such as "3.9".
        what: the quantity.
        printed: the formula as printed, in plain text.
        function: "module: function" of the printed formula.
        verdict: `RIGHT`, `PARTLY`, `WRONG` or `MISSING`.
        right: the right formula; "" if the printed one is right.
        where: module of the right formula; "" if the project does not need it.
        consequence: what the difference changes, with a number, or a printed number that the
            formula reproduces.
        text: damage of the text that was read, and the evidence for the reading; "" if undamaged.
    """

    number: str
    what: str
    printed: str
    function: str
    verdict: str
    right: str
    where: str
    consequence: str
    text: str = ""
