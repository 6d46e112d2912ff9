"""The shop's whole traffic replays to what it was: in two processes, another order, with other hashes, a year later."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_fluxrun.run import Run
from pytest_fluxrun.testing.live_hits import LIVE_HITS
from pytest_fluxrun.values import decode
from tests.scenarios.conftest import record_shop
from tests.scenarios.service import Door, Project, Suite

_LEAST_RUNS = 200
_SORTS = {
    "success": 150,
    "4xx": 25,
    "5xx": 15,
    "raised": 8,
    "stream": 15,
    "webhook": 16,
    "background": 30,
    "concurrent": 14,
    "time-out": 4,
    "disconnect": 4,
}
_A_MOMENT = re.compile(
    r"changed-effect: call\[\d+\]\.request\.binds\[\d\](?: \([\w.]+\))?: '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
)
_LATER = """\
import time_machine
from datetime import UTC, datetime, timedelta

TRAVELLER = time_machine.travel(datetime.now(UTC) + timedelta(days=366), tick=True)
TRAVELLER.start()

def pytest_sessionfinish(session):
    print(f"the year was {datetime.now(UTC).year}")
    TRAVELLER.stop()
"""
_BODIES = """\
import json, os, sys
from pathlib import Path
from pytest_fluxrun.config import load_settings, use_settings
from pytest_fluxrun.execution.stage import Stage
from pytest_fluxrun.judgement.corpus import keyring_for, open_placed, scan
from pytest_fluxrun.values import decode

root = Path.cwd()
settings = load_settings({}, environ=os.environ, start_dir=root)
use_settings(settings)
keyring = keyring_for(settings, root, os.environ)
stage = Stage(settings.modules, root=root, timeout_s=10)
seen = {}
for placed in scan(root / "runs"):
    run, _ = open_placed(placed, keyring)
    outcome = stage.replay(run).evidence.outcome
    response = outcome.get("response")
    if response is not None:
        before, after = decode(run.outcome["response"]["body"]), decode(response["body"])
        seen[run.id] = [before == after and type(before) is type(after), len(before)]
stage.close()
print("BODIES", json.dumps(seen))
"""


@pytest.fixture(scope="module")
def runs(shop: Project) -> dict[str, Run]:
    return shop.open()


def _sorts(run: Run) -> list[str]:
    """What a run is an example of."""
    if run.entry_kind != "asgi":
        return ["background"]
    scope, response = decode(run.input)["scope"], run.outcome["response"]
    status = response["status"] if response else 0
    headers = dict(response["headers"]) if response else {}
    text = json.dumps([[one.request, one.error] for one in run.recording.interactions])
    return [
        name
        for name, holds in {
            "success": 200 <= status < 300 and run.outcome["error"] is None and not run.outcome["disconnected"],
            "4xx": 400 <= status < 500,
            "5xx": status >= 500,
            "raised": run.outcome["error"] is not None,
            "stream": "event-stream" in headers.get("content-type", ""),
            "webhook": scope["path"].startswith("/webhooks"),
            "background": "/v1/receipts" in text,
            "concurrent": scope["path"] == "/quotes" or scope["path"].endswith("/tracking"),
            "time-out": "httpx:ReadTimeout" in text,
            "disconnect": bool(run.outcome["disconnected"]),
        }.items()
        if holds
    ]


def _green(suite: Suite, count: int) -> None:
    assert suite.verdicts == {"match": count}, suite.told
    assert suite.exit_code == 0, suite.output


def test_corpus_holds_every_sort_of_run(runs: dict[str, Run]) -> None:
    """200 different ones by entry and input, enough of each sort, and none unready."""
    different = {hashlib.sha256(f"{run.entry} {_without_times(run.input)}".encode()).digest() for run in runs.values()}
    assert len(different) >= _LEAST_RUNS
    counts = Counter(sort for run in runs.values() for sort in _sorts(run))
    assert {sort: counts[sort] for sort, least in _SORTS.items() if counts[sort] < least} == {}
    assert {run.readiness.reasons for run in runs.values()} == {()}


def _without_times(recorded_input: object) -> str:
    """An input without what differs between any two requests: client port and arrival times."""
    document = decode(recorded_input)
    if "scope" in document:
        scope = document["scope"]
        events = [event[1:] for event in document["events"]]
        signed = [value for name, value in scope["headers"] if name == "payments-attempt"]
        document = [scope["method"], scope["path"], scope["query_string"], signed, events]
    return repr(document)


def test_every_run_matches_and_nothing_goes_out(
    shop: Project, runs: dict[str, Run], record_property: Callable[[str, object], None]
) -> None:
    """With the payment server stopped and the database deleted: nobody knocks at its port, no file appears."""
    port = int((shop.root / "payments.url").read_text().rpartition(":")[2])
    with Door(port) as door:
        suite = shop.replay_with_everything("-p", "no:randomly")
    _green(suite, len(runs))
    record_property(LIVE_HITS, door.knocks)
    assert door.knocks == 0
    assert list(shop.root.glob("**/*.db*")) == []


def test_bodies_are_the_same_bytes(shop: Project, runs: dict[str, Run]) -> None:
    """Compared here and not by the product: each replayed response body equals the recorded one."""
    done = shop.python("-c", _BODIES)
    assert done.returncode == 0, done.stdout
    seen = json.loads(done.stdout.partition("BODIES ")[2])
    assert [run for run, (same, _) in seen.items() if not same] == []
    assert len(seen) >= _LEAST_RUNS
    assert sum(size for _, size in seen.values()) > 20_000


def test_two_workers_in_random_order_with_other_hashes(shop: Project, runs: dict[str, Run]) -> None:
    """`-n 2`, pytest-randomly, and a hash seed that isn't the recording's."""
    suite = shop.replay("-n", "2", plugins=("randomly", "xdist"), PYTHONHASHSEED="12345")
    _green(suite, len(runs))


def test_a_year_later_in_random_order(shop: Project, runs: dict[str, Run]) -> None:
    """By the clock of the whole process; the app still sees the recorded time, or webhooks would expire."""
    (shop.root / "later.py").write_text(_LATER)
    suite = shop.replay("-s", plugins=("later", "randomly"), PYTHONHASHSEED="54321")
    _green(suite, len(runs))
    recorded = {int(str(run.recording.wall_ns)[:10]) for run in runs.values()}
    assert f"the year was {_year(max(recorded)) + 1}" in suite.output


def _year(unix_s: int) -> int:
    return time.gmtime(unix_s).tm_year


def test_hook_of_the_door_counts(shop: Project) -> None:
    """The listener that must hear nothing does hear a connection."""
    with Door(0) as door:
        port = door._listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as sock:
            assert sock.recv(1) == b""
        assert door.knocks == 1


def test_without_the_extension_only_datetime_now_differs(tmp_path: Path) -> None:
    """`FLUXRUN_PURE=1` on both sides: `datetime.now()` isn't recorded there, and the runs that store it say so."""
    project = Project(tmp_path / "shop")
    record_shop(project.root, "browse", "draw", "mistype", FLUXRUN_PURE="1")
    suite = project.replay("--fluxrun-no-confirm", FLUXRUN_PURE="1")
    red = [case.properties["fluxrun.first_divergence"] for case in suite.cases if case.result != "passed"]
    assert len(suite.cases) - len(red) >= 45, suite.told
    assert [line for line in red if not _A_MOMENT.search(line)] == []
    assert red
