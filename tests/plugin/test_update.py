"""`--fluxrun-update`: guards rewritten to what a whole session saw, all or none; each refusal by a real session."""

from __future__ import annotations

import pytest

from pytest_fluxrun.judgement.guard import Fix, read_guard
from tests.plugin.kiosk import Kiosk, Suite
from tests.plugin.orders import VALUE, WRITE

pytest_plugins = "pytester"

_CHANGED = (WRITE, WRITE.replace("(amount,)", "(amount + 1,)"))
_HIGHER = (VALUE, VALUE.replace("rate", "rate + 1"))
_EDITS = """\
import glob
def pytest_runtest_logfinish():
    for name in glob.glob("runs/*.toml"):
        open(name, "a").write("# edited")
"""
_REFUND = '    """Give back."""\n'


def update(kiosk: Kiosk, what: str, *arguments: str, plugins: tuple[str, ...] = ()) -> Suite:
    """One session that is to update guards."""
    return kiosk.replay(f"--fluxrun-update={what}", *arguments, plugins=plugins)


def changed(kiosk: Kiosk, before: dict[str, str]) -> set[str]:
    """The files that aren't what they were, there are no more, or are new."""
    after = kiosk.digests()
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_outcome_and_drift_are_written_where_a_run_ended_well(orders: Kiosk) -> None:
    """The one run that ended gets both; one that leaked and one whose bundle is damaged are named, and keep theirs."""
    first, second = orders.bundles("order")
    (refund,) = orders.bundles("refund")
    orders.edit("service.py", *_CHANGED)
    orders.edit("service.py", *_HIGHER)
    orders.edit("service.py", _REFUND, _REFUND + "    import socket\n    socket.create_connection(('127.0.0.1', 9))\n")
    second.write_bytes(second.read_bytes()[:-1])
    before = orders.digests()

    suite = update(orders, "outcome,drift")
    again = orders.replay(orders.node_id("order"))

    written = first.with_name(f"{first.stem}.guard.toml")
    assert {f"runs/{written.name}"} == changed(orders, before)
    new = read_guard(written)
    assert ("fix", Fix(returns={"total": 4})) == (new.expect, new.fix)
    assert ("changed-effect: call[3].request.binds[0]: 1 → 2",) == new.drift.allow
    assert (1, {"passed": 1}) == (suite.exit_code, again.results)
    assert ['-expect = "recorded"', '+expect = "fix"'] == [
        line for line in suite.lines if line[1:].startswith("expect")
    ]
    assert "(leaked)" in suite.line(f"not updated: {refund.stem}")
    assert "it wasn't replayed: failed in setup" in suite.line(f"not updated: {second.stem}")
    assert suite.line("guards changed: 1; runs that don't pass and keep theirs: 2")


def test_workers_hand_over_what_they_saw(orders: Kiosk) -> None:
    """Under xdist the controller writes, once, what is asked for and nothing else; comments stay."""
    orders.edit("service.py", *_CHANGED)
    (refund,) = (orders.root / "runs").glob("refund-*.guard.toml")
    refund.write_text(f"# of Ann\n{refund.read_text()}# do not delete\n")
    before = orders.digests()

    suite = update(orders, "drift", "-n", "2", plugins=("xdist",))

    guards = {f"runs/{bundle.stem}.guard.toml" for bundle in orders.bundles()}
    assert guards == changed(orders, before)
    assert {"recorded"} == {read_guard(orders.root / name).expect for name in guards}
    assert suite.line("guards changed: 3;")
    assert {"# of Ann", "# do not delete"} <= set(refund.read_text().splitlines())
    assert [] == [line for line in suite.lines if line.startswith("-#")]
    assert {"passed": 3} == orders.replay().results


