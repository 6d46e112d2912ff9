"""What pytest says of each verdict: result, exit code, text, JUnit properties."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.plugin.forking import Forking
from tests.plugin.kiosk import Kiosk


def test_recorded_outcome_passes(kiosk: Kiosk) -> None:
    """A success that comes out as recorded is a pass, and the properties say which run it was."""
    suite = kiosk.replay(kiosk.node_id("quote"))

    assert 0 == suite.exit_code
    assert {
        "fluxrun.run_id": kiosk.bundle("quote").stem[-26:],
        "fluxrun.entry": "quote",
        "fluxrun.verdict": "match",
        "fluxrun.reason": "match",
        "fluxrun.judged": "passed",
    } == suite.case("quote").properties


def test_failed_run_without_guard_is_red_until_fixed(kiosk: Kiosk) -> None:
    """The recorded failure is `reproduced` and red; without the bug it is `fixed` and green."""
    kiosk.keep_only("refund")

    before = kiosk.replay()
    kiosk.fix_refund()
    after = kiosk.replay()

    assert (1, "failed", "reproduced") == (
        before.exit_code,
        before.case("refund").result,
        before.case("refund").verdict,
    )
    assert (0, "passed", "fixed") == (after.exit_code, after.case("refund").result, after.case("refund").verdict)


def test_failure_text_has_the_form_of_an_error(kiosk: Kiosk) -> None:
    """What and where, then the difference, the run, the next command, the rerun line; nothing of pytest's own."""
    kiosk.keep_only("refund")
    run_id = kiosk.bundle("refund").stem[-26:]

    text = kiosk.replay().case("refund").text.splitlines()

    assert "reproduced: the recorded failure happens again" == text[0]
    assert (
        "  differs: outcome: expected 'no error and no 5xx', got \"builtins:ValueError: can't refund 7 at 3\""
        == text[1]
    )
    assert f"  run:     {run_id} of refund, recorded on release r1" == text[2]
    assert text[3].startswith(f"  next:    fix the code; `fluxrun show {run_id[:10]}` shows the run")
    assert text[4] == f"  rerun:   pytest --fluxrun-dir=runs {kiosk.node_id('refund')}"
    assert 5 == len(text)


def test_other_outcome_is_regressed(kiosk: Kiosk) -> None:
    """A changed return value fails and names the path."""
    kiosk.edit("service.py", '"price": amount * rate()', '"price": amount * rate() + 1')

    suite = kiosk.replay(kiosk.node_id("quote"))

    case = suite.case("quote")
    assert ("failed", "regressed", "outcome") == (case.result, case.verdict, case.properties["fluxrun.reason"])
    assert "returned.price: 3 → 4" == case.properties["fluxrun.first_divergence"]
    assert "regressed: returned.price: 3 → 4" in suite.output


def test_changed_effect_is_regressed_with_the_path(kiosk: Kiosk) -> None:
    """An INSERT with another value fails and says where the value is."""
    kiosk.edit("service.py", "(str(uuid.uuid4()), amount))", "(str(uuid.uuid4()), amount + 1))")

    case = kiosk.replay(kiosk.node_id("quote")).case("quote")

    assert ("regressed", "changed-effect") == (case.verdict, case.properties["fluxrun.reason"])
    assert "changed-effect: call[3].request.binds[1]: 1 → 2" == case.properties["fluxrun.first_divergence"]


def test_unrecorded_call_is_diverged_though_swallowed(kiosk: Kiosk) -> None:
    """`except Exception: pass` around a call that the run lacks doesn't hide it."""
    kiosk.edit(
        "service.py",
        "    current = rate()\n",
        "    try:\n        httpx.get('https://other.example/')\n    except Exception:\n        pass\n"
        "    current = rate()\n",
    )

    case = kiosk.replay(kiosk.node_id("refund")).case("refund")

    assert ("failed", "diverged", "unrecorded") == (case.result, case.verdict, case.properties["fluxrun.reason"])
    assert "https://other.example/" in case.properties["fluxrun.first_divergence"]


