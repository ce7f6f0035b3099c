"""Raw telemetry becomes joules."""

from codewatt.energy.cell_energy import measure_cell, measure_tasks
from codewatt.energy.task_energy import write_task_energies
from codewatt.files import read_json, write_json
from codewatt.logs import rule_log
from codewatt.rule_io import infeasible, read_settings

with rule_log(snakemake):
    files, out = snakemake.input, snakemake.output
    generate, tasks = read_json(files.generate), []
    if generate["status"] == "ok":
        energy = measure_cell(
            generate,
            files.timeline,
            read_json(files.evaluate),
            files.evaluate_timeline,
            read_settings(snakemake),
            files.tasks,
        )
        tasks = measure_tasks(generate, files.timeline, files.tasks)
    else:
        energy = infeasible(generate)
    write_task_energies(out.tasks, tasks)
    write_json(out.energy, {**energy, "code": list(snakemake.params.code)})
