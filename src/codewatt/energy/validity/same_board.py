"""Check that a variant and its baseline were measured on one board.

It needs several cells, so `analysis.confounding` makes it when the tables are made.
"""

from codewatt.energy.validity.check import Check

VARIANT_NOT_CONFOUNDED = Check(
    name="variant_not_confounded",
    severity="by_sessions",
    purpose=(
        "The cell and its baseline ran on the same host and the same GPUs in this session, so that "
        "their difference is that of the variants and not of two boards."
    ),
    remedy=(
        "Set `blocks: true` in the study file and measure the cells of the block again in this "
        "session, or read the change as that of variant and board together."
    ),
    limit="the baseline's host and GPUs",
    applies="the study has the baseline of this cell",
    per="cell",
)
CHECKS = (VARIANT_NOT_CONFOUNDED,)
