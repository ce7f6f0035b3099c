"""Judge a cell's completions and record the energy of judging."""

from pathlib import Path

from codewatt.energy.metered_job import MeteredJob
from codewatt.evaluate.evaluate_cell import evaluate_cell
from codewatt.evaluate.evaluate_record import EVALUATE
from codewatt.evaluate.parallel_jobs import jobs_for_cores
from codewatt.files import check_files, write_json
from codewatt.generate.generate_record import GENERATE, skipped_stage
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings, write_record

with rule_log(snakemake):
    settings, files, out = read_settings(snakemake), snakemake.input, snakemake.output
    generate = GENERATE.read(files.generate)
    check_files(Path(files.generate).parent, generate["files"])
    with MeteredJob(Path(out.timeline), settings["energy"], gpu_ids=[]) as job:
        if generate["status"] == "ok":
            record = evaluate_cell(
                tasks_path=files.tasks,
                expected_path=files.expected,
                completions_path=files.completions,
                out_results=out.results,
                jobs=jobs_for_cores(snakemake.threads),
                sanitize=settings["sanitize"],
                ks=settings["k"],
                benchmark=generate["cell"]["benchmark"],
                bigcodebench_python=snakemake.config.get("bigcodebench_python"),
            )
        else:
            record = {"schema": EVALUATE.version, **skipped_stage(generate)}
            write_json(out.results, record)
    # The window is the evaluation's own: it begins after the sandbox was checked.
    write_record(snakemake, out.manifest, EVALUATE, {**job.record(), **record})
