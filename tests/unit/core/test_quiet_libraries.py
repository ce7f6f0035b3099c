"""What libraries warn of when they are imported does not reach a user's terminal."""

import subprocess
import sys

_SCRIPT = """
import logging
from types import SimpleNamespace
from codewatt.logs import rule_log
with rule_log(SimpleNamespace(rule="generate", log=[{log!r}])) as log:
    import torchao.quantization
    from codewatt.models.gptqmodel_library import import_gptqmodel
    import_gptqmodel()
    log.warning("of codewatt's own")
"""


def test_importing_libraries_writes_nothing_to_the_terminal(tmp_path):
    script = _SCRIPT.format(log=str(tmp_path / "log"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["WARNING: of codewatt's own"]
    assert not done.stdout
