"""EvalPlus's own verdicts on programs, as JSON; a script, as EvalPlus's guard spoils its process.

Reads {"programs": {name: code}, "expected": repr} and judges each program's f(1) and f(2).
"""

import json
import sys

import evalplus.evaluate  # noqa: F401  (what EvalPlus's process has loaded)
from evalplus.eval import untrusted_check


def main() -> None:
    """Judge the programs."""
    asked = json.load(sys.stdin)
    found = {}
    for name, (code, expected) in asked.items():
        found[name], _ = untrusted_check(
            "humaneval", code, [[1], [2]], "f", expected=eval(expected), atol=0,
            ref_time=[0.5, 0.5], fast_check=True,
        )  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
