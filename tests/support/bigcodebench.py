"""A small dataset in BigCodeBench's format, for tests without the real one."""

from typing import Any


def bigcodebench_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A row of the dataset: task_func(path) returns the names of a directory, sorted."""
    signature = "import os\n{blank}def task_func(path):\n"
    docstring = '    """\n    Lists the names in a directory, sorted.\n    """\n'
    return {
        "task_id": f"BigCodeBench/{number}",
        "complete_prompt": signature.format(blank="\n") + docstring,
        "instruct_prompt": "Lists the names in a directory, sorted.\nYou should write "
        f"self-contained code starting with:\n```\n{signature.format(blank='')}```",
        "canonical_solution": "    return sorted(os.listdir(path))",
        "code_prompt": signature.format(blank=""),
        "test": "import tempfile\nimport unittest\nfrom pathlib import Path\n"
        "class TestCases(unittest.TestCase):\n"
        "    def test_two_files(self):\n"
        "        with tempfile.TemporaryDirectory() as folder:\n"
        "            for name in 'ba':\n"
        "                (Path(folder) / name).write_text('')\n"
        "            self.assertEqual(task_func(folder), ['a', 'b'])\n",
        "entry_point": "task_func",
        "doc_struct": "{}",
        "libs": "['os']",
        **changes,
    }
