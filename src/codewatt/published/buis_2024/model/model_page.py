"""The page on the analytical model of Buis 2024, in Markdown. Every number in it is computed."""

from collections import Counter
from statistics import geometric_mean
from textwrap import fill

from codewatt.published.buis_2024.model import page_tables as tables
from codewatt.published.buis_2024.model.corrected_estimates import demand_of, roofline_s
from codewatt.published.buis_2024.model.formula_row import MISSING, PARTLY, RIGHT, WRONG
from codewatt.published.buis_2024.model.measured_runs import OTHER, measured_runs
from codewatt.published.buis_2024.model.model_results import PREDICTIONS, SCALING, ModelResults
from codewatt.published.buis_2024.model.prediction_scores import ALL, RELATIVE
from codewatt.published.buis_2024.model.predictions import (
    ABOVE_IDLE_W,
    GPU,
    PROMPT_TOKENS,
    fit,
)
from codewatt.published.buis_2024.model.reproduced_estimates import (
    DIFFERS,
    FOLLOWS,
    ROUNDED_TWICE,
    WITHOUT_COMPUTE,
    tokens_that_fit,
)
from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.published.buis_2024.published_runs import SIZES
from codewatt.sizing.roofline import GeneratedSequence
from codewatt.units import BYTES_PER_GB, MS_PER_S

PAGE = "published-model-buis.md"
_WIDTH = 119
_FITTED, _TABLES = "fitted_fixed_and_bandwidth", "printed_tables"


