"""The order in which the sandbox's file system is put together."""

from codewatt.evaluate.bubblewrap import arguments_of


def test_the_private_tmp_does_not_hide_a_python_installed_below_tmp():
    arguments = arguments_of(1 << 20)
    mounted = [
        at
        for at, (flag, path) in enumerate(zip(arguments, arguments[1:], strict=False))
        if (flag, path) == ("--tmpfs", "/tmp")
    ]
    assert len(mounted) == 1
    assert mounted[0] < arguments.index("--ro-bind")
