"""Memory and time of a study's jobs by the analytical model, as far as it knows model and GPU."""

from codewatt.cells import Grid
from codewatt.cluster.requests import ModelJob, gpu_nodes
from codewatt.config.machine import Machine
from codewatt.energy.placement import chosen_hardware
from codewatt.estimate.plan import Plan
from codewatt.paths import Paths
from codewatt.sizing.gpus import known_gpu


class Sizes:
    """Sizes of jobs, each kind of GPU's worked out when it is first asked for."""

    def __init__(self, grid: Grid, paths: Paths, machine: Machine, cores: int) -> None:
        """Sizes for the jobs of a study at a site; cores: of a job that judges."""
        self._grid, self._paths, self._machine, self._cores = grid, paths, machine, cores
        self._plans: dict[str | None, Plan | None] = {}

    def of(self, job: ModelJob) -> dict[str, int] | None:
        """mem_mb and runtime_min (`Plan.resources`); None if GPU or model are not known."""
        chosen = chosen_hardware(
            self._machine.hardware, self._machine.default_hardware, job.hardware
        )
        nodes = gpu_nodes(self._machine, job.hardware)
        card = chosen if nodes is None else nodes.estimated_as or chosen
        if card not in self._plans:
            self._plans[card] = self._plan(card)
        plan = self._plans[card]
        return None if plan is None else plan.resources(job.stage, job.id)

    def _plan(self, card: str | None) -> Plan | None:
        gpu = None if self._grid.study.device == "cpu" else known_gpu(card or "")
        if gpu is None and self._grid.study.device != "cpu":
            return None
        return Plan(self._grid, self._paths, gpu, self._cores)
