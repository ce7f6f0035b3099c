"""Validity checks: what must hold so that a measurement can be trusted.

- check.py: the declaration of a check and the result of one.
- all_checks.py: the list of all checks, and the reference page made of it.
- run_checks.py: runs the checks of one cell.
- cell.py: checks of a cell as a whole (meters, readings, idle power).
- repeat.py: checks of one repeat, whatever the component (duration, readings, gaps).
- gpu.py: checks of GPUs (selection, other processes, clocks, counter against power).
- power.py: checks of power against what the hardware can draw; plausibility.py: the arithmetic.
- phase.py: checks of prefill and decode, and of phases outside the repeats.
- start.py: checks of the rest before a cell, of its warm-up and of its measured time.
- prompt.py: check of how the model was asked.
- same_board.py: declares the check that a cell shared a board with its baseline.
- sharing.py: checks of others' work on the machine, and of agreement between repeats.

Limits that a study may change are `ValidityLimits` (codewatt.config.energy_settings); the other
limits are constants beside their check.
"""
