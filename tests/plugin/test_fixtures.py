"""The fixtures `fluxrun_replay` and `fluxrun_app`, and the two marks."""

from __future__ import annotations

from tests.plugin.kiosk import Kiosk

_TEST = """\
import pytest

@pytest.mark.fluxrun("{run}")
{mark}
def test_it(fluxrun_replay):
    {body}
"""


def test_outcome_of_a_function(kiosk: Kiosk) -> None:
    """The test gets the outcome as plain data and asserts what it likes."""
    _write(kiosk, "quote", "assert 3 == fluxrun_replay.returned['price']; assert 'match' == fluxrun_replay.verdict")

    assert ({"passed": 1}, 0) == _run(kiosk)


def test_outcome_of_a_request(kiosk: Kiosk) -> None:
    """Status, headers, and the body parsed."""
    _write(kiosk, "front", "o = fluxrun_replay; assert (200, 63) == (o.status, o.body['price']); assert o.headers")

    assert ({"passed": 1}, 0) == _run(kiosk)


def test_outcome_of_an_error(kiosk: Kiosk) -> None:
    """What was raised, as text; the replay itself judges nothing here."""
    _write(kiosk, "refund", "assert 'builtins:ValueError: can\\'t refund 7 at 3' == fluxrun_replay.error")

    assert ({"passed": 1}, 0) == _run(kiosk)


def test_failing_assertion_is_the_test_s(kiosk: Kiosk) -> None:
    """An assertion that fails is an ordinary failure, and only the test is an item."""
    _write(kiosk, "quote", "assert fluxrun_replay.returned['price'] == 4")

    assert ({"failed": 1}, 1) == _run(kiosk)


def test_expected_fix_is_strict(kiosk: Kiosk) -> None:
    """The mark makes the failure expected, and the pass a failure."""
    _write(kiosk, "refund", "assert not fluxrun_replay.error", mark="@pytest.mark.fluxrun_expected_fix")

    before = _run(kiosk)
    kiosk.fix_refund()
    after = _run(kiosk)

    assert ({"xfailed": 1}, 0) == before
    assert ({"failed": 1}, 1) == after


def test_expected_fix_doesn_t_excuse_a_broken_bundle(kiosk: Kiosk) -> None:
    """What is unready is an ERROR, though a fix is expected."""
    _write(kiosk, "refund", "assert not fluxrun_replay.error", mark="@pytest.mark.fluxrun_expected_fix")
    kiosk.bundle("refund").write_bytes(b"")

    assert ({"error": 1}, 1) == _run(kiosk)


def test_app_from_the_fixture(kiosk: Kiosk) -> None:
    """`fluxrun_app` in conftest.py gives the app where no module registers it."""
    kiosk.edit("service.py", 'app = fluxrun.instrument(front, name="front")\n', "")
    kiosk.write(
        "conftest.py",
        "import pytest\n@pytest.fixture\ndef fluxrun_app():\n    import service\n    return service.front\n",
    )

    suite = kiosk.replay("-k", "front")

    assert {"match", "reproduced"} == {case.verdict for case in suite.cases.values()}


def test_missing_mark_is_one_paragraph(kiosk: Kiosk) -> None:
    """The fixture without the mark: an ERROR that says what to write."""
    kiosk.write("test_own.py", "def test_it(fluxrun_replay): pass\n")

    suite = kiosk.replay("test_own.py::test_it", "-k", "test_it")

    assert {"deselected": 5, "error": 1} == suite.results
    assert "test_own.py::test_it takes fluxrun_replay, but no run is named" in suite.output
    assert '@pytest.mark.fluxrun("<run id>")' in suite.line("next:")
    assert "Traceback" not in suite.output
    assert "def replay_for_test" not in suite.output


def test_fixture_without_runs_is_one_paragraph(kiosk: Kiosk) -> None:
    """The fixture without `--fluxrun-dir`: an ERROR that says what to pass."""
    _write(kiosk, "quote", "pass")

    suite = kiosk.pytest("test_own.py")

    assert {"error": 1} == suite.results
    assert "--fluxrun-dir=runs/" in suite.line("next:")
    assert "def fluxrun_replay" not in suite.output


def test_unknown_run_is_one_paragraph(kiosk: Kiosk) -> None:
    """An id that nothing has: an ERROR with the next command."""
    _write(kiosk, "quote", "pass")
    kiosk.edit("test_own.py", kiosk.bundle("quote").stem[-26:], "01zzzzzzzz")

    suite = kiosk.replay("test_own.py", "-k", "test_it")

    assert {"deselected": 5, "error": 1} == suite.results
    assert "no run '01zzzzzzzz'" in suite.output
    assert "fluxrun list" in suite.line("next:")
    assert "def replay_for_test" not in suite.output


def _write(kiosk: Kiosk, entry: str, body: str, *, mark: str = "") -> None:
    kiosk.write("test_own.py", _TEST.format(run=kiosk.bundle(entry).stem[-26:], body=body, mark=mark))


def _run(kiosk: Kiosk) -> tuple[dict[str, int], int]:
    suite = kiosk.replay("test_own.py", "-k", "test_it")
    return {name: count for name, count in suite.results.items() if name != "deselected"}, suite.exit_code
