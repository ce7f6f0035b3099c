"""Compute a cell's energy from its raw telemetry."""

from codewatt.energy.cell_energy import measure_cell
from codewatt.energy.task_energy import write_task_energies
from codewatt.files import read_json, write_json
from codewatt.logs import rule_log
from codewatt.rule_io import infeasible, read_settings

with rule_log(snakemake):
    files, out = snakemake.input, snakemake.output
    generate, tasks = read_json(files.generate), []
    if generate["status"] == "ok":
        cell = measure_cell(
            generate,
            files.timeline,
            read_json(files.evaluate),
            files.evaluate_timeline,
            read_settings(snakemake),
            files.tasks,
        )
        record, tasks = cell.record, cell.tasks
    else:
        record = infeasible(generate)
    write_task_energies(out.tasks, tasks)
    write_json(out.energy, {**record, "code": list(snakemake.params.code)})