def test_live_side_effect_is_leaked(kiosk: Kiosk) -> None:
    """A connection that no boundary covers is blocked, and the item fails."""
    kiosk.edit(
        "service.py",
        "    current = rate()\n",
        "    import socket\n    try:\n        socket.create_connection(('127.0.0.1', 9))\n    except Exception:\n"
        "        pass\n    current = rate()\n",
    )

    case = kiosk.replay(kiosk.node_id("refund")).case("refund")

    assert ("failed", "leaked") == (case.result, case.verdict)
    assert "service.py" in case.text


def test_deadline_is_diverged_with_stacks(kiosk: Kiosk) -> None:
    """A replay that hangs ends at `fluxrun_timeout_s`, and the text says where it hung."""
    kiosk.edit("service.py", "    current = rate()\n", "    while True:\n        pass\n")

    case = kiosk.replay("-o", "fluxrun_timeout_s=4", kiosk.node_id("refund")).case("refund")

    assert ("failed", "diverged", "deadline") == (case.result, case.verdict, case.properties["fluxrun.reason"])
    assert "service.py" in case.text
    assert "in refund" in case.text


def test_beyond_is_red_until_accepted(kiosk: Kiosk) -> None:
    """A fix that asks for more than was recorded fails with the next step; `beyond = "accept"` passes."""
    kiosk.edit(
        "service.py",
        "        raise ValueError",
        "        return httpx.get('https://other.example/').json()\n        raise E",
    )

    red = kiosk.replay(kiosk.node_id("refund")).case("refund")
    kiosk.guard("refund", expect="fix", beyond="accept")
    green = kiosk.replay(kiosk.node_id("refund")).case("refund")

    assert ("failed", "beyond") == (red.result, red.verdict)
    assert "--beyond accept" in red.text
    assert ("passed", "beyond") == (green.result, green.verdict)


def test_stated_fix_is_compared(kiosk: Kiosk) -> None:
    """A guard's `[fix]` says what fixed code returns; another answer is regressed."""
    kiosk.guard("refund", expect="fix", title="INC-7: refunds of seven", fix={"returns": {"refunded": 21}})
    node_id = kiosk.node_id("refund")

    before = kiosk.replay(node_id).case("refund")
    kiosk.fix_refund()
    fixed = kiosk.replay(node_id).case("refund")
    kiosk.edit("service.py", '"refunded": amount * current', '"refunded": 0')
    wrong = kiosk.replay(node_id).case("refund")

    assert ("failed", "reproduced") == (before.result, before.verdict)
    assert "INC-7: refunds of seven" in before.text
    assert ("passed", "fixed") == (fixed.result, fixed.verdict)
    assert ("failed", "regressed") == (wrong.result, wrong.verdict)
    assert "returned.refunded" in wrong.properties["fluxrun.first_divergence"]


def test_pending_guard(kiosk: Kiosk) -> None:
    """`pending`: the failure is XFAIL and the exit code 0; once fixed it is a failure that says to remove the word."""
    kiosk.keep_only("refund")
    guard = kiosk.guard("refund", expect="fix", pending=True, title="INC-7")

    before = kiosk.replay("-rx")
    kiosk.fix_refund()
    after = kiosk.replay()
    guard.write_text(guard.read_text().replace("pending = true\n", ""))
    done = kiosk.replay()

    assert ({"xfailed": 1}, 0) == (before.results, before.exit_code)
    assert "pending: INC-7" in before.output
    assert ({"failed": 1}, 1) == (after.results, after.exit_code)
    assert "[XPASS(strict)]" in after.output
    assert f"remove `pending = true` from runs/{guard.name}" == after.line("next:").removeprefix("next:").strip()
    assert ({"passed": 1}, 0) == (done.results, done.exit_code)


def test_pending_guard_with_another_failure_is_red(kiosk: Kiosk) -> None:
    """Pending excuses the recorded failure, not another one."""
    kiosk.guard("refund", expect="fix", pending=True)
    kiosk.edit("service.py", "raise ValueError(", "raise KeyError(")

    case = kiosk.replay(kiosk.node_id("refund")).case("refund")

    assert ("failed", "regressed") == (case.result, case.verdict)


def test_ignored_paths_and_allowed_drift_are_listed(kiosk: Kiosk) -> None:
    """What a guard leaves out is said in every failure text."""
    kiosk.guard("quote", ignore={"paths": ["returned.at"]}, drift={"allow": ["new-effect: http *"]})
    kiosk.edit("service.py", '"price": amount * rate()', '"price": 0 * rate()')

    text = kiosk.replay(kiosk.node_id("quote")).case("quote").text

    assert "  ignored: returned.at" in text.splitlines()
    assert "  allowed: new-effect: http *" in text.splitlines()


