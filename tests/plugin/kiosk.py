"""A small service in a directory, and pytest on it in a process of its own. Holds no assertion about FluxRun."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pytest_fluxrun.bundle import ProjectKey, Token
from pytest_fluxrun.judgement.guard import Guard, digest, write_guard
from tests.serving import serving

_REPOSITORY = Path(__file__).parents[2]
_TIMEOUT_S = 120

SERVICE = '''\
"""Quotes and orders: one thing that works, one that fails, and a web front."""

import datetime
import json
import os
import sqlite3
import uuid

import httpx

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")


def rate():
    """Ask the upstream server for the rate."""
    return httpx.get(os.environ["UPSTREAM"] + "/rate").json()["rate"]


@fluxrun.capture("quote")
def quote(amount):
    """Give a price, and keep it."""
    database = sqlite3.connect("kiosk.db")
    database.execute("create table if not exists quotes (id text, amount int)")
    database.execute("insert into quotes values (?, ?)", (str(uuid.uuid4()), amount))
    database.commit()
    kept = database.execute("select count(*) from quotes").fetchone()[0]
    database.close()
    return {"price": amount * rate(), "kept": kept, "at": datetime.datetime.now().isoformat()}


@fluxrun.capture("refund")
def refund(amount):
    """Fail for seven."""
    current = rate()
    if amount == 7:
        raise ValueError(f"can't refund {amount} at {current}")
    return {"refunded": amount * current}


async def front(scope, receive, send):
    """Serve GET /price?21: 500 for what is no number."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    async with httpx.AsyncClient() as client:
        answer = (await client.get(os.environ["UPSTREAM"] + "/rate")).json()
    try:
        status, body = 200, {"price": int(scope["query_string"]) * answer["rate"], "id": uuid.uuid4().hex}
    except ValueError:
        status, body = 500, {"error": "not a number"}
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


