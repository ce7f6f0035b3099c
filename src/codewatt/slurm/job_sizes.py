"""Memory and time of a study's jobs by the analytical model, as far as it knows model and GPU."""

from functools import cached_property

from codewatt.cells import Grid
from codewatt.config.site import Machine
from codewatt.energy.placement import chosen_hardware
from codewatt.estimate.job_plan import Plan
from codewatt.paths import Paths
from codewatt.sizing.gpu_datasheets import Gpu, known_gpu
from codewatt.slurm.job_resources import ModelJob, gpu_nodes


class Sizes:
    """Sizes of jobs, each on the card that the site has for its hardware."""

    def __init__(self, grid: Grid, paths: Paths, machine: Machine, cores: int) -> None:
        """Sizes for the jobs of a study at a site; cores: of a job that judges."""
        self._grid, self._paths, self._machine, self._cores = grid, paths, machine, cores

    def of(self, job: ModelJob) -> dict[str, int] | None:
        """mem_mb and runtime_min (`Plan.resources`); None if GPU or model are not known."""
        return self._plan.resources(job.stage, job.id)

    @cached_property
    def _plan(self) -> Plan:
        """Worked out when a size is first asked for."""
        named = self._grid.hardware_ids
        cards: dict[str | None, Gpu | None] = dict.fromkeys(named, None)
        if self._grid.study.device != "cpu":
            cards = {name: gpu for name in named if (gpu := self._card(name)) is not None}
        return Plan(self._grid, self._paths, cards, self._cores)

    def _card(self, hardware: str | None) -> Gpu | None:
        """By the name that the site file says, else by the hardware's own."""
        table = self._machine.hardware
        chosen = chosen_hardware(table, self._machine.default_hardware, hardware)
        nodes = gpu_nodes(self._machine, hardware)
        return known_gpu((nodes and nodes.estimated_as) or chosen or "")
