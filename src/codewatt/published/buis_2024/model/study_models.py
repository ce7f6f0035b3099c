"""The models of Buis 2024 and de Reus et al. 2024, with the variables of the thesis's formulas."""

from dataclasses import dataclass
from functools import cache

from codewatt.published.buis_2024.model.printed_parameters import ModelVariables
from codewatt.published.buis_2024.published_runs import SIZES
from codewatt.published.study_files import BUIS, DE_REUS
from codewatt.sizing.known_configs import KnownModel, known_models
from codewatt.sizing.layer_shapes import config_size, config_value
from codewatt.sizing.parameter_counts import Architecture, architecture_of

#: Model -> (study, repository on the Hugging Face hub).
REPOSITORIES = {
    **{
        f"Qwen2.5-{size}{suffix}": (BUIS, f"Qwen/Qwen2.5-{size}{suffix}")
        for size in SIZES
        for suffix in ("", "-Instruct")
    },
    "Qwen2.5-Coder-7B-Instruct": (BUIS, "Qwen/Qwen2.5-Coder-7B-Instruct"),
    "Llama-3.1-8B-Instruct": (BUIS, "meta-llama/Llama-3.1-8B-Instruct"),
    "DeepSeek-Coder-V2-Lite-Instruct": (BUIS, "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct"),
    "StarCoder2-3B": (DE_REUS, "bigcode/starcoder2-3b"),
    "StarCoder2-7B": (DE_REUS, "bigcode/starcoder2-7b"),
    "Phi-2": (DE_REUS, "microsoft/phi-2"),
    "Pythia-2.8B": (DE_REUS, "EleutherAI/pythia-2.8b"),
}
#: n_ctx of table 4.1, the same for the three models that it lists.
_CONTEXT = 128_000


@dataclass(frozen=True)
class StudyModel:
    """A model of one of the two studies.

    Attributes:
        name: label.
        study: `BUIS` or `DE_REUS`.
        repository: on the Hugging Face hub.
        known: its configuration and the number of parameters that its publisher states.
        architecture: counts of its parameters.
        variables: the variables of the thesis.
    """

    name: str
    study: str
    repository: str
    known: KnownModel
    architecture: Architecture
    variables: ModelVariables


@cache
def study_models() -> dict[str, StudyModel]:
    """All models by name."""
    return {name: _model(name, *where) for name, where in REPOSITORIES.items()}


def _model(name: str, study: str, repository: str) -> StudyModel:
    known = known_models()[repository]
    variables = _variables(known, _CONTEXT if study == BUIS else None)
    return StudyModel(name, study, repository, known, architecture_of(known.config), variables)


def _variables(known: KnownModel, context: int | None) -> ModelVariables:
    """The variables of a configuration.

    The head size is the hidden size divided by the heads, as table 4.1 has it. Norms are those of
    the decoder: two in each layer (Phi has one), and the last one.
    """
    config = known.config
    hidden, layers = config_size(config, "hidden_size"), config_size(config, "num_hidden_layers")
    heads = config_size(config, "num_attention_heads")
    experts = config_value(config, "n_routed_experts", 0)
    dense = config_value(config, "first_k_dense_replace", 0)
    return ModelVariables(
        layers=layers,
        model_size=hidden,
        heads=heads,
        head_size=hidden // heads,
        vocabulary=config_size(config, "vocab_size"),
        context=context or config_size(config, "max_position_embeddings"),
        inner_size=config_size(config, "intermediate_size"),
        norms=layers * (1 if config["model_type"] == "phi" else 2) + 1,
        expert_inner_size=config_value(config, "moe_intermediate_size", 0),
        routed_experts=experts,
        shared_experts=config_value(config, "n_shared_experts", 0),
        expert_layers=layers - dense if experts else 0,
    )
