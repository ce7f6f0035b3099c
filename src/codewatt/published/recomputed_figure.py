"""A printed figure beside the interval that follows from other printed figures."""

from dataclasses import dataclass

from codewatt.published.printed_number import Interval, PrintedNumber


@dataclass(frozen=True)
class RecomputedFigure:
    """A printed figure, computed again.

    Attributes:
        check: name of the rule by which it is computed.
        table: number of the table, or section of the text.
        row: label of the row, or name of the statement.
        column: label of the column.
        printed: the printed number.
        derived: all values that the other printed numbers allow.
    """

    check: str
    table: str
    row: str
    column: str
    printed: PrintedNumber
    derived: Interval

    @property
    def follows(self) -> bool:
        """Whether the printed number and the derived interval agree within rounding."""
        return self.printed.rounded.overlaps(self.derived)
