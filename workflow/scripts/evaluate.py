"""Judge a cell's completions, metered."""

from codewatt.energy.sampler import Sampler
from codewatt.evaluate.stage import evaluate_cell
from codewatt.files import read_json
from codewatt.logs import rule_log
from codewatt.results import finish, infeasible, read_settings

with rule_log(snakemake):
    settings, files, out = read_settings(snakemake), snakemake.input, snakemake.output
    generate = read_json(files.generate)
    with Sampler(out.timeline, settings["energy"], gpu_ids=[]) as sampler:
        if generate["status"] == "ok":
            manifest = evaluate_cell(
                tasks_path=files.tasks,
                expected_path=files.expected,
                completions_path=files.completions,
                out_results=out.results,
                jobs=snakemake.threads,
                sanitize=settings["sanitize"],
                ks=settings["k"],
                benchmark=generate["cell"]["benchmark"],
            )
        else:
            manifest = infeasible(generate, out.results)
    meters = {"meters": sampler.meters, "sampler": sampler.summary}
    finish(snakemake, out.manifest, {**manifest, **meters})
