"""What is allowed of each number of the energy settings, for the study file and the jobs alike."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """From `least` to `most`, both allowed; in seconds."""

    least: float
    most: float

    def holds(self, value: float) -> bool:
        """Whether a number lies inside; NaN does not."""
        return self.least <= value <= self.most


#: Seconds between two readings of a meter.
INTERVAL_S = Range(0.001, 60)
#: CodeCarbon does not measure again within 0.1 s.
CODECARBON_INTERVAL_S = Range(0.1, 60)
#: Of an idle window.
IDLE_S = Range(0.01, 3600)
