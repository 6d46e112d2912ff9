"""A boundary from another distribution is found, records, replays and keeps the public contract."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "acme_fluxrun"

QUEUE = """
import json, socketserver, threading


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.hits += 1
        request = json.loads(self.rfile.readline())
        topic = self.server.topics.setdefault(request["topic"], [])
        if request["topic"] == "closed":
            answer = {"error": "the topic is closed"}
        elif request["do"] == "publish":
            topic.append(request["message"])
            answer = {"ok": len(topic)}
        else:
            answer = {"ok": topic}
        self.wfile.write(json.dumps(answer).encode() + b"\\n")


class Queue(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.hits, self.topics, self.up = 0, {}, True
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self):
        return self.server_address

    def calls(self):
        return self.hits

    def reset(self):
        self.topics.clear()

    def take_away(self):
        if self.up:
            self.up = False
            self.shutdown()
            self.server_close()
"""

CONTRACT = """
import pytest
from acme_fluxrun.boundary import boundary
from acme_queue import Client
from pytest_fluxrun.testing.boundary import BoundaryContract
from queue_server import Queue


def publish(outside):
    return Client(outside.address).publish("orders", {"id": 1, "tags": ["a"]})


def peek(outside):
    client = Client(outside.address)
    client.publish("orders", {"id": 1})
    client.publish("orders", {"id": 2})
    return client.peek("orders"), client.peek("other")


def refused(outside):
    return Client(outside.address).publish("closed", {})


class TestAcmeQueue(BoundaryContract):
    boundary = boundary
    exercises = {"publish": publish, "peek": peek, "refused": refused}

    @pytest.fixture
    def outside(self):
        queue = Queue()
        yield queue
        queue.take_away()
"""

APP = """
import os
import pytest_fluxrun as fluxrun
from acme_queue import Client

fluxrun.init()

@fluxrun.capture("orders.ship")
def ship(order: int) -> str:
    client = Client(("127.0.0.1", int(os.environ["QUEUE_PORT"])))
    number = client.publish("shipped", {"order": order})
    raise LookupError(f"no carrier for {client.peek('shipped')[number - 1]}")
"""

RECORD = """
    import os
    from queue_server import Queue
    queue = Queue()
    os.environ["QUEUE_PORT"] = str(queue.address[1])
    import app, pytest_fluxrun
    from pytest_fluxrun import registry
    try:
        app.ship(7)
    except LookupError as error:
        print(error)
    assert pytest_fluxrun.flush(10)
    assert queue.hits == 2, queue.hits
    boundary = registry.boundary_named("acme_queue")
    print(boundary is not None and registry.kind_named("acme") is boundary.kind)
    queue.take_away()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose environment has the distribution installed: its metadata lies on the path beside its packages."""
    installed = tmp_path / "site"
    metadata = installed / "acme_fluxrun-1.0.dist-info"
    metadata.mkdir(parents=True)
    given = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {given['name']}\nVersion: {given['version']}\n")
    points = given["entry-points"]["fluxrun.boundaries"]
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (metadata / "entry_points.txt").write_text(f"[fluxrun.boundaries]\n{lines}")
    for package in ("acme_queue", "acme_fluxrun"):
        (installed / package).symlink_to(SOURCE / package)
    (installed / "queue_server.py").write_text(QUEUE)
    root = tmp_path / "project"
    root.mkdir()
    return root


def run(project: Path, *command: str, code: int = 0, **environment: str) -> str:
    """What a command printed, in the project, with the distribution on the path."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(project.parent / "site"), "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )
    assert code == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_boundary_of_another_distribution_keeps_the_public_contract(project: Path):
    """The contract suite, run by its author as it would be."""
    (project / "test_contract.py").write_text(CONTRACT)
    shown = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "test_contract.py")
    assert " passed" in shown
    assert "failed" not in shown


def test_boundary_of_another_distribution_records_and_replays(project: Path):
    """A failing job is red without the queue, the changed message is a changed effect, and the fix is green."""
    (project / "app.py").write_text(APP)
    (project / "pyproject.toml").write_text('[tool.fluxrun]\nproject = "acme"\nmodules = ["app"]\nstore = "runs"\n')
    made = run(project, "-m", "pytest_fluxrun", "init", "--yes")
    token = next(word for word in made.replace("=", " ").replace('"', " ").split() if word.startswith("fluxrun-token"))
    recorded = run(project, "-c", textwrap.dedent(RECORD), FLUXRUN_TOKEN=token).splitlines()
    assert ["no carrier for {'order': 7}", "True"] == recorded

    pytest_command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--fluxrun-dir=runs")
    red = run(project, *pytest_command, code=1, QUEUE_PORT="1")
    assert "reproduced" in red

    (project / "app.py").write_text(APP.replace('{"order": order}', '{"order": order + 1}'))
    changed = run(project, *pytest_command, code=1, QUEUE_PORT="1")
    assert "changed-effect" in changed

    (project / "app.py").write_text(
        APP.replace("raise LookupError(f", "return str(").replace('"no carrier', 'f"no carrier')
    )
    green = run(project, *pytest_command, QUEUE_PORT="1")
    assert "1 passed" in green


def test_distribution_that_gives_no_boundary_is_named(project: Path):
    """An entry point that names something else breaks no import of the host's, and is named."""
    points = project.parent / "site" / "acme_fluxrun-1.0.dist-info" / "entry_points.txt"
    points.write_text("[fluxrun.boundaries]\nacme_queue = acme_queue:Client\n")
    shown = run(
        project,
        "-c",
        "from pytest_fluxrun import registry, errors\n"
        "registry.install_seams()\n"
        "import acme_queue\n"
        "print(registry.broken_boundaries())",
    )
    assert "fluxrun.boundaries:acme_queue isn't a boundary" in shown
