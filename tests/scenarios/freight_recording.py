"""Records the freight desk in a copy of the project: its server and its worker, and all that they need around them."""

from __future__ import annotations

import asyncio
import functools
import json
import shutil
from pathlib import Path

from tests.scenarios import freight_traffic
from tests.scenarios.freight_services import PASSWORD, Mailbox, services, worker
from tests.scenarios.freight_traffic import Traffic
from tests.scenarios.service import Project, recording_server, server

__all__ = ["record", "serve"]

_PROJECT = Path(__file__).parent / "freight"
_OFF = {"FLUXRUN_DISABLED": "1"}


def record(root: Path) -> Traffic:
    """Record the desk's whole traffic, with a guard for each run; returns what was sent.

    Args:
        root: the directory to make.
    """
    shutil.copytree(_PROJECT, root, ignore=shutil.ignore_patterns("__pycache__", "runs", ".*"))
    project = Project(root)
    project.fluxrun("init", "--yes")
    with (
        server(project, "carriers:app", **_OFF) as upstream,
        services(project, upstream) as (variables, mailbox, ports),
    ):
        traffic = serve(project, variables, upstream)
    assert traffic.surprises == [], "\n".join(traffic.surprises)
    _judge(mailbox)
    ports.append(int(upstream.rpartition(":")[2]))
    (root / "ports.json").write_text(json.dumps(ports))
    for placed in project.placed():
        project.guard(placed)
    return traffic


def serve(project: Project, variables: dict[str, str], upstream: str) -> Traffic:
    """Send the traffic to a server and a worker."""
    settings = {"FLUXRUN_STORE": "runs", "FLUXRUN_SAMPLE": "1", "FLUXRUN_KEEP_4XX": "1"}
    token = project.fluxrun("token").strip()
    secret = variables["FREIGHT_WEBHOOK_SECRET"]
    with (
        recording_server(project, "freight.main:app", **variables) as url,
        worker(project, **settings, FLUXRUN_TOKEN=token, **variables) as tasks,
    ):
        drained = functools.partial(tasks.wait_for, "Task freight.release_stale_space", 2)  # received, and its end
        return asyncio.run(freight_traffic.drive(url, upstream, PASSWORD, secret, drained))


def _judge(mailbox: Mailbox) -> None:
    """What arrived is what the day's business asks for."""
    subjects = sorted(subject.split(" ")[0] for _, subject in mailbox.mails)
    assert subjects == ["Invoice", "Reminder:", "Reminder:", "Your", "Your"], mailbox.mails
