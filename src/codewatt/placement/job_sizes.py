"""Memory and time of the jobs of a study, estimated from the size of their models."""

from functools import cached_property

from codewatt.config.site import Machine
from codewatt.energy.placement_check import choose_hardware
from codewatt.estimate.job_plan import Plan
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.placement.job_requests import ModelJob, gpu_nodes
from codewatt.sizing.gpu_datasheets import Gpu, find_gpu


class JobSizes:
    """Memory and time of jobs, each estimated for the GPU that the site file names for it."""

    def __init__(self, grid: Grid, paths: Paths, machine: Machine, cores: int) -> None:
        """Prepare the estimates of a study's jobs.

        Args:
            cores: number of cores of a job that judges.
        """
        self._grid, self._paths, self._machine, self._cores = grid, paths, machine, cores

    def size(self, job: ModelJob) -> dict[str, int] | None:
        """mem_mb and runtime_min of a job (`Plan.resources`); None if GPU or model is unknown."""
        return self._plan.resources(job.stage, job.id)

    @cached_property
    def _plan(self) -> Plan:
        """The plan of all jobs; made when the first size is needed, because it takes a while."""
        named = self._grid.hardware_ids
        cards: dict[str | None, Gpu | None] = dict.fromkeys(named, None)
        if self._grid.study.device != "cpu":
            cards = {name: gpu for name in named if (gpu := self._card(name)) is not None}
        return Plan(self._grid, self._paths, cards, self._cores)

    def _card(self, hardware: str | None) -> Gpu | None:
        """The GPU named by estimated_as of the site file, or else by the id of the hardware."""
        table = self._machine.hardware
        chosen = choose_hardware(table, self._machine.default_hardware, hardware)
        nodes = gpu_nodes(self._machine, hardware)
        return find_gpu((nodes and nodes.estimated_as) or chosen or "")
