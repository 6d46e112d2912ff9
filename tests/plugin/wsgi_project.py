"""An empty project with keys, and real gunicorn on it. Holds no assertion about FluxRun."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.plugin.kiosk import Kiosk
from tests.plugin.recorded import new_kiosk

PATIENCE_S = 60

_SETTINGS = """\
[tool.fluxrun]
project = "shop"
modules = ["{modules}"]
store = "runs"
release = "r1"
"""


def project(root: Path, *, modules: str) -> Kiosk:
    """A project that can record and replay, under `root`."""
    return new_kiosk(root, _SETTINGS.format(modules=modules), name="shop")


@contextmanager
def gunicorn(shop: Kiosk, target: str, *options: str, **variables: str) -> Iterator[int]:
    """Serve on a port until the block ends, then end as a deployment does: SIGTERM, and wait."""
    log_path = shop.root.parent / "gunicorn.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log_path.open("w") as log:
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", *options, target]
        environment = shop.environment(**shop.recording, **variables)
        server = subprocess.Popen(
            command, cwd=shop.root, env=environment, stdout=log, stderr=log, pass_fds=[listener.fileno()]
        )
        try:
            yield listener.getsockname()[1]
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(PATIENCE_S)
            assert 0 == code, log_path.read_text()
