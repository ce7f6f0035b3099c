# Which cells run. A chain of prune depths goes on until a cell solves nothing: what is deeper is
# in the DAG only when the cell before it was judged.

from snakemake.exceptions import IncompleteCheckpointException

from codewatt.cells import variants_of
from codewatt.prune_chains import build_chains, select_running_cells
from codewatt.evaluate.depth_record import DEPTH

chains = build_chains(grid)


def known_cells():
    """The cells that run in all sessions, as far as is known, and the files that will tell of more.

    The first session decides where a chain ends.
    """
    # Where chains end follows from what the study says; by now a model may be here.
    if chains:
        check_declared_layers(grid, paths)
    awaited = []

    def solves(cell):
        try:
            judged = checkpoints.judge_depth.get(cell=cell.id)
        except IncompleteCheckpointException as error:
            # Marked as a checkpoint's, an input that is not there would not be missed: Snakemake
            # asks whether inputs are other ones than before only if none is marked.
            depth = error.targetfile
            awaited.append(depth if os.path.exists(depth) else str(depth))
            return False
        return bool(DEPTH.read(judged.output[0])["correct"])

    running = select_running_cells(grid.cells, chains, solves)
    return grid.in_all_sessions(running), awaited


def each_cell(name):
    """Input function: a file of every cell that runs, in every session.

    What is awaited is asked for beside what is known: an exception that left the function would
    ask for one depth of one chain, so that chains ran one after another.
    """

    def files(wildcards):
        cells, awaited = known_cells()
        return [*(paths.cell(name, cell.id) for cell in cells), *awaited]

    return files


def each_variant(name, backend=None):
    """Input function: a file of every variant that runs, or that a backend makes; as for cells."""

    def files(wildcards):
        cells, awaited = known_cells()
        needed = [
            variant
            for variant in variants_of(cells)
            if backend in (None, backend_of(variant))
        ]
        return [*(paths.variant(name, variant.id) for variant in needed), *awaited]

    return files


def each_fidelity():
    """Input function: the fidelity of every variant that runs; none if the study asks for none."""
    return each_variant("fidelity.json") if study.fidelity else []


# Without chains there is no checkpoint: with one, each job of a cluster builds the whole DAG.
if chains:

    checkpoint judge_depth:
        input:
            evaluate=paths.cell("evaluate.json"),
        output:
            depth=paths.cell("depth.json"),
        log:
            paths.log("judge_depth", "{cell}"),
        priority: priorities.prepare
        localrule: True
        conda:
            "../../envs/codewatt.yaml"
        threads: 1
        params:
            code=code("judge_depth"),
        script:
            "../scripts/judge_depth.py"
