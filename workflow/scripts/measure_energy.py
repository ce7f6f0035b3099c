"""Compute a cell's energy from its raw telemetry."""

from codewatt.energy.cell_energy import measure_cell
from codewatt.energy.energy_record import ENERGY, SCHEMA
from codewatt.energy.task_energy import write_task_energies
from codewatt.evaluate.evaluate_record import EVALUATE
from codewatt.generate.generate_record import GENERATE, skipped_stage
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    files, out = snakemake.input, snakemake.output
    generate, tasks = GENERATE.read(files.generate), []
    if generate["status"] == "ok":
        cell = measure_cell(
            generate,
            files.timeline,
            EVALUATE.read(files.evaluate),
            files.evaluate_timeline,
            read_settings(snakemake),
            files.tasks,
            instruct=snakemake.params.instruct,
        )
        record, tasks = cell.record, cell.tasks
    else:
        record = {"schema": SCHEMA, **skipped_stage(generate)}
    write_task_energies(out.tasks, tasks)
    ENERGY.write(out.energy, {**record, "code": list(snakemake.params.code)})
