"""A project's own tests beside runs, in one session: those pass as before, replays pass, and nothing goes live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugin.kiosk import Kiosk, Suite, Upstream, upstream_server
from tests.plugin.own_tests import OWN_TESTS

_STRICT = ("--ds=site_settings", "-W", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    """The server that the project's own tests talk to."""
    with upstream_server() as server:
        yield server.url


@pytest.fixture
def shared(kiosk: Kiosk) -> Kiosk:
    """The project with tests of its own, and runs that all pass."""
    for name, text in OWN_TESTS.items():
        kiosk.write(f"tests/{name}", text)
    kiosk.fix_refund()
    kiosk.edit("service.py", "status, body = 500,", "status, body = 400,")
    return kiosk


def _own_results(suite: Suite) -> dict[str, str]:
    return {name: case.result for name, case in suite.cases.items() if "fluxrun.run_id" not in case.properties}


def _run_verdicts(suite: Suite) -> list[str]:
    return sorted(case.verdict for case in suite.cases.values() if "fluxrun.run_id" in case.properties)


_SHUFFLE = """\
import random

def pytest_collection_modifyitems(items):
    random.Random({seed}).shuffle(items)
"""


@pytest.mark.parametrize("order", ["runs-first", "tests-first", "shuffled-1", "shuffled-2", "xdist", "with-others"])
def test_own_tests_and_replays_don_t_disturb_each_other(
    shared: Kiosk, upstream: Upstream, own_server: str, order: str
) -> None:
    """The same results as without FluxRun, every run passes, and the live server is never asked."""
    variables = {"OWN_SERVER": own_server, "PYTHONPATH": shared.environment()["PYTHONPATH"] + ":tests"}
    expected = _own_results(shared.pytest_with_everything("-p", "no:fluxrun", "tests", *_STRICT, **variables))
    options = {
        "runs-first": ("runs", "tests"),
        "tests-first": ("tests", "runs"),
        "xdist": ("tests", "runs", "-n", "2"),
        "with-others": ("runs", "tests", "--timeout=60", "--cov=service", "--cov-report="),
    }.get(order, ("tests", "runs"))
    if order.startswith("shuffled"):
        shared.write("conftest.py", _SHUFFLE.format(seed=order[-1]))

    suite = shared.pytest_with_everything("--fluxrun-dir=runs", *options, *_STRICT, **variables)

    assert {"passed"} == set(expected.values())
    assert expected == _own_results(suite), suite.output
    assert ["fixed", "fixed", "match", "match", "match"] == _run_verdicts(suite), suite.output
    assert 0 == suite.exit_code
    assert 0 == upstream.hits


_FAKES = """\
import freezegun, httpx, pytest, respx, responses, time_machine, vcr

@pytest.fixture(autouse=True, scope={scope!r})
def faked():
    with {context}:
        yield
"""


@pytest.mark.parametrize(
    "context",
    ["respx.mock(assert_all_called=False)", "responses.RequestsMock(assert_all_requests_are_fired=False)"],
)
@pytest.mark.parametrize("scope", ["session", "function"])
def test_fixture_that_fakes_below_the_seams(shared: Kiosk, upstream: Upstream, context: str, scope: str) -> None:
    """What an autouse fixture fakes beneath a seam changes no replay."""
    shared.write("conftest.py", _FAKES.format(context=context, scope=scope))

    suite = shared.replay()

    assert ["fixed", "fixed", "match", "match", "match"] == _run_verdicts(suite), suite.output
    assert 0 == upstream.hits


@pytest.mark.parametrize(
    ("context", "seam", "found"),
    [
        ("time_machine.travel(0)", "time.time", "time-machine"),
        ("freezegun.freeze_time('2012-01-14')", "datetime.datetime", "freezegun.api.FakeDatetime"),
        ("vcr.use_cassette('none.yaml', record_mode='none')", "HTTPTransport.handle_request", "httpx_stubs.py"),
    ],
    ids=["time-machine", "freezegun", "vcrpy"],
)
@pytest.mark.parametrize("scope", ["session", "function"])
def test_fixture_that_fakes_above_the_seams_is_named(
    shared: Kiosk, upstream: Upstream, context: str, seam: str, found: str, scope: str
) -> None:
    """What would answer in a seam's place makes the run an ERROR that names both; it is never judged by that answer."""
    shared.write("conftest.py", _FAKES.format(context=context, scope=scope))

    suite = shared.replay()

    assert {"error": 5} == suite.results, suite.output
    assert {"displaced"} == {case.properties["fluxrun.reason"] for case in suite.cases.values()}
    assert f"{seam} was displaced" in suite.case("refund").text
    assert found in suite.case("refund").text
    assert 0 == upstream.hits


def test_disable_socket(shared: Kiosk, upstream: Upstream) -> None:
    """pytest-socket's `--disable-socket` holds for the session, and replays need none."""
    suite = shared.replay("--disable-socket", plugins=["pytest_socket", "asyncio"])

    assert ["fixed", "fixed", "match", "match", "match"] == _run_verdicts(suite), suite.output
    assert 0 == upstream.hits


_RESTORES = """\
import httpx, pytest

TRUE = httpx.HTTPTransport.handle_request

@pytest.fixture(scope="session", autouse=True)
def restores_what_it_found():
    {when}
    yield
"""


def test_displaced_seam_is_named(shared: Kiosk, upstream: Upstream) -> None:
    """A fixture that puts the true original back: the runs are ERRORs that name the seam and what is there now."""
    shared.write("conftest.py", _RESTORES.format(when="httpx.HTTPTransport.handle_request = TRUE"))

    suite = shared.replay()

    assert {"error": 5} == suite.results
    assert {"displaced"} == {case.properties["fluxrun.reason"] for case in suite.cases.values()}
    text = suite.case("refund").text
    assert "HTTPTransport.handle_request was displaced" in text
    assert "it is now httpx._transports.default.HTTPTransport.handle_request of " in text
    assert "Traceback" not in suite.output
    assert 0 == upstream.hits


def test_seam_displaced_by_the_run_itself_is_an_error(shared: Kiosk, upstream: Upstream) -> None:
    """Code that undoes the seam while it is replayed: ERROR, never a pass, and nothing goes live."""
    shared.keep_only("refund")
    shared.write("conftest.py", "import httpx\nhttpx.TRUE = httpx.HTTPTransport.handle_request\n")
    shared.edit("service.py", "def rate():\n", "def rate():\n    httpx.HTTPTransport.handle_request = httpx.TRUE\n")

    suite = shared.replay()

    assert ({"error": 1}, 1) == (suite.results, suite.exit_code)
    assert ("unready", "displaced") == (suite.case("refund").verdict, suite.case("refund").properties["fluxrun.reason"])
    assert 0 == upstream.hits


def test_reruns_of_a_flaky_session(shared: Kiosk) -> None:
    """The same item twice in one session: a replay leaves nothing behind that a second one sees."""
    shared.write(
        "conftest.py",
        "def pytest_collection_modifyitems(items):\n    items[:] = items + items[::-1]\n",
    )

    suite = shared.replay()

    assert {"passed": 10} == suite.results
