"""Method `none`: unquantised weights in a floating-point type, cast when they are loaded."""

from pathlib import Path

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.models.model_record import QuantisedCounts
from codewatt.quantise.precision_settings import PrecisionSettings
from codewatt.quantise.quantiser import Quantiser


class NoQuantiser(Quantiser):
    """Uses the model's weights as they are."""

    def load_dtype(self, settings: PrecisionSettings) -> str:
        """See `Quantiser.load_dtype`."""
        return str(settings["dtype"])

    def import_libraries(self, settings: PrecisionSettings) -> None:
        """See `Quantiser.import_libraries`: there are none."""

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts | None:
        """See `Quantiser.quantise`: nothing is written."""
        return None


QUANTISER = NoQuantiser()
