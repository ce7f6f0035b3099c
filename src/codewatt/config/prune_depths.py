"""Prune settings with `layers: until_zero`: each stands for a series of settings, one a depth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.config.compression_settings import UNTIL_ZERO, Prune, Unpruned
from codewatt.config.model_settings import ArchitectureModel, Model
from codewatt.config.strict_model import ID_LENGTH


@dataclass(frozen=True)
class DepthSeries:
    """A prune setting with `layers: until_zero`, as a series of settings.

    Attributes:
        id: id of the prune setting.
        deepest: model id -> largest number of layers to remove; 0 for an excluded model.
        depths: the settings that remove 1, 2, ... layers, up to the largest `deepest`.
    """

    id: str
    deepest: Mapping[str, int]
    depths: tuple[Prune, ...]

    @classmethod
    def of(cls, prune: Prune, models: Sequence[Model], excluded: Iterable[str]) -> "DepthSeries":
        """Make the series of a setting for a study's models.

        Args:
            prune: the setting.
            models: the study's models.
            excluded: ids of models that the study excludes from this setting.

        Raises:
            ValueError: the number of layers of a model is unknown, or an id would be too long.
        """
        left_out = set(excluded)
        deepest = {
            model.id: 0 if model.id in left_out else _deepest(prune, index, model)
            for index, model in enumerate(models)
        }
        depths = tuple(_at(prune, layers + 1) for layers in range(max(deepest.values())))
        if depths and len(depths[-1].id) > ID_LENGTH:
            raise ValueError(
                f"prune {prune.id!r}: the ids of its depths, such as {depths[-1].id!r}, are too "
                "long; "
                f"allowed: {ID_LENGTH} characters"
            )
        return cls(prune.id, deepest, depths)


def is_series(prune: Prune) -> bool:
    """Whether a prune setting stands for a series of depths (`layers: until_zero`)."""
    return prune.layers == UNTIL_ZERO


def layers_removed(prune: Prune) -> int:
    """Number of layers that a setting removes; the setting must not be a series."""
    assert isinstance(prune.layers, int), f"{prune.id} is a series"
    return prune.layers


def expand_series(
    exclude: Iterable[Mapping[Any, Any]], series: Mapping[str, DepthSeries]
) -> list[dict[Any, Any]]:
    """Exclude entries in which the id of a series is replaced by the ids of its depths."""
    return [
        {axis: _depths(wanted, series) if axis == "prune" else wanted for axis, wanted in e.items()}
        for e in exclude
    ]


def _depths(wanted: Any, series: Mapping[str, DepthSeries]) -> list[Any]:
    named = wanted if isinstance(wanted, list) else [wanted]
    spelled = [[d.id for d in series[one].depths] if one in series else [one] for one in named]
    return [one for ones in spelled for one in ones]


def _deepest(prune: Prune, index: int, model: Model) -> int:
    """Largest number of layers that a setting removes from a model."""
    assert not isinstance(prune, Unpruned)
    if model.layers is None:
        inside = "config.num_hidden_layers" if isinstance(model, ArchitectureModel) else "layers"
        raise ValueError(
            f"models[{index}].{inside}: required, but absent: it limits the depth of prune "
            f"{prune.id!r} "
            f"(layers: {UNTIL_ZERO}); give it, or exclude the pair"
        )
    most = max(model.layers - prune.always_kept, 0)
    return most if prune.max_layers is None else min(most, prune.max_layers)


def _at(prune: Prune, layers: int) -> Prune:
    """The setting that removes `layers` layers."""
    label = None if prune.label is None else f"{prune.label}: {layers}"
    change = {"id": f"{prune.id}-{layers}", "label": label, "layers": layers, "max_layers": None}
    return prune.model_copy(update=change)
