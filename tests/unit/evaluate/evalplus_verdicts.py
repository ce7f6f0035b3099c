"""EvalPlus's own verdicts on programs, as JSON; a script, as EvalPlus's guard spoils its process.

Reads {name: [code, expected outputs as an expression]} and judges each program's f(1) and f(2).
Arguments are names of modules that are imported first. EvalPlus starts each program in a fork, so
a module that many programs import is then loaded once.
"""

import importlib
import json
import sys

import evalplus.evaluate  # noqa: F401  (what EvalPlus's process has loaded)
from evalplus.eval import untrusted_check

#: Of a call (s). EvalPlus counts wall time; libraries are imported in it.
TIME_LIMIT_S = 30.0


def main() -> None:
    """Judge the programs."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    asked = json.load(sys.stdin)
    found = {}
    for name, (code, expected) in asked.items():
        found[name], _ = untrusted_check(
            "humaneval", code, [[1], [2]], "f", expected=eval(expected), atol=0,
            ref_time=[0.5, 0.5], fast_check=True, min_time_limit=TIME_LIMIT_S,
        )  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
