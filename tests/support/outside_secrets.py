"""Things outside a sandbox that hostile programs try to reach."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def outside_secrets(name: str, content: str) -> Iterator[dict[str, str]]:
    """Make them, and check at the end that no program changed the folder or the file.

    Args:
        name: name of the secret file.
        content: its text.

    Yields:
        port: of a TCP server on loopback. abstract: name of a UNIX socket without a file. folder,
        secret: paths that every user may read and write. checkout: path of this repository. The
        environment variable CODEWATT_SECRET is set.
    """
    abstract = f"codewatt-test-{os.getpid()}-{name}"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as unix,
        tempfile.TemporaryDirectory(prefix="codewatt-outside-") as folder,
    ):
        unix.bind(f"\0{abstract}")
        unix.listen()
        os.chmod(folder, 0o777)
        secret = Path(folder, name)
        secret.write_text(content)
        secret.chmod(0o666)
        os.environ["CODEWATT_SECRET"] = "outside"
        yield {
            "port": str(server.getsockname()[1]),
            "abstract": abstract,
            "folder": folder,
            "secret": str(secret),
            "checkout": str(Path(__file__).parents[2]),
        }
        del os.environ["CODEWATT_SECRET"]
        assert {path.name for path in Path(folder).iterdir()} == {name}
        assert secret.read_text() == content
