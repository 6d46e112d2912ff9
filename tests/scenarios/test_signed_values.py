"""What an app signs with redacted secrets, in answers and requests: not compared at its place, only around it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pytest_fluxrun.testing.live_hits import LIVE_HITS
from tests.scenarios.service import Door, Project, recording_server, server

_HERE = Path(__file__).parent
_SETTINGS = """\
[tool.fluxrun]
project = "signing"
modules = ["signing_app"]
store = "runs"
"""
SECRETS = {"SIGNING_SECRET": "o7Qm2vXc9LpT4sWkZ1yR", "GATEWAY_SECRET": "gw_live_5Hn8bJt3VdKe6MxAq0Fz"}
_ELSEWHERE = dict.fromkeys((*SECRETS, "GATEWAY"), "a placeholder")


def record(root: Path) -> None:
    """Three pages and a refund; then the gateway is gone."""
    root.mkdir()
    project = Project(root)
    shutil.copy(_HERE / "signing_app.py", root)
    (root / "pyproject.toml").write_text(_SETTINGS)
    project.fluxrun("init", "--yes")
    with (
        server(project, "signing_app:gateway", FLUXRUN_DISABLED="1") as gateway,
        recording_server(project, "signing_app:app", GATEWAY=gateway, **SECRETS) as url,
    ):
        answers = [httpx.get(f"{url}{path}") for path in ("/feed/anna", "/feed/bob", "/card/anna")]
        answers.append(httpx.post(f"{url}/refund/1200"))
    (root / "gateway.url").write_text(gateway)
    assert [200] * 4 == [answer.status_code for answer in answers]
    for placed in project.placed():
        project.guard(placed)


@pytest.fixture(scope="session")
def recorded(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """The corpus."""
    return Project(once("signing", record))


def test_signed_pages_and_requests_replay_without_the_secrets(
    recorded: Project, record_property: Callable[[str, object], None]
) -> None:
    """Link, tag and checksum are made of tokens at replay, and of the secrets when they were recorded."""
    with Door(int((recorded.root / "gateway.url").read_text().rpartition(":")[2])) as door:
        suite = recorded.replay(**_ELSEWHERE)

    record_property(LIVE_HITS, door.knocks)
    assert 0 == door.knocks

    assert (0, {"match": len(recorded.placed())}) == (suite.exit_code, dict(suite.verdicts)), suite.output


def test_what_could_not_be_compared_is_named(recorded: Project) -> None:
    """Each place, for a reader who wonders what a green run proves."""
    notes: dict[str, list[str]] = {}
    for run in recorded.open().values():
        told = recorded.python("-m", "pytest_fluxrun", "replay", run.id, **_ELSEWHERE).stdout
        notes[run.input["scope"]["path"]] = re.findall(r"derived-value: (.*)", told)

    shows = "differs where it shows what is computed from a redacted secret"
    assert [f"response.body {shows}", f"response.headers.etag {shows}"] == notes["/feed/anna"]
    assert ["digests made of redacted secrets (1) were served as the recorded outcome or answers tell"] == notes[
        "/card/anna"
    ]
    assert 1 == len(notes["/refund/1200"])
    assert notes["/refund/1200"][0].endswith("holds what is computed from a redacted secret")
    assert "/refunds" in notes["/refund/1200"][0]


@pytest.mark.parametrize(
    ("code", "changed", "path", "reason"),
    [
        ("<h1>{name}</h1>", "<h2>{name}</h2>", "/feed/anna", "response.body"),
        ("ord(letter) - 44", "ord(letter) - 43", "/card/anna", "response.body"),
        ('"amount": amount, "c', '"amount": amount + 1, "c', "/refund/1200", "changed-effect"),
        (
            'hmac.new(os.environ["GATEWAY_SECRET"].encode(), ',
            "hmac.new(b'a fixed key', ",
            "/refund/1200",
            "changed-effect",
        ),
    ],
)
def test_what_stands_around_is_compared(
    recorded: Project, copied: Callable[[Project], Project], code: str, changed: str, path: str, reason: str
) -> None:
    """Another page, another amount, and a signature that isn't made with the secret any more are red."""
    project = copied(recorded)
    module = project.root / "signing_app.py"
    assert code in module.read_text()
    module.write_text(module.read_text().replace(code, changed))

    suite = project.replay(**_ELSEWHERE)

    red = {run.id for run in project.open().values() if run.input["scope"]["path"].startswith(path.rpartition("/")[0])}
    failed = [case for case in suite.cases if case.result == "failed"]
    assert {name for name in red if any(name in case.name for case in failed)} == red
    assert len(red) == len(failed)
    assert all(reason in case.text for case in failed)
