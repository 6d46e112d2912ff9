"""`--fluxrun-report`: what a session's reports hold, and that they are whole, or say that they aren't."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from pytest_fluxrun.execution.confirmation import OUTPUT_VARIABLE
from pytest_fluxrun.judgement.guard import Guard, digest, write_guard
from pytest_fluxrun.report.document import Report, ReportedRun, json_schema, read_report
from tests.plugin.kiosk import Kiosk, Suite

RECORDED = ("not a number", "can't refund", "21")
PLANTED = ("planted-bind", "planted-id", "planted-path", "planted-query", "planted-key")
_VERDICTS = {"diverged": 1, "regressed": 2, "reproduced": 1, "unready": 1}
_FILES = ("out/report.json", "out/report.html", "out/report.sarif")


@pytest.fixture
def changed(kiosk: Kiosk) -> Kiosk:
    """Of the five runs one regressed by an effect, one by its body, one diverged, one is pending, one damaged."""
    kiosk.edit("service.py", "(str(uuid.uuid4()), amount))", "(str(uuid.uuid4()), 'planted-bind'))")
    kiosk.edit("service.py", '"id": uuid.uuid4().hex}', '"id": "planted-id", "planted-key@x": 1}')
    asked = "    httpx.get('https://other.example/planted-path?q=planted-query')\n    current = rate()\n"
    kiosk.edit("service.py", "    current = rate()\n", asked)
    kiosk.guard("front", title="INC-9: prices")
    fails = kiosk.bundles("front")[1]
    pinned = {"run": fails.stem[-26:], "sha256": digest(fails.read_bytes())}
    guard = Guard(**pinned, title="INC-8: not a price", expect="fix", pending=True)
    write_guard(fails.with_name(f"{fails.stem}.guard.toml"), guard)
    damaged = kiosk.bundles("quote")[1]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    return kiosk


def _asked(*more: str) -> list[str]:
    return [*(f"--fluxrun-report={name}" for name in _FILES), *more]


def _report(kiosk: Kiosk, name: str = _FILES[0]) -> Report:
    return read_report(kiosk.root / name)


def _runs(report: Report, entry: str) -> list[ReportedRun]:
    return [run for run in report.runs if run.entry == entry]


def test_reports_tell_the_session_and_no_value(changed: Kiosk) -> None:
    """Verdicts, places and shapes of all runs in three forms, and nothing that was recorded or computed."""
    suite = changed.replay(*_asked())
    report = _report(changed)

    said = "\n".join((changed.root / name).read_text() for name in _FILES)
    assert [] == [value for value in (*PLANTED, *RECORDED[:2]) if value in said]
    document = json.loads((changed.root / _FILES[0]).read_text())
    jsonschema.validate(document, json_schema(), cls=jsonschema.Draft202012Validator)
    assert (1, 1, True, 5) == (suite.exit_code, report.session.exit_status, report.session.complete, len(report.runs))
    assert _VERDICTS == report.session.verdicts
    assert {"error": 1, "failed": 3, "xfailed": 1} == report.session.outcomes
    assert [f"fluxrun: report {name}" for name in _FILES] == [
        line for line in suite.lines if line.startswith("fluxrun: report ")
    ]
    _assert_runs(report)


def _assert_runs(report: Report) -> None:
    effect, damaged = _runs(report, "quote")
    assert "changed-effect: call[3].request.binds[1]" == effect.first_divergence
    assert effect.first_divergent_call is not None
    call = effect.timeline[effect.first_divergent_call]
    assert (3, "changed", "insert into quotes values (?, ?)") == (call.number, call.status, call.replayed.asked)
    assert ("truncated", "error", ()) == (damaged.reason, damaged.outcome, damaged.timeline)
    assert "fluxrun pull" in damaged.problem

    (miss,) = _runs(report, "refund")
    assert "httpx GET https://other.example" == miss.first_divergence
    assert [("new", "miss"), ("missing", None)] == [
        (call.status, call.replayed and call.replayed.source) for call in miss.timeline
    ]
    assert ("service.py", 33) == (miss.entry_place.path, miss.entry_place.line)

    body, pending = sorted(_runs(report, "front"), key=lambda run: run.outcome)
    assert "response.body.id: string of 32 characters → string of 10 characters" == body.first_divergence
    assert ["response.body.id", "response.body.*"] == [difference.path for difference in body.differences]
    assert ("INC-8: not a price", True) == (pending.guard.title, pending.guard.pending)
    assert ("500, object of 1 key", 500) == (pending.recorded_outcome.text, pending.recorded_outcome.status)


def test_workers_of_xdist_report_the_same_with_values_on_request(changed: Kiosk) -> None:
    """The same runs in the same order, with the same verdicts; JUnit has its properties; values are there, as asked."""
    suite = changed.replay(*_asked("--fluxrun-report-values", "-n", "2"), plugins=("xdist",))
    report = _report(changed)

    nodeids = [run.nodeid for run in report.runs]
    assert sorted(nodeids) == nodeids
    assert _VERDICTS == report.session.verdicts
    assert [0, 1, 1, 2, 6] == sorted(len(run.timeline) for run in report.runs)
    assert (5, True) == (report.session.collected, report.session.complete)
    for name in _FILES[:2]:
        text = (changed.root / name).read_text()
        assert [] == [value for value in (*PLANTED, *RECORDED) if value not in text], name
    assert {run.run_id: run.verdict for run in report.runs} == {
        case.properties["fluxrun.run_id"]: case.properties["fluxrun.verdict"] for case in suite.cases.values()
    }
    assert "fluxrun_report_part" not in suite.junit


_INTERRUPT = """
def pytest_runtest_call(item):
    if "quote" in item.nodeid:
        raise KeyboardInterrupt
