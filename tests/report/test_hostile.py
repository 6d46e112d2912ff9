"""Reports of a run whose every text is an attack, or huge: whole files, readable ones, and small."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.execution.stage import Shown
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.judgement.verdict import Judgement, judge
from pytest_fluxrun.naming import CallName
from pytest_fluxrun.replaying.finding import Played
from pytest_fluxrun.report.document import Report, to_json
from pytest_fluxrun.report.failure import failure_text
from pytest_fluxrun.report.html import to_html
from pytest_fluxrun.report.judged import judged_part, opened_part
from pytest_fluxrun.report.sarif import to_sarif
from pytest_fluxrun.report.side_by_side import reported_paths
from pytest_fluxrun.run import Interaction, LaneSpec, Recording, Run
from tests.report.made import report_of, run_of

EVIL = "\n::error::x\x1b[31m\x9b\u202e\udc80[log in](http://evil.example)</script>"
HUGE = "y" * 1_000_000
_FORMS: tuple[Callable[[Report], bytes], ...] = (to_html, to_json, to_sarif)


def _response(text: str, items: Any) -> dict[str, Any]:
    response = {
        "status": 500,
        "headers": [["content-type", "application/json"], [text[:99], text]],
        "body": json.dumps(items),
        "complete": True,
    }
    return {"response": response, "error": {"type": f"app:{text}", "message": text, "args": [text]}}


def _run(text: str) -> Run:
    request = {"sql": text, "binds": [text, {text: 1}], "database": text, "many": False}
    call = Interaction(text, text, 1, 0, 1_000, 2_000, request, {"columns": [text], "rows": [[text]]}, label=text)
    return Run(
        id="01jd3k" + "0" * 20, project="shop", entry=text, entry_kind="asgi", input=None,
        outcome=_response(text, text),
        recording=Recording(0, 0, 0, 9_000, lanes=(LaneSpec(((text, 1),), ()),), interactions=(call,)),
        versions={"release": text},
    )  # fmt: skip


def _evidence(run: Run, text: str) -> Evidence:
    played = Played(7, "miss", text, text, True, CallName(text, text, text), text)
    drifts = (
        Drift(DriftKind.CHANGED_EFFECT, 1, f"sqlite3 {text}", (f"call[1].request.binds[0]: {text} → 1",) * 300),
        Drift(DriftKind.COLD_READ, 0, f"sqlite3 {text}"),
    )
    return Evidence(run.outcome, _response(text, [text]), crossings=(played,), drifts=drifts)


def _cases(text: str) -> list[tuple[Run, Evidence, Judgement]]:
    run = _run(text)
    drifted = _evidence(run, text)
    leaked = replace(drifted, leaks=(f"open {text} at app.py:1 ({text})",))
    missed = replace(drifted, unrecorded=f"call 1 of 1 is not in the run.\n  asked:   {text[1:]}", asked=text)
    return [(run, one, judge(one, None)) for one in (drifted, replace(drifted, drifts=()), leaked, missed)]


def _report(run: Run, evidence: Evidence, judgement: Judgement, *, values: bool) -> Report:
    return report_of(run_of(1, **opened_part(run), **judged_part(run, evidence, judgement, values=values)))


@pytest.mark.parametrize("values", [False, True], ids=["hidden", "values"])
@pytest.mark.parametrize("index", range(4), ids=["drift", "outcome", "leak", "miss"])
def test_every_form_is_written_and_holds_nothing_that_acts(index: int, values: bool) -> None:
    """Half a surrogate pair, which UTF-8 can't hold, stops no report; control characters and links are none in it."""
    run, evidence, judgement = _cases(EVIL)[index]

    html, document, sarif = (form(_report(run, evidence, judgement, values=values)).decode() for form in _FORMS)

    assert 2 == html.count("</script>")
    assert "\n" not in json.loads(document)["runs"][0]["first_divergence"]
    assert not {"\x1b", "\x9b", "\u202e"} & set(document + html + sarif)
    assert "](" not in json.loads(sarif)["runs"][0]["results"][0]["message"]["text"]


@pytest.mark.parametrize("values", [False, True], ids=["hidden", "values"])
@pytest.mark.parametrize("index", range(4), ids=["drift", "outcome", "leak", "miss"])
def test_huge_values_are_cut_and_say_how_long_they_were(index: int, values: bool) -> None:
    """A report of a megabyte in each of a dozen places is bounded, and without values small."""
    run, evidence, judgement = _cases(HUGE)[index]

    sizes = [len(form(_report(run, evidence, judgement, values=values))) for form in _FORMS]

    assert max(sizes) < 2_000_000
    assert b"yy\xe2\x80\xa6 (1,000," in to_json(_report(run, evidence, judgement, values=values))


@pytest.mark.parametrize("index", range(4), ids=["drift", "outcome", "leak", "miss"])
def test_a_failure_in_the_terminal_acts_on_nothing_and_is_bounded(index: int) -> None:
    """No escape for the terminal, no line that a CI takes for a command, no megabyte."""
    for text in (EVIL, HUGE):
        run, evidence, judgement = _cases(text)[index]

        said = failure_text(run, None, Shown(evidence=evidence), judgement, rerun="pytest x")

        assert said.replace("\n", "").isprintable()
        assert [] == [line for line in said.splitlines() if line.strip().startswith("::")]
        assert max(map(len, said.splitlines())) < 1_100
        assert len(said) < 30_000


def test_places_are_counted_as_they_are_shown() -> None:
    """Without values, two changes of one place are one."""
    paths = tuple(f"call[1].request.body[{number}]: {before} → 9" for number in range(150) for before in (1, 2))
    drift = Drift(DriftKind.CHANGED_EFFECT, 1, "httpx POST https://pay.example/", paths)

    assert ("… and 200 more places", "… and 50 more places") == (
        reported_paths(drift, values=True)[-1],
        reported_paths(drift, values=False)[-1],
    )


def test_places_beyond_the_first_hundred_are_counted() -> None:
    """Of an outcome, and of one call; the terminal shows a dozen of each."""
    before, after = ([{"id": number + shift} for number in range(5_000)] for shift in (0, 1))
    run = replace(_run("x"), outcome=_response("x", before))
    evidence = replace(_evidence(run, "x"), outcome=_response("x", after))
    judgement = judge(evidence, Guard(run=run.id, sha256="0" * 64))

    part = judged_part(run, evidence, judgement, values=True)

    assert (100, 4_900) == (len(part["differences"]), part["differences_left_out"])
    assert (101, "… and 200 more places") == (len(part["drifts"][0].paths), part["drifts"][0].paths[-1])
    said = failure_text(run, None, Shown(evidence=evidence), judgement, rerun="pytest x")
    assert "  differs: … and 4988 more" in said.splitlines()
    assert "           … and 288 more places" in said.splitlines()