def test_what_state_of_an_earlier_run_did_is_not_written(orders: Kiosk) -> None:
    """A clean process comes to the recorded outcome: the guard is right, and the run is named."""
    orders.edit(
        "service.py", "def _handle(amount):\n", "SEEN = []\n\n\ndef _handle(amount):\n    SEEN.append(amount)\n"
    )
    orders.edit("service.py", VALUE, VALUE.replace("rate", "rate + len(SEEN) - 1"))
    before = orders.digests()

    suite = orders.pytest("--fluxrun-dir=runs", "--fluxrun-update=outcome")

    assert set() == changed(orders, before)
    assert {"passed": 1, "failed": 2} == suite.results
    assert "state leaked between runs: a clean process says match" in suite.line("not updated: refund")


def test_crashed_worker_stops_all(orders: Kiosk) -> None:
    """Though xdist starts another one, which replays the rest."""
    orders.edit("service.py", *_CHANGED)
    orders.edit("service.py", _REFUND, _REFUND + "    import ctypes\n    ctypes.CDLL(None)._exit(3)\n")
    before = orders.digests()

    suite = update(orders, "drift", "-n", "1", plugins=("xdist",))

    assert set() == changed(orders, before)
    assert "crashed" in suite.line("no guard was changed: the worker")
    assert suite.line("next:    run the whole session again")


@pytest.mark.parametrize(
    ("conftest", "arguments", "why"),
    [
        ("", ("-x",), "the session ended early: stopping after 1 failures"),
        ("def pytest_collection_modifyitems(items): del items[1:]", (), "2 runs gave no result: order-"),
        ("def pytest_runtest_teardown(): raise KeyboardInterrupt", (), "the session didn't end well (exit code 2)"),
        ("def pytest_runtest_logfinish(): 1 / 0", (), "ZeroDivisionError: division by zero"),
        (
            _EDITS,
            (),
            "isn't what it was when its run was replayed: something else has written it meanwhile",
        ),
    ],
)
def test_session_that_was_not_whole_changes_nothing(
    orders: Kiosk, conftest: str, arguments: tuple[str, ...], why: str
) -> None:
    """Stopped, cut down by a plugin, interrupted, broken, overtaken: no guard gets a rule, and the reason is told."""
    orders.edit("service.py", *_CHANGED)
    orders.write("conftest.py", conftest)

    suite = update(orders, "drift", *arguments)

    assert 0 != suite.exit_code
    assert set() == {rule for path in orders.runs.glob("*.toml") for rule in read_guard(path).drift.allow}
    assert sorted(orders.runs.glob("*")) == sorted(path for path in orders.runs.glob("*.[ft]*"))
    assert why in suite.output
    assert "guards changed" not in suite.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--fluxrun-update=outcome,drifts", "--fluxrun-dir=runs"), "'drifts' is nothing that can be updated"),
        (("--fluxrun-update=drift",), "there are no runs"),
        (("--fluxrun-update=drift", "--fluxrun-dir=runs", "-k", "order"), "-k picks some of the tests"),
        (("--fluxrun-update=drift", "--fluxrun-dir=runs", "-m", "fluxrun"), "-m picks"),
        (("--fluxrun-update=drift", "--fluxrun-dir=runs", "--lf"), "--lf picks"),
        (("--fluxrun-update=drift", "--fluxrun-dir=runs", "--sw"), "--stepwise picks"),
        (("--fluxrun-update=drift", "--fluxrun-dir=runs", "--deselect", "runs/a"), "--deselect picks"),
        (("--fluxrun-update=drift", "--fluxrun-dir=runs", "--co"), "--collect-only picks"),
        (("--fluxrun-update=drift", "--fluxrun-dir=runs", "runs/a.fluxrun::replay"), "runs/a.fluxrun::replay picks"),
    ],
)
def test_partial_session_is_a_usage_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], why: str
) -> None:
    """Before anything is collected: exit code 4, the reason, the next step."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.mkdir("runs")

    result = pytester.runpytest_inprocess("-p", "fluxrun", *arguments)

    assert 4 == result.ret
    result.stderr.fnmatch_lines([f"ERROR: --fluxrun-update can't be used: *{why}*", "*next:*"])