app = fluxrun.instrument(front, name="front")
'''

RECORD = """\
import asyncio, contextlib, httpx, service

async def drive():
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://kiosk") as client:
        for amount in ("21", "many"):
            await client.get(f"/price?{amount}")

for amount in (1, 2):
    service.quote(amount)
with contextlib.suppress(ValueError):
    service.refund(7)
asyncio.run(drive())
assert service.fluxrun.flush(20)
"""

SETTINGS = """\
[tool.fluxrun]
project = "kiosk"
modules = ["service"]
store = "runs"
release = "r1"
"""


class Upstream:
    """A live server: answers every request, and counts them."""

    def __init__(self, port: int = 0) -> None:
        self.hits = 0
        self.body = b'{"rate": 3}'
        self.headers: dict[str, str] = {}
        live = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                live.hits += 1
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(live.body)))
                for name, value in live.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(live.body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def upstream_server(port: int = 0) -> Iterator[Upstream]:
    """Serve on loopback for the block."""
    upstream = Upstream(port)
    with serving(upstream.server):
        yield upstream


@dataclass(frozen=True, slots=True)
class Case:
    """What JUnit says of one item: `passed`, `failed`, `error`, `skipped`; its `fluxrun.*` properties and its text."""

    name: str
    result: str
    properties: dict[str, str]
    text: str

    @property
    def verdict(self) -> str:
        """The verdict, or "" where the item isn't a run or gave none."""
        return self.properties.get("fluxrun.verdict", "")


@dataclass(frozen=True, slots=True)
class Suite:
    """What one pytest run said."""

    exit_code: int
    output: str
    junit: str = ""
    cases: dict[str, Case] = field(default_factory=dict)

    @property
    def results(self) -> dict[str, int]:
        """The counts of pytest's last line: {"passed": 2, "failed": 1}."""
        lines = [line for line in self.output.splitlines() if re.search(r" in \d+\.\d+s", line)]
        found = re.findall(r"(\d+) ([a-z]+)", lines[-1].split(" in ")[0]) if lines else []
        return {name.removesuffix("s") if name == "errors" else name: int(count) for count, name in found}

    @property
    def lines(self) -> list[str]:
        """The output, by line."""
        return self.output.splitlines()

    def line(self, beginning: str) -> str:
        """The one line that, without its margin, begins so."""
        found = [line for line in self.lines if line.strip().startswith(beginning)]
        assert len(found) == 1, f"{len(found)} lines begin with {beginning!r}:\n{self.output}"
        return found[0].strip()

    def case(self, entry: str) -> Case:
        """The one case of an entry's run, or of a test's name."""
        found = [case for name, case in self.cases.items() if entry in name]
        assert len(found) == 1, f"{len(found)} cases for {entry!r}:\n{self.output}"
        return found[0]


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A project directory with recorded runs.

    Attributes:
        root: its directory; `runs/` holds two runs of quote (1, 2), one failed of refund, two of the web front.
        key: opens its bundles.
        token: signed them.
        port: of the upstream server that they talked to.
        sessions: runs a command in a child of a process that has imported pytest, and returns its exit code and what
            it wrote; None: each command starts Python.
    """

    root: Path
    key: ProjectKey
    token: Token
    port: int = 0
    sessions: Callable[..., tuple[int, str]] | None = None

    @property
    def recording(self) -> dict[str, str]:
        """Environment variables of a process that records every run."""
        return {"FLUXRUN_TOKEN": self.token.to_text(), "FLUXRUN_SAMPLE": "1"}

    @property
    def runs(self) -> Path:
        """Where the bundles and guards lie."""
        return self.root / "runs"

    def bundles(self, entry: str = "") -> list[Path]:
        """The bundles of an entry, or all, by name."""
        return sorted(self.runs.glob(f"{entry}-*.fluxrun" if entry else "*.fluxrun"))

    def entries(self) -> list[str]:
        """The entry of each bundle, sorted."""
        return sorted(bundle.name.rpartition("-")[0] for bundle in self.bundles())

    def bundle(self, entry: str) -> Path:
        """The oldest bundle of an entry."""
        return self.bundles(entry)[0]

    def node_id(self, entry: str) -> str:
        """The node id of an entry's oldest run."""
        return f"runs/{self.bundle(entry).name}::replay"

    def keep_only(self, *entries: str) -> None:
        """Delete the bundles of other entries."""
        for bundle in self.bundles():
            if not bundle.name.startswith(tuple(f"{entry}-" for entry in entries)):
                bundle.unlink()

    def guard(self, entry: str, **expectation: Any) -> Path:
        """Write a guard for an entry's oldest run; by default the recorded outcome."""
        bundle = self.bundle(entry)
        fields = {"run": bundle.stem[-26:], "sha256": digest(bundle.read_bytes())} | expectation
        path = bundle.with_name(f"{bundle.stem}.guard.toml")
        write_guard(path, Guard.model_validate(fields))
        return path

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that is in a file of the project."""
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def fix_refund(self) -> None:
        """Repair what fails in refund, asking for nothing more."""
        self.edit("service.py", "if amount == 7:", "if amount == 8:")

    def digests(self) -> dict[str, str]:
        """Every file that a run must not touch, by its digest."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        untouched = [path for path in files if not {".pytest_cache", "__pycache__"} & set(path.parts)]
        return {str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in untouched}

    def environment(self, **variables: str) -> dict[str, str]:
        """Nothing of the caller's FluxRun or pytest, and the key of this project."""
        dropped = ("FLUXRUN_", "PYTEST", "COV_CORE", "COVERAGE_PROCESS", "CI", "BUILD_NUMBER", "GITHUB_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        own = {
            "HOME": str(self.root.parent),
            "XDG_CONFIG_HOME": str(self.root.parent / "config"),
            "PYTHONPATH": str(_REPOSITORY),
            "COLUMNS": "220",
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
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
            timeout=_TIMEOUT_S,
            check=False,
        )

    def pytest(self, *arguments: str, plugins: Sequence[str] = (), **variables: str) -> Suite:
        """Run pytest with FluxRun and the plugins named, and no other."""
        named = [word for plugin in ("fluxrun", *plugins) for word in ("-p", plugin)]
        return self._pytest(*named, *arguments, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **variables)

    def pytest_with_everything(self, *arguments: str, **variables: str) -> Suite:
        """Run pytest with every plugin that is installed, in file order unless told."""
        order = () if "randomly" in str(arguments) else ("-p", "no:randomly")
        return self._pytest("-W", "ignore:The configuration option", *order, *arguments, **variables)

    def replay(self, *arguments: str, plugins: Sequence[str] = (), **variables: str) -> Suite:
        """Run pytest on the runs, without confirmation of what doesn't pass."""
        return self.pytest("--fluxrun-dir=runs", "--fluxrun-no-confirm", *arguments, plugins=plugins, **variables)

    def _pytest(self, *arguments: str, **variables: str) -> Suite:
        report = self.root.parent / "junit.xml"
        report.unlink(missing_ok=True)
        at_start = any(name.startswith("PYTHON") for name in variables)  # read when Python starts
        others = arguments.count("-p") > 1 or "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in variables  # pytest imports them
        if self.sessions is not None and not (at_start or others):
            code, output = self.sessions(self, f"--junitxml={report}", *arguments, **variables)
        else:
            done = self.python("-m", "pytest", f"--junitxml={report}", *arguments, **variables)
            code, output = done.returncode, done.stdout
        junit = report.read_text() if report.exists() else ""
        return Suite(code, output, junit, _cases(junit) if junit else {})


def _cases(junit: str) -> dict[str, Case]:
    found = {}
    for element in ET.fromstring(junit).iter("testcase"):
        name = f"{element.attrib['classname']}::{element.attrib['name']}"
        properties = {each.attrib["name"]: each.attrib["value"] for each in element.iter("property")}
        result, text = "passed", ""
        for tag, meaning in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
            child = element.find(tag)
            if child is not None:
                result, text = meaning, child.text or child.attrib.get("message", "")
        found[name] = Case(name, result, properties, text)
    return found
