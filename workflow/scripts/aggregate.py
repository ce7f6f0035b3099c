"""Make the tables of tasks, runs, sessions, cells, variants, domains and checks from all files."""

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.changes import ComparisonSettings
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    settings = read_settings(snakemake)
    files = ("generate", "completions", "tasks", "evaluate", "energy", "task_energy")
    cells = [
        {
            "cell": cell,
            "prune_layers": settings["layers_removed"][cell["prune"]],
            **{name: snakemake.input[name][index] for name in files},
        }
        for index, cell in enumerate(settings["cells"])
    ]
    fidelity = list(snakemake.input.fidelity) or [None] * len(settings["variants"])
    variants = [
        {"variant": variant, "manifest": manifest, "making_energy": making, "fidelity": kept}
        for variant, manifest, making, kept in zip(
            settings["variants"],
            snakemake.input.variants,
            snakemake.input.making_energy,
            fidelity,
            strict=True,
        )
    ]
    out = dict(snakemake.output.items())
    comparisons = ComparisonSettings(**settings["comparisons"])
    aggregate(cells, variants, settings["baseline"], out, settings["boundary"], comparisons)
