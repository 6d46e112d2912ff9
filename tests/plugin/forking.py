"""pytest in children of one process that has imported it: a session costs a fork, not a start. Asserts nothing."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.plugin.kiosk import Kiosk, Suite

_TIMEOUT_S = 120.0
_SERVER = """\
import asyncio, importlib, json, os, sqlite3, sys, traceback
import _pytest.junitxml, cryptography.hazmat.primitives.asymmetric.ed25519, httpx, orjson, pydantic, pytest, xdist
for name in {modules!r}:
    importlib.import_module(name)

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(asked["cwd"])
        os.environ.clear(), os.environ.update(asked["env"])
        sys.path[0] = asked["cwd"]
        sys.argv = ["pytest", *asked["args"]]
        status = 99
        try:
            status = int(pytest.main())
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 98
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps(status), flush=True)
"""
_BOUNDARIES = (
    "anyio", "asyncio", "asyncio_subprocess", "clock", "concurrent_futures", "entropy", "environment", "files",
    "http_client", "httpx", "logging", "os_processes", "pydantic", "queue", "sleep", "socket", "sqlite3", "ssl",
    "subprocess", "threading", "verification",
)  # fmt: skip
_ENTRIES = ("arq", "asgi", "celery", "click", "django", "dramatiq", "function", "rq", "wsgi")
_MODULES = (
    "anyio._backends._asyncio",
    "certifi",
    "h2.connection",
    "httpcore",
    *(f"pytest_fluxrun.boundaries.{name}" for name in _BOUNDARIES),
    *(f"pytest_fluxrun.entries.{name}" for name in _ENTRIES),
    "pytest_fluxrun.recording.service",
    "pytest_fluxrun.plugin.replay",
    "pytest_fluxrun.plugin.session",
    "pytest_fluxrun.execution.stages",
    "pytest_fluxrun.store",
)
"""What a session imports anyway; seams are put up later, by the session."""


class Forking:
    """The process that forks. Sessions run one after another."""

    def __init__(self, kiosk: Kiosk) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER.format(modules=_MODULES)],
            cwd=kiosk.root,
            env=kiosk.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def pytest(self, kiosk: Kiosk, *arguments: str, cwd: Path | None = None, **variables: str) -> Suite:
        """Run pytest with FluxRun and no other plugin, as `Kiosk.pytest`; without JUnit."""
        named = () if "no:fluxrun" in arguments else ("-p", "fluxrun")
        alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | variables
        return Suite(*self.session(kiosk, *named, *arguments, cwd=cwd, **alone))

    def session(self, kiosk: Kiosk, *arguments: str, cwd: Path | None = None, **variables: str) -> tuple[int, str]:
        """Run pytest; returns its exit code and what it wrote."""
        out = kiosk.root.parent / "out.txt"
        code = self._ask({
            "args": arguments, "cwd": str(cwd or kiosk.root), "env": kiosk.environment(**variables), "out": str(out),
        })  # fmt: skip
        return code, out.read_text()

    def _ask(self, request: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ended, _, _ = select.select([self._process.stdout], [], [], _TIMEOUT_S)
        assert ended, f"a session of pytest took longer than {_TIMEOUT_S:g} s"
        answer = self._process.stdout.readline()
        assert answer, "the forking process has ended"
        return int(json.loads(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()