def render_page(results: ModelResults, figures: str = "") -> str:
    """The page.

    Args:
        results: the results.
        figures: what is put before the file names of the figures.
    """
    parts = [
        "# The analytical model of Buis 2024",
        *_introduction(),
        "## Results",
        _bullets(_findings(results)),
        "## Predicted and measured runs",
        *_predictions(results, figures),
        "## Tables 5.14, 5.19, 5.25, 5.30 and 5.35 from the printed formulas",
        *_reproduction(results),
        "## The same tables as they are",
        *_corrected(results),
        "## Parameters, KV cache and VRAM",
        *_sizes(results),
        "## Figures 4.1 to 4.5",
        *_figures(results, figures),
        "## All numbered formulas",
        *_formulas(results),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction() -> list[str]:
    return [
        _text(
            "Buis 2024 (chapter 3, equations 3.1 to 3.37) estimates parameters, memory, time and "
            "energy of a model from formulas. This page compares three things: the formulas as "
            "printed, the right ones, and the runs that the thesis measured. It is the output of"
        ),
        "```text\ncodewatt published model buis_2024 [--out FOLDER]\n```",
        _text(
            "`--out` writes this page, its figures and nine CSV files with all numbers. The "
            "printed tables are in `src/codewatt/published/buis_2024`, the formulas in its "
            "folder `model`. [The reproduced studies](../explanation/reproduced-studies.md) says "
            "what else was checked."
        ),
    ]


def _findings(results: ModelResults) -> list[str]:
    counts = Counter(row.verdict for row in results.reproduced)
    verdicts = Counter(row.verdict for row in results.formulas)
    measured = measured_runs(results.tables)
    qwen = [run for run in measured if run.group != OTHER]
    tokens = [run.tokens for run in qwen]
    watts = [run.joules / run.seconds for run in qwen]
    below = [
        one.prediction.seconds / one.run.seconds
        for one in results.predicted
        if one.predictor == "corrected_formulas"
    ]
    printed = results.score(_TABLES, "time", ALL)
    energy = results.score(_TABLES, "energy", ALL)
    given = results.score("printed_formulas", "time", ALL)
    relative = results.score(_TABLES, "energy", RELATIVE)
    exact = results.score("corrected_formulas", "energy", RELATIVE)
    fitted = [results.score(_FITTED, quantity, ALL) for quantity in ("time", "energy")]
    change = results.score(_FITTED, "energy", RELATIVE)
    awq = results.score(_FITTED, "time", "AWQ")
    int4 = results.score(_FITTED, "time", "GPTQ-Int4")
    start_s, slope_s, start_j, slope_j = _fit(results)
    without = [_fit(results, size) for size in SIZES]
    fixed = [MS_PER_S * one[0] for one in without]
    rates = [1 / one[1] / BYTES_PER_GB for one in without]
    smallest = next(run for run in qwen if run.label == "0.5B")
    share = start_s * smallest.tokens / smallest.seconds
    return [
        f"**Formulas.** Of 37 numbered formulas {verdicts[RIGHT]} are right, {verdicts[PARTLY]} "
        f"right for some of the models, {verdicts[WRONG]} wrong, and {verdicts[MISSING]} is not "
        "in the text that was read. The large errors are misprints (3.9, 3.10, 3.19, 3.23 to "
        "3.25): no table was computed with them, and the slopes that the text gives for figure "
        "4.4 exclude 3.24.",
        f"**Tables.** Of {len(results.reproduced)} printed estimates {counts[FOLLOWS]} follow "
        f"from the formulas and the settings below, {counts[ROUNDED_TWICE]} more if they were "
        f"rounded twice, and {counts[WITHOUT_COMPUTE]} total times if TPOT has no compute. "
        f"{counts[DIFFERS]} do not follow: the total times of table 5.14.",
        "**Experts.** The factor 1.5 of equation 3.14 is not for overhead. It stands for the "
        "third matrix of a gated network: 2 m · 1.5 i = 3 m i. So the printed count of "
        "DeepSeek-Coder-V2-Lite is nearly right.",
        f"**Time.** The printed total times are {printed.ratio:.2f} times the measured times of "
        f"the 25 runs (geometric mean; mean error {100 * printed.error:.0f} %). Two errors partly "
        f"cancel: the tables have 660 new tokens, measured are {min(tokens):.0f} to "
        f"{max(tokens):.0f}; and the time per token is too short. With the measured tokens the "
        f"same formulas give {given.ratio:.2f} times the measured time.",
        f"**Energy.** Printed times multiplied by 350 W are {energy.ratio:.2f} times the measured "
        f"energy (mean error {100 * energy.error:.0f} %). A third error adds to the two: the runs "
        f"drew {geometric_mean(watts):.0f} W above idle (geometric mean), from {min(watts):.0f} to "
        f"{max(watts):.0f} W.",
        "**Savings of quantisation.** The printed tables predict the energy per token of quantised "
        f"models, relative to the Instruct model, at {relative.ratio:.2f} times the measured one. "
        f"They hardly order the 15 savings (rank correlation {relative.rank:.2f}), because they "
        "halve or quarter everything, for all sizes alike. Exact bytes give "
        f"{exact.ratio:.2f} times and a rank correlation of {exact.rank:.2f}: head, embedding, "
        "scales and KV cache are not quantised, and their share depends on the size.",
        "**Lower bound.** The corrected formulas are a lower bound of the time. All 28 runs took "
        f"longer: predicted times are {min(below):.2f} to {max(below):.2f} of the measured ones.",
        f"**What is missing is a fixed time.** A fixed {start_s * MS_PER_S:.1f} ms per token plus "
        f"the bytes of a step at {1 / slope_s / BYTES_PER_GB:.0f} GB/s describes the unquantised "
        f"runs ({min(fixed):.1f} to {max(fixed):.1f} ms and {min(rates):.0f} to {max(rates):.0f} "
        "GB/s if one size is left out). Fitted to the unquantised runs of the other sizes it "
        f"predicts the 25 runs with mean errors of {100 * fitted[0].error:.0f} % (time) and "
        f"{100 * fitted[1].error:.0f} % (energy), and orders the savings (rank correlation "
        f"{change.rank:.2f}). The fixed time is {100 * share:.0f} % of the time of 0.5B, which "
        f"agrees with the small savings of the quantised 0.5B models. For energy: {start_j:.2f} J "
        f"per token plus {slope_j * BYTES_PER_GB:.2f} J per GB.",
        f"**Runs with 4 bits are slower than their bytes.** The same law gives {awq.ratio:.2f} "
        f"times the measured time of AWQ and {int4.ratio:.2f} times that of GPTQ-Int4. It has no "
        "term for unpacking weights.",
    ]


def _predictions(results: ModelResults, figures: str) -> list[str]:
    transformers = results.score("measured_host", "time", ALL)
    ranks = [one.rank for one in results.scores if one.runs == 5 and one.rank is not None]
    runs = {run.label: run for run in measured_runs(results.tables)}
    base, tuned = (runs[name].seconds / runs[name].tokens for name in ("14B", "14B-Instruct"))
    return [
        _text(
            "Time and energy of a task (a run divided by 1,140). Every predictor except the "
            "first is given the measured new tokens of each run, so its error is that of the "
            f"time per token. Prompts are assumed to have {PROMPT_TOKENS} tokens where the "
            "printed settings are not used. Prefill is at most "
            f"{100 * _prefill_share(results):.1f} % of the corrected times."
        ),
        tables.predictor_table(results),
        f"```{{figure}} {figures}{PREDICTIONS}.png\n:alt: predicted against measured time and "
        "energy\n\nPredicted against measured time and energy of a task.\n```",
        _text(
            "Cells: geometric mean of predicted / measured, and the mean of |predicted / "
            f"measured - 1|. Last columns: Spearman's rank correlation. {RELATIVE}: per token, "
            "and divided by that of the Instruct model of the same size. With runs of 0.5B to "
            "14B any rule that grows with size ranks all 25 runs well, so that column says "
            "little; the last one says more. Within a group of five sizes no predictor ranks "
            f"below {min(ranks):.1f}."
        ),
        "Time of a task:",
        tables.score_table(results, "time"),
        "Energy of a task:",
        tables.score_table(results, "energy"),
        "What limits this comparison:",
        _bullets(
            [
                "There is one run of each model. The runs of base and Instruct model of 14B, whose "
                "steps move the same bytes, differ by "
                f"{100 * (base / tuned - 1):.0f} % in time per token. No formula of this kind can "
                "tell them apart.",
                "Energies are printed with two decimals: 0.07 kWh stands for 0.065 to 0.075, ± 7 "
                "%. Latency and throughput are printed with four digits.",
                "The engine, its version, the kernels and the prompts are not stated. "
                f"transformers' generate() would take {transformers.ratio:.1f} times as long, by "
                "the host time that was measured on an H200's host; the runs are too fast for it.",
                "The bandwidth of the L40S was not measured by codewatt. `measured_share` scales "
                "shares that were reached on an H200. There a 4-bit step of a small model is "
                "limited by latency, so its share is low, and the prediction for 4 bits on the "
                "slower memory of an L40S is too long.",
                "Measured energies are above idle, by section 3.1. Idle power is not stated; the "
                "corrected and measured predictors subtract an assumed "
                f"{GPU.tdp_w - ABOVE_IDLE_W:.0f} W.",
                "AWQ is counted with 4 bits and groups of 128, as Qwen's published checkpoints "
                "have it; the thesis counts 8 bits and does not state what it ran.",
                "The two fitted predictors use measured runs of the thesis. They were fitted "
                "after the data were seen; the form of the law has two parameters, and each size "
                "is predicted without its own runs.",
            ]
        ),
        "Every run (time in s, energy in J):",
        tables.run_table(results),
    ]


def _reproduction(results: ModelResults) -> list[str]:
    fits = tokens_that_fit(results.tables, "5.14")
    return [
        _text(
            "The thesis states neither rates nor numbers of tokens. They follow from the printed "
            "numbers: 256 tokens in table 5.14 and 660 in the others (prefill compute); 864 GB/s "
            "and 362.05 TFLOP/s, the L40S's data sheet (TTFT, TPOT); 733 TOP/s, its rate for "
            "8-bit integers, for quantised models; and in table 5.14 181.05 TFLOP/s for the "
            "prefill, which is the rate of the L40, another GPU. TTFT and TPOT of tables 5.19 to "
            "5.35 are seconds, although labelled ms."
        ),
        tables.verdict_table(results),
        _text(
            "Rounded twice: 0.03248 to 0.0325, and then to 0.033. Without the decode compute: "
            "TGT is TTFT plus 660 times the time of the memory alone. This reading reproduces "
            "the numbers, but is not the only possible one. TGT of table 5.14 needs "
            f"{float(fits.low):.2f} to {float(fits.high):.2f} tokens by equation 3.33 and the "
            "table's own TTFT and TPOT: no whole number."
        ),
        tables.deviating_table(results),
    ]


def _corrected(results: ModelResults) -> list[str]:
    pairs = [
        (one.printed, one.right)
        for one in results.estimates
        if study_models()[one.model].architecture.experts is None
    ]
    tpot = [printed.tpot_s / right.tpot_s for printed, right in pairs]
    ttft = [printed.ttft_s / right.ttft_s for printed, right in pairs]
    deepseek = demand_of("DeepSeek-Coder-V2-Lite-Instruct", {"method": "none", "dtype": "float16"})
    return [
        _text(
            "Table 4.1. DeepSeek-V2-Lite caches a latent vector "
            f"({deepseek.kv_bytes_per_token // deepseek.layers // 2} numbers in a layer), no heads."
        ),
        tables.characteristics_table(results),
        _text(
            "Estimates, printed → right, for the same tokens and the data sheet of the same GPU. "
            "The right times are lower bounds. VRAM is weights and KV cache, without activations "
            "and CUDA context. Rows that are equal in several tables are shown once."
        ),
        tables.estimate_table(results),
        _text(
            "Every model of both studies, printed formulas with the exact number of parameters → "
            "right: 16 bits, 660 prompt tokens and 660 new tokens on an L40S. In a mixture of "
            "experts the prefill reads more experts than this bound counts. For the dense models "
            f"the printed TPOT is {min(tpot):.2f} to {max(tpot):.2f} times the right bound and "
            f"the printed TTFT {min(ttft):.1f} to {max(ttft):.1f} times. So at batch size 1 and "
            "in 16 bits TPOT needs little more than the right number of parameters. The printed "
            "formulas fail for TTFT, for experts and for quantised weights."
        ),
        tables.model_estimate_table(results),
    ]


def _sizes(results: ModelResults) -> list[str]:
    return [
        _text(
            "Right counts are those of the model that transformers builds from the same "
            "config.json; a test builds each on torch's meta device. Published: the number that "
            "the publisher states. Without its misprint: two matrices in place of the square of "
            "equation 3.9."
        ),
        tables.parameter_table(results),
        "By part:",
        tables.part_table(results),
        _text("16 bits. VRAM: one sequence of 1,320 tokens."),
        tables.size_table(results),
    ]


def _figures(results: ModelResults, figures: str) -> list[str]:
    points = {(p.figure, p.variable, p.value): p for p in results.figures}
    one = points["4.1", "TTFT", 1].printed / points["4.1", "TPOT * tokens", 1].printed
    ten = points["4.2", "TTFT", 10].printed / points["4.2", "TPOT * tokens", 10].printed
    width = [p for p in results.figures if (p.figure, p.variable) == ("4.3", "model_size")]
    growth = width[-1].printed / width[3].printed
    return [
        _text(
            "The figures of the thesis are images without numbers. These are drawn anew from the "
            "formulas; the CSV file has the data."
        ),
        f"```{{figure}} {figures}{SCALING}.png\n:alt: figures 4.1 to 4.5 drawn anew\n\n"
        "Figures 4.1 to 4.5, drawn anew.\n```",
        _bullets(
            [
                "Section 4.1.1, figure 4.1: with one output token TTFT and TPOT are “roughly "
                f"equal”. With the settings of table 5.14 TTFT is {one:.1f} times TPOT; with ten "
                f"tokens it is {ten:.2f} times the rest. They are equal only for short prompts.",
                "Section 4.1.2, figure 4.3: “all the relationships are linear”. By equation 3.19 "
                f"as printed twice the hidden size gives {growth:.2f} times the parameters, "
                "because it squares the product. Without the misprint, and in truth, the count "
                "is linear in each of the six variables alone.",
                "Figure 4.4: the KV cache grows by 1.875 GB for each sequence, and by 0.67 GB "
                "for 10 heads. See equation 3.24.",
                "Figure 4.5: VRAM falls as g grows. This holds if g is the number of query heads "
                "that share keys and values. See equation 3.25.",
            ]
        ),
    ]


def _formulas(results: ModelResults) -> list[str]:
    return [
        _text(
            "Folders are below `src/codewatt/`; `model/` is `published/buis_2024/model/`. Right: "
            "the formula is right as printed. The text was read from the PDF; where it is "
            "damaged, the row says what was reconstructed, and by what evidence."
        ),
        tables.formula_table(results),
    ]


def _fit(results: ModelResults, left_out: str = "") -> tuple[float, float, float, float]:
    """Fixed time (s), time per byte, fixed energy (J), energy per byte; of all unquantised runs.

    Args:
        results: the results.
        left_out: a size whose runs are left out.
    """
    runs = [
        run
        for run in measured_runs(results.tables)
        if run.group in ("base", "Instruct") and run.size != left_out
    ]
    seconds = fit(runs, lambda run: run.seconds, fixed=True)
    return (*seconds, *fit(runs, lambda run: run.joules, fixed=True))


def _prefill_share(results: ModelResults) -> float:
    """Largest share of the prefill in the corrected time of a run."""
    shares = []
    for run in measured_runs(results.tables):
        demand = demand_of(run.settings.model, run.settings.precision)
        prefill_s, decode_s = roofline_s(
            demand, GeneratedSequence(PROMPT_TOKENS, round(run.tokens)), GPU
        )
        shares.append(prefill_s / (prefill_s + decode_s))
    return max(shares)


def _text(text: str) -> str:
    return fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _bullets(items: list[str]) -> str:
    return "\n".join(
        fill(
            item,
            _WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for item in items
    )
