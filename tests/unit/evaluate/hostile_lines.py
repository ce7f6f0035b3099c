"""Compares hostile outputs in the judge's helper process; a script, so that its memory is its own.

Prints what each comparison said, and the most memory (bytes) that a helper process held, as the
kernel counted it.
"""

import json
import resource
from collections.abc import Iterator

from codewatt.evaluate.outputs.comparison_process import OutputComparer
from codewatt.evaluate.outputs.special_oracles import TestRule

MERSENNE = (1 << 61) - 1  # integers that differ by it have equal hashes
LIMIT_S = 0.3


def many(part: str, count: int) -> str:
    """A JSON list of equal parts."""
    return f"[{','.join([part] * count)}]"


def flood(count: int) -> str:
    """A JSON list of integers of one hash."""
    return f"[{','.join(str(number * MERSENNE) for number in range(1, count))}]"


def outputs() -> Iterator[tuple[str, str, str]]:
    """Name, encoded output, encoded expected output."""
    floats = many("1.0", 100_000)
    yield "columns against a row", many("[1.0]", 100_000), floats
    yield "arrays as columns", many('{"ndarray":["<f8",[1,1],[1.0]]}', 50_000), many("2.0", 50_000)
    yield "a column array", f'[2.0,{{"ndarray":["<f8",[100000,1],{floats}]}}]', f"[1.0,{floats}]"
    yield "an empty array of a huge shape", '[{"ndarray":["<f8",[0,1000000000000],[]]}]', "[1.0]"
    yield "empty arrays", many('{"ndarray":["<f8",[0,2],[]]}', 2), "[1.0,1.0]"
    yield "an array of a huge shape", '{"ndarray":["<f8",[1000000,1000000],[1.0]]}', "1.0"
    yield "ranges", many('{"range":[0,1000000000000,1]}', 1000), many("1.0", 1000)
    yield "a range", '{"range":[0,1000000000000000,1]}', "[1.0]"
    yield "a set of equal hashes", f'{{"set":{flood(200_000)}}}', '{"set":[1]}'
    pairs = f"[{','.join(f'[{number * MERSENNE},1]' for number in range(1, 100_000))}]"
    yield "a dictionary of equal hashes", f'{{"dict":{pairs}}}', '{"dict":[[1,1]]}'
    yield "a counter of equal hashes", f'{{"Counter":{pairs}}}', '{"dict":[[1,1]]}'
    yield "deep", "[" * 1_000_000, "[1.0]"
    yield "deep and closed", "[" * 900 + "]" * 900, "[1.0]"
    yield "lists without end", many("[]", 10_000_000), "[1.0]"
    yield "objects without end", many('{"tuple":[]}', 2_000_000), "[1.0]"
    yield "subclasses", many('{"sub":["list","x",[]]}', 1_000_000), "[1.0]"
    names = [f'{{"sub":["list","x{number}",[]]}}' for number in range(200_000)]
    yield "subclasses of many names", f"[{','.join(names)}]", "[1.0]"
    yield "a huge exponent", many('{"Decimal":"1e999999999999999999"}', 2), "[1.0,2.0]"
    yield "a decimal of many digits", f'{{"Decimal":"{"7" * 5_000_000}"}}', "1.0"
    yield "a huge integer", f'{{"int":"{"f" * 10_000_000}"}}', "1.0"
    yield "a huge fraction", f'{{"Fraction":[{{"int":"{"f" * 9_000_000}"}},7]}}', "1.5"
    wide = ",".join(['"' + "x" * 100_000 + '"', *['"y"'] * 100_000])
    yield "texts of one long width", f'{{"ndarray":["<U1",[100001],[{wide}]]}}', "1.0"
    yield "texts in a list", f"[{wide}]", many('"y"', 100_001)
    yield "a text", '"' + "\\ud83d\\ude00" * 2_700_000 + '"', '"a"'


def main() -> None:
    """Compare them all."""
    said = {}
    with OutputComparer() as comparer:
        for name, output, expected in outputs():
            rule = TestRule(atol=1e-6)
            wrong, _ = comparer.compare(
                output.encode(), rule, expected.encode(), LIMIT_S, lambda: None
            )
            said[name] = wrong
        right, _ = comparer.compare(b"[1,2]", TestRule(), b"[1,2.0]", 60.0, lambda: None)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(json.dumps({"said": said, "right": right, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
