"""A YAML file holds one mapping of plain values; anything else is one line."""

import pytest
import yaml

from codewatt.config.yaml_file import read_yaml
from codewatt.errors import CodewattError


def _bomb(level, depth):
    """YAML whose values double at each line."""
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{n}: &a{n} " + level.format(f"*a{n - 1}") for n in range(1, depth)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: [", r":1:9: not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", r":3:1: not valid YAML: duplicate key 'a'"),
        ("- 1\n", r": expected a mapping of keys, got a list"),
        ("", r": expected a mapping of keys, got nothing"),
        ("a: !!python/object/apply:os.system [x]\n", r"not valid YAML"),
        ("study: {{name}}\n", r":1:9: not valid YAML: a key is a mapping or a list"),
        ("? [a]\n: 1\n", r":1:3: not valid YAML: a key is a mapping or a list"),
        ("a: 2020-13-45\n", r":1:4: not valid YAML: '2020-13-45' is not a valid timestamp"),
        ("a: !!int x\n", r":1:4: not valid YAML: 'x' is not a valid int"),
        ("a: &a {x: 1, x: 2}\nb: {<<: *a}\n", r":1:14: not valid YAML: duplicate key 'x'"),
        ("a: {<<: {x: 1, x: 2}}\n", r":1:16: not valid YAML: duplicate key 'x'"),
        ("a: &a {y: 1}\nb: {<<: *a, x: 1, x: 2}\n", r":2:19: not valid YAML: duplicate key 'x'"),
        ("a: {<<: 3}\n", r":1:9: not valid YAML: expected a mapping or list of mappings"),
        ("a: " + "[" * 3000, r"not valid YAML: nested too deeply"),
        ("a: {b: [1, .inf]}\n", r": a\.b\[1\]: inf: a number must be finite"),
        ("a: -.Inf\n", r": a: -inf: a number must be finite"),
        ("a: .nan\n", r": a: nan: a number must be finite"),
        ("a: 1.0e+999\n", r": a: inf: a number must be finite"),
        ("a: &a {x: .nan}\nb: {<<: *a}\n", r": a\.x: nan: a number must be finite"),
        ("a: 2026-11-29\n", r": a: 2026-11-29: a date; allowed: text, in quotes"),
        ("a: !!binary aGk=\n", r": a: a bytes; allowed: text, numbers"),
        ("a: !!set {x}\n", r": a: a set; allowed: text, numbers"),
        ("a: {4090: x}\n", r": a: key 4090 is not a string; allowed: the key in quotes"),
        ("on: x\n", r": key True is not a string"),
        ("a: {~: x}\n", r": a: key None is not a string"),
        ("a: 99999999999999999999\n", r": a: an integer of 67 bits; allowed: up to 64"),
        ("a: 0x" + "f" * 9000 + "\n", r": a: an integer of 36000 bits; allowed: up to 64"),
        ("a: " + "9" * 9000 + "\n", r":1:4: not valid YAML: '9+' is not a valid int"),
        ('a: "\\ud800"\n', r": a: '.*ud800': half a surrogate pair"),
        ("a: &a [*a]\n", r":1:4: not valid YAML: a value contains an alias of itself"),
        ("a: &a {b: {c: *a}}\n", r":1:4: not valid YAML: a value contains an alias of itself"),
        ("---\na: 1\n---\nb: 2\n", r"not valid YAML: but found another document"),
        ("a: \x1b[2J\n", r"not valid YAML: unacceptable character #x001b"),
        (_bomb("[{0}, {0}]", 30), r"aliases expand to more than 100000 values"),
        (_bomb("{{x: {0}, y: {0}}}", 40), r"aliases expand to more than 100000 values"),
        (_bomb("{{<<: [{0}, {0}]}}", 40), r"aliases expand to more than 100000 values"),
        ("a: " + "x" * (1 << 20), r"too large; allowed: 1 MiB"),
    ],
)
def test_bad_yaml_is_one_line(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(CodewattError, match=message) as caught:
        read_yaml(tmp_path / "study.yaml")
    assert "\n" not in str(caught.value)
    assert "study.yaml" in str(caught.value)


def test_merged_keys_are_read_as_snakemake_reads_them(tmp_path):
    (tmp_path / "study.yaml").write_text(
        "base: &base {x: 1, y: 2}\n"
        "more: &more {<<: *base, y: 3}\n"
        "all: {y: 4, <<: *more, z: 5}\n"
        "again: {<<: [*more, *base]}\n"
    )
    read = read_yaml(tmp_path / "study.yaml")
    assert read == yaml.safe_load((tmp_path / "study.yaml").read_text())
    assert read["all"] == {"x": 1, "y": 4, "z": 5}
    assert read["again"] == {"x": 1, "y": 3}