def test_confirmation_is_said(kiosk: Kiosk) -> None:
    """A non-pass is confirmed in a clean process, and the text says so."""
    kiosk.keep_only("refund")

    suite = kiosk.pytest("--fluxrun-dir=runs")

    assert "says the same" in suite.line("confirm:")


def test_state_leaked_between_runs_is_said(kiosk: Kiosk) -> None:
    """A run that fails only after another one is told apart."""
    kiosk.keep_only("quote")
    kiosk.edit(
        "service.py",
        "def rate():\n",
        "seen = []\n\ndef rate():\n    seen.append(1)\n    if len(seen) > 1: raise KeyError\n",
    )

    suite = kiosk.pytest("--fluxrun-dir=runs")

    assert {"passed": 1, "failed": 1} == suite.results
    assert suite.line("confirm:").startswith("confirm: state leaked between runs: ")


def test_confirmation_in_a_fresh_process(kiosk: Kiosk) -> None:
    """Where import started a thread, a pytest of its own confirms, with the options of this one."""
    kiosk.keep_only("refund")
    kiosk.edit(
        "service.py",
        "import httpx\n",
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\nimport httpx\n",
    )

    suite = kiosk.pytest("--fluxrun-dir=runs")

    assert "confirm: a fresh process says the same" == suite.line("confirm:")


def test_header_names_directories_and_hash_seed(kiosk: Kiosk) -> None:
    """One header line."""
    header = kiosk.replay("--collect-only", PYTHONHASHSEED="7").line("fluxrun:")

    assert "fluxrun: runs from runs; deadline 10 s; PYTHONHASHSEED 7" == header


def test_summary_counts_verdicts(kiosk: Kiosk) -> None:
    """One line with the counts by verdict."""
    assert "fluxrun: 5 runs: 3 match, 2 reproduced" == kiosk.replay().line("fluxrun: 5")


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_junit_properties_of_every_run(kiosk: Kiosk, workers: tuple[str, ...]) -> None:
    """Each case in the XML has the run's id, its entry and verdict; the file holds no control characters."""
    suite = kiosk.replay(*workers, plugins=["xdist"] if workers else [])

    ET.fromstring(suite.junit)
    assert {bundle.stem[-26:] for bundle in kiosk.bundles()} == {
        case.properties["fluxrun.run_id"] for case in suite.cases.values()
    }
    assert {"quote", "refund", "front"} == {case.properties["fluxrun.entry"] for case in suite.cases.values()}
    assert {"match", "reproduced"} == {case.verdict for case in suite.cases.values()}


def test_isolated_runs_leave_each_other_no_state(kiosk: Kiosk) -> None:
    """With --fluxrun-isolate a run that fails only after another one passes, each in a process of its own."""
    kiosk.keep_only("quote")
    kiosk.edit(
        "service.py",
        "def rate():\n",
        "seen = []\n\ndef rate():\n    seen.append(1)\n    if len(seen) > 1: raise KeyError\n",
    )

    suite = kiosk.pytest("--fluxrun-dir=runs", "--fluxrun-isolate")

    assert {"passed": 2} == suite.results


def test_isolated_run_that_fails_says_why(kiosk: Kiosk) -> None:
    """A failure in a process of its own is reported as one here, and isn't confirmed a second time."""
    kiosk.keep_only("refund")

    suite = kiosk.pytest("--fluxrun-dir=runs", "--fluxrun-isolate")

    assert {"failed": 1} == suite.results
    assert "confirm:" not in suite.output
    assert "the recorded failure happens again" in suite.output


