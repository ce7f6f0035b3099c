"""The statements of abstract and conclusion of Buis 2024, each with its finding."""

from codewatt.published.statement import (
    BATCH_SIZES,
    DOMAINS,
    FINE_TUNED,
    LLAMA_DEEPSEEK,
    MODEL_SIZES,
    QUANTISED,
    QUANTISED_SIZES,
    Statement,
)

STATEMENTS = (
    Statement(
        "Abstract",
        "task nature significantly affects energy consumption across all tested models",
        "domains_and_energy",
        (DOMAINS,),
    ),
    Statement("Abstract", "batch size has a minor effect", "inert_batch_axis", (BATCH_SIZES,)),
    Statement(
        "Abstract",
        "consumed 130.77% more energy than the DeepSeekCoder model",
        "llama_over_deepseek",
        (LLAMA_DEEPSEEK,),
    ),
    Statement(
        "Abstract", "while achieving lower accuracy", "llama_below_deepseek", (LLAMA_DEEPSEEK,)
    ),
    Statement(
        "Abstract",
        "reducing energy consumption by up to 19%, 67%, 40% and 67%, respectively",
        "disagreeing_savings",
        (FINE_TUNED, QUANTISED),
    ),
    Statement(
        "Abstract",
        "GPTQ-INT8 models achieved these reductions without significantly reduced accuracy",
        "accuracy_of_quantised_models",
        (QUANTISED,),
    ),
    Statement(
        "Abstract",
        "GPTQ-INT4 models showed slight decreases and AWQ showed substantially lower pass@1 scores",
        "accuracy_of_quantised_models",
        (QUANTISED,),
    ),
    Statement(
        "Abstract",
        "can effectively be reduced without significant performance loss",
        "accuracy_of_quantised_models",
        (QUANTISED,),
    ),
    Statement(
        "5",
        "Visualization and Cryptography consumed significantly more energy than General or "
        "Network tasks",
        "domains_in_the_conclusion",
        (DOMAINS,),
    ),
    Statement(
        "5",
        "A significant difference in energy consumption was found across batch sizes",
        "inert_batch_axis",
        (BATCH_SIZES,),
    ),
    Statement(
        "5",
        "130.77% higher than the DeepSeekCoder-V2-Lite-16B model",
        "llama_over_deepseek",
        (LLAMA_DEEPSEEK,),
    ),
    Statement(
        "5", "while achieving a lower pass@1 score", "llama_below_deepseek", (LLAMA_DEEPSEEK,)
    ),
    Statement(
        "5",
        "energy consumption increases nearly linear with model size",
        "energy_and_size",
        (MODEL_SIZES,),
    ),
    Statement(
        "5",
        "decreases in energy consumption of up to 19.65%, 51.11%, 41.48% and 63.41%",
        "disagreeing_savings",
        (FINE_TUNED, QUANTISED),
    ),
    Statement(
        "5",
        "Larger models tend to show larger relative reductions in energy consumption",
        "larger_models_save_more",
        (QUANTISED_SIZES,),
    ),
    Statement(
        "5",
        "Energy consumption can be effectively measured without additional hardware",
        "software_measurement",
        (),
    ),
    Statement(
        "5",
        "has been shown to achieve energy savings",
        "quantised_models_save",
        (FINE_TUNED, QUANTISED),
    ),
    Statement(
        "5",
        "in some cases without significant decreases in model performance",
        "accuracy_of_quantised_models",
        (QUANTISED,),
    ),
    Statement(
        "5",
        "not only increase the accuracy of models",
        "fine_tuning_and_accuracy",
        (FINE_TUNED,),
    ),
    Statement(
        "5",
        "tend to lower the energy consumption of a model",
        "fine_tuning_and_tokens",
        (FINE_TUNED,),
    ),
    Statement(
        "5",
        "optimal combinations of energy consumption and accuracy were defined",
        "efficient_frontier",
        (QUANTISED,),
    ),
    Statement(
        "5",
        "The pass@kWh metric captures the trade-off",
        "pass_per_kwh_and_trade_off",
        (),
    ),
    Statement(
        "5",
        "unit testing ensured the correctness and functionality preservation",
        "unit_tests_and_correctness",
        (),
    ),
    Statement(
        "5",
        "generate correct and functional code with significantly less energy",
        "quantised_models_save",
        (QUANTISED,),
    ),
)
