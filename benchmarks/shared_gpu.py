"""A machine that a stranger uses too: two metered repeats of matrix products, one beside another.

The stranger is a process that nobody waits for, started between the repeats. Writes the timeline
and the manifest that the tests replay, and prints each repeat's joules and what failed: on a GPU
`gpu_not_shared` in the second repeat, without one `node_not_shared`.

    python benchmarks/shared_gpu.py OUT_FOLDER
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
# The sampler is a process of its own.
os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])

from codewatt.energy.cell_energy import measure_cell
from codewatt.energy.phase_windows import PhaseLog
from codewatt.energy.sampler import Sampler
from codewatt.files import write_json
from codewatt.models.loading import resolve_device, used_gpu_uuids

_REPEAT_S = 11.0
_STRANGER = """
import time, torch
b = torch.randn({size}, {size}, device={device!r}, dtype=torch.bfloat16)
end_s = time.monotonic() + 18
while time.monotonic() < end_s:
    for _ in range(50):
        b @ b
    if b.is_cuda:
        torch.cuda.synchronize()
"""


def main() -> None:
    """Measure, write, print."""
    import torch

    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    device = resolve_device("auto")
    size = 4096 if device == "cuda" else 512
    synchronise = torch.cuda.synchronize if device == "cuda" else None
    phases = PhaseLog(synchronise)
    product = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    with Sampler(out / "shared.parquet") as sampler:
        sampler.use_gpus(used_gpu_uuids(device))
        with phases.window("idle_loaded"):
            time.sleep(3)
        with phases.window("repeat", repeat=0):
            _multiply(product, synchronise)
        stranger = _STRANGER.format(size=size, device=device)
        subprocess.run(["setsid", "--fork", sys.executable, "-c", stranger], check=True)
        time.sleep(5)
        with phases.window("repeat", repeat=1):
            _multiply(product, synchronise)
        time.sleep(8)
        with phases.window("idle_after"):
            time.sleep(3)
    manifest = {
        "cell": {},
        "model": {"device": device},
        "windows": phases.windows,
        "meters": sampler.meters,
        "sampler": sampler.summary,
    }
    write_json(out / "shared.json", manifest)
    boundary = "gpu" if device == "cuda" else "node"
    cell = measure_cell(manifest, out / "shared.parquet", None, None, {"boundary": boundary}).record
    for run in cell["runs"]:
        print(f"repeat {run['repeat']}: {run['energy_j'][boundary]:.0f} J ({boundary})")
    for judged in cell["checks"]:
        if judged["passed"] is False:
            where = "" if judged["repeat"] is None else f", repeat {judged['repeat']}"
            print(f"{judged['severity']}: {judged['name']}{where}: {judged['observed']}")


def _multiply(product: Any, synchronise: Any) -> None:
    end_s = time.monotonic() + _REPEAT_S
    while time.monotonic() < end_s:
        for _ in range(20):
            product @ product
        if synchronise is not None:
            synchronise()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