@pytest.mark.parametrize(
    ("entry", "old", "new", "lines"),
    [
        (
            "front",
            "status, body = 200, {",
            "status, body = 201, {",
            ["regressed: status 200 → 201 at call 1/1, httpx GET http://127.0.0.1:{port}/rate"],
        ),
        (
            "quote",
            "(str(uuid.uuid4()), amount))",
            "(str(uuid.uuid4()), amount + 1))",
            ["regressed: changed-effect: call[3].request.binds[1]: 1 → 2 at call 3/6, sqlite3 kiosk.db: insert into"],
        ),
        (
            "refund",
            '"/rate")',
            '"/rates")',
            [
                "diverged: an unrecorded call: httpx GET http://127.0.0.1:{port}/rates before call 1/1",
                "  asked:   httpx GET http://127.0.0.1:{port}/rates",
                "  nearest: httpx GET http://127.0.0.1:{port}/rate   differs at request.url",
                "  made by: rate (service.py:18)",
                "  run:     ",
                "  next:    if the new code is to read this, `fluxrun extend ",
                "  rerun:   pytest --fluxrun-dir=runs runs/refund-",
            ],
        ),
        (
            "refund",
            'raise ValueError(f"can\'t refund {amount} at {current}")',
            "httpx.post('https://pay.example/refund')",
            [
                "beyond: the recorded failure is gone, but the code now asks for what the recording lacks: httpx POST ",
                "  asked:   httpx POST https://pay.example/refund",
                "  made by: refund (service.py:38)",
            ],
        ),
    ],
    ids=["status", "effect", "nearest", "beyond"],
)
def test_first_line_says_what_changed_and_where(
    kiosk: Kiosk, forking: Forking, entry: str, old: str, new: str, lines: list[str]
) -> None:
    """What, at which call of how many; then the call, the nearest one, who made it, what to do, the rerun line."""
    kiosk.edit("service.py", old, new)

    output = forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm", kiosk.node_id(entry)).lines

    first = next(number for number, line in enumerate(output) if line.startswith(("regressed", "diverged", "beyond")))
    for expected, line in zip(lines, output[first:], strict=False):
        assert line.startswith(expected.format(port=kiosk.port))


def test_stacks_of_a_deadline_are_the_apps(kiosk: Kiosk, forking: Forking) -> None:
    """No frame of pytest or FluxRun hides where the app hung."""
    kiosk.edit("service.py", "    current = rate()\n", "    current = rate()\n    while True: pass\n")

    suite = forking.pytest(
        kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm", "-o", "fluxrun_timeout_s=1", kiosk.node_id("refund")
    )

    assert "after call 1/1, httpx GET" in suite.line("diverged: the replay gave no outcome in 1 s")
    assert "in refund" in suite.output
    assert "pytest_runtestloop" not in suite.output
    assert "fluxrun-deadline" not in suite.output


def test_summary_stays_short(kiosk: Kiosk, forking: Forking) -> None:
    """One line each: counts, drift by boundary, what is fixed and pending, orphans, the slowest, and a line to copy."""
    kiosk.fix_refund()
    kiosk.guard("refund", expect="fix", pending=True)
    kiosk.guard("front").with_name("front-01jd3k00000000000000000000.guard.toml").write_text("")
    kiosk.edit("service.py", "    database.commit()\n", "")

    suite = forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm")

    assert suite.line("fluxrun: 6 runs: 1 fixed, 1 match, 2 regressed, 1 reproduced, 1 unready")
    assert suite.line("fluxrun: drift: 2 missing-effect sqlite3")
    assert "refund-" in suite.line("fluxrun: fixed, and still pending: ")
    assert "quote-" in suite.line("fluxrun: 3 runs without guard: ")
    assert "front-01jd3k00000000000000000000" in suite.line("fluxrun: 1 guards without bundle: ")
    assert 2 == suite.line("fluxrun: slowest: ").count(", ")
    assert "fluxrun: again: pytest --fluxrun-dir=runs --lf" == suite.line("fluxrun: again: ")


def test_call_that_is_made_more_often_than_its_guard_says_is_regressed(kiosk: Kiosk) -> None:
    """`[[calls]]` count what the replay asked, named by kind, beside a recorded outcome."""
    kiosk.keep_only("quote")
    kiosk.guard("quote", calls=[{"call": "http GET 127.0.0.1*/rate", "count": 1}])
    kiosk.edit("service.py", "amount * rate()", "amount * rate() * rate() // rate()")

    case = kiosk.replay(kiosk.node_id("quote")).case("quote")

    assert ("failed", "regressed", "outcome") == (case.result, case.verdict, case.properties["fluxrun.reason"])
    assert 'calls["http GET 127.0.0.1*/rate"]: 1 → 3' == case.properties["fluxrun.first_divergence"]
