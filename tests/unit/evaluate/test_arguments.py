"""The order in which the sandbox's file system is put together."""

import itertools

from codewatt.evaluate.sandbox.bubblewrap import bubblewrap_arguments


def test_the_private_tmp_does_not_hide_a_python_installed_below_tmp():
    arguments = bubblewrap_arguments(1 << 20)
    mounted = [
        at
        for at, (flag, path) in enumerate(itertools.pairwise(arguments))
        if (flag, path) == ("--tmpfs", "/tmp")
    ]
    assert len(mounted) == 1
    assert mounted[0] < arguments.index("--ro-bind")
