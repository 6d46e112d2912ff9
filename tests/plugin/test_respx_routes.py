"""The fixture `fluxrun_respx`: routes answer what fixed code asks over HTTP and the run lacks."""

from __future__ import annotations

import httpx
import pytest
from respx.router import Router

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.execution.stage import Shown
from pytest_fluxrun.plugin.routes import replayed_with_routes
from pytest_fluxrun.run import HandAnswer, Run
from pytest_fluxrun.values import encode
from tests.cli.conftest import function_run
from tests.plugin.kiosk import Kiosk

_FIX = """\
    if amount == 7:
        made = [
            httpx.post(os.environ["UPSTREAM"] + "/refunds", json={"amount": part}, params={"part": part}).json()["id"]
            for part in (3, 4)
        ]
        raw = httpx.get(os.environ["UPSTREAM"] + "/receipt")
        return {"made": made, "receipt": raw.content, "cookies": raw.headers.get_list("set-cookie")}
"""
_BUG = """\
    if amount == 7:
        raise ValueError(f"can't refund {amount} at {current}")
"""
_ROUTES = """\
import httpx, json, pytest

def refund(request):
    amount = json.loads(request.content)["amount"]
    assert request.url.params["part"] == str(amount)
    return httpx.Response(201, json={"id": f"re_{amount}"})

@pytest.fixture(autouse=True)
def routes(fluxrun_respx):
    fluxrun_respx.post(path="/refunds").mock(side_effect=refund)
    fluxrun_respx.get(path="/receipt").respond(
        content=b"\\xff\\x00", headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")]
    )
    return fluxrun_respx
"""
_TEST = """\
import pytest

@pytest.mark.fluxrun("{run}")
def test_refund(routes, fluxrun_replay):
    assert fluxrun_replay.returned == {{
        "made": ["re_3", "re_4"], "receipt": {{"~": "bytes", "v": "/wA="}}, "cookies": ["a=1", "b=2"]
    }}
    answered = [drift for drift in fluxrun_replay.drifts if drift.startswith("answered: httpx ")]
    assert len(answered) == 3
    assert ["re_3", "re_4"] == [json_of(call)["id"] for call in routes.calls if call.request.method == "POST"]

def json_of(call):
    return call.response.json()
"""


@pytest.fixture
def fixed(kiosk: Kiosk) -> Kiosk:
    """Return the kiosk whose refund asks for three things that its run lacks."""
    kiosk.keep_only("refund")
    kiosk.edit("service.py", _BUG, _FIX)
    return kiosk


def test_routes_answer_what_fixed_code_asks(fixed: Kiosk) -> None:
    """Each call its own answer, bytes and repeated headers too, in an item and in a test; each noted as `answered`."""
    fixed.write("conftest.py", _ROUTES)
    fixed.write("test_refund.py", _TEST.format(run=fixed.bundle("refund").stem[-26:]))

    suite = fixed.replay("test_refund.py", "runs")

    assert 0 == suite.exit_code, suite.output
    assert "fluxrun: 1 runs: 1 fixed" in suite.output
    assert "2 passed" in suite.output


def test_routes_answer_in_a_process_of_its_own_and_in_its_confirmation(fixed: Kiosk) -> None:
    """Isolated it passes; a failure is confirmed with the same answers."""
    fixed.write("conftest.py", _ROUTES)
    isolated = fixed.pytest("--fluxrun-dir=runs", "--fluxrun-isolate")
    assert (0, "fixed") == (isolated.exit_code, isolated.case("refund").verdict), isolated.output

    fixed.guard("refund", expect="fix", fix={"returns": {"made": []}})
    failed = fixed.pytest("--fluxrun-dir=runs")
    assert "regressed" == failed.case("refund").verdict
    assert "  confirm: a forked process that had replayed nothing says the same" in failed.case("refund").text


def test_call_that_no_route_matches_is_a_miss_as_before(fixed: Kiosk) -> None:
    """A router lets nothing out and answers nothing that it wasn't told."""
    fixed.write("conftest.py", _ROUTES.replace('"/receipt"', '"/another"'))
    suite = fixed.replay()
    assert "beyond" == suite.case("refund").verdict
    assert "httpx GET" in suite.case("refund").text


def lacking(run: Run, *, kind: str = "http") -> Shown:
    """What a replay shows that always lacks a POST, however often it is answered."""
    request = {"method": "POST", "url": "https://pay.example/x", "headers": [["a", "b"]], "body": "{}"}
    lacked = {"call": "httpx POST https://pay.example/x", "kind": kind, "request": encode(request)}
    return Shown(evidence=Evidence(run.outcome, None, unrecorded="x", lacked=lacked))


def test_route_that_raises_or_passes_through_is_an_error() -> None:
    """No error is made up, and nothing gets out."""
    failing, open_ = Router(assert_all_called=False), Router(assert_all_called=False)
    failing.post("https://pay.example/x").mock(side_effect=httpx.ConnectError("down"))
    open_.post("https://pay.example/x").pass_through()
    for router, says in ((failing, "ConnectError"), (open_, "PassThrough")):
        with pytest.raises(FluxRunError) as raised:
            replayed_with_routes(function_run(), router, lacking)
        assert says in raised.value.why
        assert "httpx POST https://pay.example/x" in raised.value.what


def test_run_that_asks_without_end_is_an_error() -> None:
    """A route is asked a hundred times at most."""
    router = Router(assert_all_called=False)
    route = router.post("https://pay.example/x").respond(json={})
    with pytest.raises(FluxRunError) as raised:
        replayed_with_routes(function_run(), router, lacking)
    assert 100 == route.call_count
    assert "asks for more" in raised.value.what


def test_routes_are_asked_for_http_alone() -> None:
    """A lacking SQL statement stays a miss, and so does any call without a router."""
    router = Router(assert_all_called=False)
    router.route().respond(200)
    run, shown = replayed_with_routes(function_run(), router, lambda run: lacking(run, kind="sql"))
    assert ((), "x") == (run.answers, shown.evidence.unrecorded)
    run, _ = replayed_with_routes(function_run(), None, lacking)
    assert () == run.answers


def test_route_s_answer_is_of_the_one_call() -> None:
    """Given once, with the headers that say something of the answer, and the body as bytes."""
    router = Router(assert_all_called=False)
    router.post("https://pay.example/x").respond(202, text="ok", headers={"x-a": "1"})
    shown = [lacking(function_run()), Shown(evidence=Evidence({}, {}))]
    run, last = replayed_with_routes(function_run(), router, lambda _: shown.pop(0))
    headers = {"x-a": ["1"], "content-type": ["text/plain; charset=utf-8"]}
    reply = {"status": 202, "headers": headers, "base64": "b2s="}
    assert (HandAnswer("httpx POST https://pay.example/x", reply, once=True),) == run.answers
    assert None is last.evidence.lacked
