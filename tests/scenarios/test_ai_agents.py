"""Agents on the openai and anthropic SDKs: recorded against a server of their formats, replayed token for token."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_fluxrun.run import Run
from pytest_fluxrun.testing.live_hits import LIVE_HITS
from tests.boundaries.ai_server import ai_server
from tests.scenarios.service import Door, Project, Suite, recording_server

_HERE = Path(__file__).parent
_SETTINGS = """\
[tool.fluxrun]
project = "agents"
modules = ["agent_app"]
store = "runs"
"""
KEYS = {"OPENAI_API_KEY": "sk-proj-Zq3vN8wXkT5yB1mR", "ANTHROPIC_API_KEY": "sk-ant-api03-Lp7cV2hJd9sF4gKe"}
QUESTION = "How warm is it in Oslo, Lima and Kyoto?"
PATHS = ("/openai", "/openai/stream", "/responses", "/anthropic", "/anthropic/stream", "/at-once")
REQUESTS = (
    *((path, {"question": QUESTION}, 200) for path in PATHS),
    *((path, {"question": QUESTION, "model": "flaky-429"}, 200) for path in ("/openai", "/anthropic")),
    ("/openai/stream", {"question": QUESTION, "model": "flaky-500"}, 200),
    ("/anthropic/stream", {"question": QUESTION, "model": "flaky-529"}, 200),
    ("/openai", {"question": QUESTION, "model": "broken"}, 502),
    ("/anthropic", {"question": QUESTION, "model": "broken"}, 502),
)
DROPPED = ("/openai/stream", "/anthropic/stream")
_CAPTURED = "import agent_app; agent_app.ask('Is it cold in Oslo?'); assert agent_app.fluxrun.flush(20)"


def record(root: Path) -> None:
    """Ask every agent, with every failure on the way; then one from a script."""
    root.mkdir()
    project = Project(root)
    shutil.copy(_HERE / "agent_app.py", root)
    (root / "pyproject.toml").write_text(_SETTINGS)
    project.fluxrun("init", "--yes")
    with ai_server() as models:
        (root / "port").write_text(str(models.server_port))
        with recording_server(project, "agent_app:app", MODELS=models.url, **KEYS) as url:
            for path, body, status in REQUESTS:
                models.by_model.clear()
                response = httpx.post(url + path, json=body, timeout=30)
                assert (path, status) == (path, response.status_code), response.text
            for path in DROPPED:
                with pytest.raises(httpx.RemoteProtocolError):
                    httpx.post(url + path, json={"question": QUESTION, "model": "drop"}, timeout=30)
        token = project.fluxrun("token").strip()
        recording = {"FLUXRUN_STORE": "runs", "FLUXRUN_SAMPLE": "1", "FLUXRUN_TOKEN": token}
        done = project.python("-c", _CAPTURED, MODELS=models.url, **recording, **KEYS)
        assert done.returncode == 0, done.stdout
    for placed in project.placed():
        project.guard(placed)


@pytest.fixture(scope="session")
def recorded(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """The corpus, the models' server stopped."""
    return Project(once("agents", record))


@pytest.fixture(scope="session")
def replayed(recorded: Project) -> tuple[Suite, int]:
    """The corpus replayed without keys, and how often somebody knocked where the server was."""
    with Door(int((recorded.root / "port").read_text())) as door:
        suite = recorded.replay()
    return suite, door.knocks


def runs_of(project: Project, path: str) -> list[Any]:
    return [run for run in project.open().values() if run.entry == "agents" and run.input["scope"]["path"] == path]


def test_every_agent_replays_to_its_own_outcome_with_the_server_stopped(
    recorded: Project, replayed: tuple[Suite, int], record_property: Callable[[str, object], None]
) -> None:
    """Sync, async, streamed, retried, refused and broken off: all match, and nobody knocked."""
    suite, knocks = replayed

    assert 0 == suite.exit_code, suite.told + suite.output
    assert {"match": len(recorded.placed())} == suite.verdicts
    record_property(LIVE_HITS, knocks)
    assert 0 == knocks


def _statuses(run: Run) -> list[int]:
    """Of the calls over HTTP; the SDKs also ask once which machine this is."""
    return [one.answer["status"] for one in run.recording.interactions if one.kind == "http"]


def test_a_run_holds_the_whole_loop(recorded: Project) -> None:
    """Model, three tools, model; retries are calls of their own, with the status that caused them."""
    statuses = {
        run.input["events"][0][2]: _statuses(run)
        for path in ("/openai", "/anthropic")
        for run in runs_of(recorded, path)
    }
    by_model = {json.loads(body).get("model", "steady"): found for body, found in statuses.items()}

    assert {"steady": [200, 200], "flaky-429": [429, 429, 200, 200], "broken": [500] * 4} == by_model


def test_streams_reach_the_client_token_by_token(recorded: Project) -> None:
    """The recorded response holds each delta of both turns, in order."""
    for path, names in (
        ("/openai/stream", {"delta", "tool", "token", "usage"}),
        ("/anthropic/stream", {"input_json", "text"}),
    ):
        body = runs_of(recorded, path)[0].outcome["response"]["body"]
        seen = Counter(line.removeprefix("event: ") for line in body.splitlines() if line.startswith("event: "))
        assert names <= seen.keys()
        assert seen["token"] + seen["text"] > 5


def test_a_stream_that_broke_off_is_a_failure_of_its_own_kind(recorded: Project) -> None:
    """The SDK's error, as it was raised in the middle of the answer."""
    broken = [run.outcome for path in DROPPED for run in runs_of(recorded, path) if run.outcome["error"]]
    assert len(DROPPED) == len(broken)
    assert {False} == {outcome["response"]["complete"] for outcome in broken}


def test_no_stored_byte_holds_a_key(recorded: Project, replayed: tuple[Suite, int]) -> None:
    """Nor does any opened run or the output."""
    stored = b"".join(path.read_bytes() for path in recorded.runs.iterdir())
    opened = b"".join(run.to_payload() for run in recorded.open().values())
    for key in KEYS.values():
        assert [False] * 3 == [key.encode() in text for text in (stored, opened, replayed[0].output.encode())]


def test_a_changed_prompt_is_a_changed_effect(recorded: Project, tmp_path: Path) -> None:
    """What is said to the model counts: each agent that goes on from its tool's answer is told where it differs."""
    project = Project(Path(shutil.copytree(recorded.root, tmp_path / "agents")))
    app = project.root / "agent_app.py"
    app.write_text(app.read_text().replace('f"{city}: {random', 'f"In {city}: {random'))

    suite = project.replay("--fluxrun-no-confirm")

    changed = [case for case in suite.cases if case.properties["fluxrun.verdict"] != "match"]
    assert {"regressed": 9, "match": len(project.placed()) - 9} == suite.verdicts
    assert {"changed-effect"} == {case.properties["fluxrun.reason"] for case in changed}
    assert {True} == {"request.body.messages" in case.text for case in changed}