"""


@pytest.mark.parametrize(
    ("conftest", "option", "why"),
    [(_INTERRUPT, "-q", "the session ended with interrupted"), ("", "-x", "stopping after 1 failures")],
    ids=["interrupted", "first-failure"],
)
def test_session_that_ends_early_is_incomplete(kiosk: Kiosk, conftest: str, option: str, why: str) -> None:
    """What ran has its result, what didn't is listed as not run, and nobody can take the report for a whole one."""
    kiosk.write("conftest.py", conftest)
    kiosk.edit("service.py", '"id": uuid.uuid4().hex', '"id": 1')

    options = ("-p", "fluxrun", "--fluxrun-dir=runs", "--fluxrun-no-confirm", *_asked(option))
    kiosk.python("-m", "pytest", *options, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    report = _report(kiosk)
    assert not report.session.complete
    assert report.session.incomplete_because.startswith(why)
    assert "collected runs have no result" in report.session.incomplete_because
    assert {"failed", "not-run"} <= set(report.session.outcomes)
    assert 5 == len(report.runs) == report.session.collected
    sarif = json.loads((kiosk.root / _FILES[2]).read_text())
    assert [False] == [each["executionSuccessful"] for each in sarif["runs"][0]["invocations"]]


def test_crashed_worker_is_an_error_of_its_run(kiosk: Kiosk) -> None:
    """The run whose replay killed its process is named; the report says that it isn't whole where others were left."""
    kiosk.keep_only("refund")
    kiosk.edit("service.py", "    current = rate()\n", "    import ctypes\n    ctypes.CDLL(None)._exit(3)\n")

    kiosk.replay(*_asked("-n", "1", "--max-worker-restart=0"), plugins=("xdist",))

    (run,) = _report(kiosk).runs
    assert ("error", "crashed", "refund") == (run.outcome, run.reason, run.entry)


def test_killed_session_leaves_no_earlier_report(kiosk: Kiosk) -> None:
    """The file of the session before isn't taken for that of one that nobody could end."""
    kiosk.keep_only("refund")
    kiosk.replay(*_asked())
    before = _report(kiosk)
    kiosk.edit("service.py", "    current = rate()\n", "    import ctypes\n    ctypes.CDLL(None)._exit(3)\n")

    kiosk.python("-m", "pytest", "-p", "fluxrun", "--fluxrun-dir=runs", *_asked(), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    after = _report(kiosk)
    assert [True, False] == [before.session.complete, after.session.complete]
    assert ("the session has not ended", ()) == (after.session.incomplete_because, after.runs)


def test_confirming_process_writes_no_report(kiosk: Kiosk) -> None:
    """Where the options stand in the ini file, the process that replays one run again has them too."""
    kiosk.keep_only("refund")
    kiosk.write("pytest.ini", "[pytest]\naddopts = --fluxrun-report=out.json\n")

    suite = kiosk.replay("-c", "pytest.ini", **{OUTPUT_VARIABLE: str(kiosk.root / "answer.json")})

    assert {"failed": 1} == suite.results
    assert not (kiosk.root / "out.json").exists()
    assert (kiosk.root / "answer.json").exists()


_FULL_DISK = """
import pathlib, shutil, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    shutil.rmtree("out")
    pathlib.Path("out").write_text("")
"""


def test_report_that_can_t_be_written_at_the_end_fails_the_session(kiosk: Kiosk) -> None:
    """All runs pass, and yet the exit code isn't 0: who waits for the report would wait in vain."""
    kiosk.keep_only("quote")
    kiosk.write("conftest.py", _FULL_DISK)

    suite = kiosk.replay(*_asked())

    assert (1, {"passed": 2}) == (suite.exit_code, suite.results)
    assert "can't be written: File exists" in suite.line("fluxrun: the report")


def _as_file(root: Path) -> None:
    (root / "out").write_text("")


@pytest.mark.parametrize(
    ("options", "before", "said"),
    [
        (["--fluxrun-dir=runs", "--fluxrun-report=out.pdf"], None, "its suffix names no form of report"),
        (["--fluxrun-report=out.json"], None, "--fluxrun-report has no runs to report on"),
        (["--fluxrun-dir=runs", "--fluxrun-report=out/report.json"], _as_file, "can't be written: "),
    ],
    ids=["form", "no-runs", "place"],
)
def test_report_that_can_t_be_written_is_a_usage_error(
    kiosk: Kiosk, options: list[str], before: Callable[[Path], None] | None, said: str
) -> None:
    """Before anything is replayed, with the next step."""
    if before:
        before(kiosk.root)

    suite: Suite = kiosk.pytest(*options)

    assert 4 == suite.exit_code, suite.output
    assert said in suite.output
    assert "  next:    " in suite.output
