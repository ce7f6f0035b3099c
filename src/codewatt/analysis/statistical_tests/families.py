"""Holm's adjustment of p values within named families of tests."""

from collections import defaultdict
from collections.abc import Sequence

from codewatt.analysis.columns import Row
from codewatt.analysis.log_scale_statistics import holm

#: Level of all statements in the tables.
ALPHA = 0.05


def adjust(rows: Sequence[Row]) -> None:
    """Set `p_holm` and `family_tests` of each row with a p value, in place.

    A family is the rows with the same text in `family`. Rows without a p value do not count.
    """
    families: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.get("p") is not None:
            families[row["family"]].append(row)
    for members in families.values():
        for row, p in zip(members, holm([row["p"] for row in members]), strict=True):
            row["p_holm"], row["family_tests"] = p, len(members)
