"""Raw telemetry becomes joules."""

from codewatt.energy.cell_energy import measure_cell, measure_tasks
from codewatt.energy.task_energy import write_task_energies
from codewatt.evaluate.evaluate_record import EVALUATE
from codewatt.files import write_json
from codewatt.generate.generate_record import GENERATE, skipped_stage
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    files, out = snakemake.input, snakemake.output
    generate, tasks = GENERATE.read(files.generate), []
    if generate["status"] == "ok":
        energy = measure_cell(
            generate,
            files.timeline,
            EVALUATE.read(files.evaluate),
            files.evaluate_timeline,
            read_settings(snakemake),
            files.tasks,
        )
        tasks = measure_tasks(generate, files.timeline, files.tasks)
    else:
        energy = {"schema": 1, **skipped_stage(generate)}
    write_task_energies(out.tasks, tasks)
    write_json(out.energy, {**energy, "code": list(snakemake.params.code)})
