"""Parameters of each part of a model: by the printed formulas, and as they are."""

from dataclasses import dataclass

from codewatt.published.buis_2024.model import printed_parameters as printed
from codewatt.published.buis_2024.model.study_models import StudyModel, study_models

#: Matrices that are part of attention, by the last part of their name in transformers.
_ATTENTION = frozenset(
    {
        *("q_proj", "k_proj", "v_proj", "o_proj", "dense", "query_key_value"),
        *("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"),
    }
)


@dataclass(frozen=True)
class PartCount:
    """Parameters of one part of a model.

    Attributes:
        model: name of the model.
        part: name of the part; "total" for the whole model.
        equation: number of the printed equation; "" if the thesis has none for this part.
        printed: by the printed equation; None if there is none.
        meant: by the equation with two matrices in place of the square of 3.9; equal to `printed`
            elsewhere.
        true: as transformers builds the model. Biases of layers are a part of their own.
    """

    model: str
    part: str
    equation: str
    printed: float | None
    meant: float | None
    true: int


def compare_parameters() -> list[PartCount]:
    """All parts of all models."""
    return [row for model in study_models().values() for row in compare_model(model)]


def compare_model(model: StudyModel) -> list[PartCount]:
    """The parts of one model, and the total."""
    x, true = model.variables, model.architecture
    attention = sum(m.weights for m in true.matrices if m.name in _ATTENTION)
    routers = sum(m.weights for m in true.matrices if m.kind == "router")
    inner = true.layer_weights - attention - routers
    head = 0 if true.tied else true.head
    moe = true.experts is not None

    def part(
        name: str, equation: str, count: float | None, right: int, meant: float | None = None
    ) -> PartCount:
        return PartCount(
            model.name, name, equation, count, count if meant is None else meant, right
        )

    rows = [
        part("input embedding", "3.4", printed.embedding_parameters(x), true.input_embedding),
        part("position embedding", "3.5", printed.positional_parameters(x), 0),
        part("attention", "3.7", printed.attention_parameters(x), attention),
    ]
    if moe:
        experts = printed.expert_parameters(x) * x.expert_layers
        rows += [
            part("experts and dense feed-forward", "3.17", experts, inner),
            part("router", "3.18", float(printed.gating_parameters(x) * x.expert_layers), routers),
        ]
        total = meant = printed.total_moe_parameters(x)
    else:
        feed_forward = printed.feed_forward_parameters(x)
        rows.append(
            part(
                "feed-forward",
                "3.10",
                feed_forward,
                inner,
                printed.feed_forward_parameters_meant(x),
            )
        )
        total, meant = printed.total_dense_parameters(x), printed.total_dense_parameters_meant(x)
    return [
        *rows,
        part("biases of layers and head", "", None, true.biases),
        part("norms", "3.12", printed.norm_parameters(x), true.norms),
        part("output head", "3.13", printed.output_parameters(x), head),
        part("total", "3.22" if moe else "3.19", total, true.parameters, meant),
    ]
