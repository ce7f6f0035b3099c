"""Judge a cell's completions, metered."""

from pathlib import Path

from codewatt.energy.sampler import Sampler
from codewatt.evaluate.evaluate_cell import evaluate_cell
from codewatt.evaluate.parallel_jobs import jobs_for_cores
from codewatt.files import check_files, read_json
from codewatt.logs import rule_log
from codewatt.rule_io import finish, infeasible, read_settings

with rule_log(snakemake):
    settings, files, out = read_settings(snakemake), snakemake.input, snakemake.output
    generate = read_json(files.generate)
    check_files(Path(files.generate).parent, generate["files"])
    with Sampler(out.timeline, settings["energy"], gpu_ids=[]) as sampler:
        if generate["status"] == "ok":
            manifest = evaluate_cell(
                tasks_path=files.tasks,
                expected_path=files.expected,
                completions_path=files.completions,
                out_results=out.results,
                jobs=jobs_for_cores(snakemake.threads),
                sanitize=settings["sanitize"],
                ks=settings["k"],
                benchmark=generate["cell"]["benchmark"],
            )
        else:
            manifest = infeasible(generate, out.results)
    meters = {"meters": sampler.meters, "sampler": sampler.summary}
    finish(snakemake, out.manifest, {**manifest, **meters})
