"""A project on disk: recorded under uvicorn, replayed with pytest, each in a process of its own. Judges nothing."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Self

import httpx

from pytest_fluxrun.config import load_settings
from pytest_fluxrun.judgement.corpus import Placed, keyring_for, open_placed, scan
from pytest_fluxrun.judgement.guard import Guard, digest, write_guard
from pytest_fluxrun.run import Run

_START_S = 30.0
_STOP_S = 20.0
_COMMAND_S = 400.0
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Case:
    """What JUnit says of one item: `passed`, `failed`, `error` or `skipped`, its properties, its text."""

    name: str
    result: str
    properties: dict[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Suite:
    """What one pytest run said."""

    exit_code: int
    cases: list[Case]
    output: str

    @property
    def verdicts(self) -> Counter[str]:
        """How often each verdict was given."""
        return Counter(case.properties.get("fluxrun.verdict", "none") for case in self.cases)

    @property
    def told(self) -> str:
        """What is wrong, for the message of an assertion: nothing where all is well."""
        bad = [case for case in self.cases if case.result != "passed"]
        return "\n\n".join([f"{len(bad)} of {len(self.cases)} items are not green", *(case.text for case in bad[:5])])


@dataclass(frozen=True, slots=True)
class Project:
    """A directory with an app, keys of its own, and recorded runs."""

    root: Path

    @property
    def runs(self) -> Path:
        """Where the bundles and guards lie."""
        return self.root / "runs"

    def environment(self, **variables: str) -> dict[str, str]:
        """Nothing of the caller's FluxRun, and keys below this directory."""
        foreign = ("FLUXRUN_", "SHOP_", "PYTEST")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        own = {
            "HOME": str(self.root),
            "XDG_CONFIG_HOME": str(self.root / ".config"),
            "PYTHONPATH": str(_REPOSITORY),
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }
        return kept | own | variables

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the project's directory."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )

    def fluxrun(self, *arguments: str) -> str:
        """Run a `fluxrun` command that succeeds; returns what it printed."""
        done = self.python("-m", "pytest_fluxrun", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def replay(self, *arguments: str, plugins: Sequence[str] = (), **variables: str) -> Suite:
        """Replay with pytest, FluxRun and the plugins named: every run, or those whose node ids are given."""
        named = [word for plugin in ("fluxrun", *plugins) for word in ("-p", plugin)]
        return self._replay(*named, *arguments, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **variables)

    def replay_with_everything(self, *arguments: str, **variables: str) -> Suite:
        """Likewise, with every plugin that is installed, pytest-randomly too unless told."""
        return self._replay(*arguments, **variables)

    def _replay(self, *arguments: str, **variables: str) -> Suite:
        report = self.root / f"report-{time.monotonic_ns()}.xml"
        options = ["--fluxrun-dir=runs", f"--junitxml={report.name}", "-p", "no:cacheprovider", "-q"]
        done = self.python("-m", "pytest", *options, *arguments, **variables)
        return Suite(done.returncode, _cases(report), done.stdout)

    def placed(self) -> list[Placed]:
        """The recorded runs, by name."""
        return scan(self.runs)

    def open(self) -> dict[str, Run]:
        """Every run in the clear, by name."""
        environment = self.environment()
        keyring = keyring_for(load_settings({}, environ=environment, start_dir=self.root), self.root, environment)
        return {placed.name: open_placed(placed, keyring)[0] for placed in self.placed()}

    def guard(self, placed: Placed, **expectation: object) -> None:
        """Write a guard: without more, that everything stays as recorded."""
        pinned = {"run": placed.run_id, "sha256": digest(placed.bundle.read_bytes())}
        write_guard(self.runs / f"{placed.name}.guard.toml", Guard.model_validate(pinned | expectation))


@dataclass
class Door:
    """Listens where a server used to be, and counts who knocks."""

    port: int
    knocks: int = 0
    _listener: socket.socket = field(init=False)

    def __enter__(self) -> Self:
        # two workers may listen at once: each of them must hear nothing
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128, reuse_port=True)
        threading.Thread(target=self._count, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _count(self) -> None:
        while True:
            try:
                visitor, (_, port) = self._listener.accept()
            except OSError:
                return
            self.knocks += not _is_strangers(port)
            visitor.close()


def _is_strangers(port: int) -> bool:
    """Whether a connection comes from another worker of the session: a client that still looks for a server of its own.

    The port was that one's before. Who can't be found is no stranger.
    """
    inode = next((fields[9] for fields in _connections() if int(fields[1].rpartition(":")[2], 16) == port), None)
    holders = [
        pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if f"socket:[{inode}]" in _held_by(pid)
    ]
    above = {one for pid in holders for one in _ancestors(pid)}
    return os.getppid() in above and os.getpid() not in above


def _held_by(pid: int) -> set[str]:
    """What a process has open, as the kernel names it."""
    held = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                held.add(str(descriptor.readlink()))
    return held


def _connections() -> Iterator[list[str]]:
    """The lines of the kernel's table of IPv4 connections."""
    yield from (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])


def _ancestors(pid: int) -> Iterator[int]:
    """A process and those above it."""
    with suppress(OSError):
        while pid:
            yield pid
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


UVICORN = ("uvicorn", "{application}", "--port", "{port}", "--log-level", "warning")


@contextmanager
def server(project: Project, application: str, *, command: Sequence[str] = UVICORN, **variables: str) -> Iterator[str]:
    """Serve an application, and stop the server with SIGTERM at the end; gives its address.

    Args:
        project: where it runs.
        application: `module:attribute`.
        command: what runs after `python -m`, with `{application}` and `{port}` to be filled in.
        variables: of its environment.
    """
    port = free_port()
    log = project.root / f"{application.partition(':')[0]}.log"
    filled = [word.format(application=application, port=port) for word in command]
    with log.open("w") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-m", *filled],
            cwd=project.root,
            env=project.environment(**variables),
            stdout=log_file,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@contextmanager
def recording_server(
    project: Project, application: str, *, command: Sequence[str] = UVICORN, **variables: str
) -> Iterator[str]:
    """Serve an instrumented application that keeps every run."""
    settings = {
        "FLUXRUN_STORE": "runs",
        "FLUXRUN_SAMPLE": "1",
        "FLUXRUN_KEEP_4XX": "1",
        "FLUXRUN_TOKEN": project.fluxrun("token").strip(),
    }
    with server(project, application, command=command, **(settings | variables)) as url:
        yield url


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=1)
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"the server on port {port} did not start:\n{log.read_text()}")


def _cases(report: Path) -> list[Case]:
    if not report.exists():
        return []
    return [_case(element) for element in ET.parse(report).getroot().iter("testcase")]


def _case(element: ET.Element) -> Case:
    properties = {each.attrib["name"]: each.attrib["value"] for each in element.iter("property")}
    for tag, result in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        found = element.find(tag)
        if found is not None:
            return Case(element.attrib["classname"], result, properties, found.text or found.attrib.get("message", ""))
    return Case(element.attrib["classname"], "passed", properties, "")


def load(path: Path) -> ModuleType:
    """A script of the example as a module of its own; `sys.path` stays as it is."""
    spec = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def node_ids(placed: Sequence[Placed]) -> list[str]:
    """The pytest node id of each run."""
    return [f"runs/{each.bundle.name}::replay" for each in placed]
