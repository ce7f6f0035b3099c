"""Raw telemetry becomes joules."""

from codewatt.energy.measure import measure_cell
from codewatt.files import read_json, write_json
from codewatt.logs import rule_log
from codewatt.results import infeasible, read_settings

with rule_log(snakemake):
    generate = read_json(snakemake.input.generate)
    if generate["status"] == "ok":
        energy = measure_cell(
            generate,
            snakemake.input.timeline,
            read_json(snakemake.input.evaluate),
            snakemake.input.evaluate_timeline,
            read_settings(snakemake),
        )
    else:
        energy = infeasible(generate)
    write_json(snakemake.output.energy, {**energy, "code": list(snakemake.params.code)})
