"""The HTML report in a headless Chromium, opened from disk: what a reader sees, types and follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.report.document import Report
from pytest_fluxrun.report.html import to_html
from tests.plugin.kiosk import Upstream, upstream_server
from tests.report.browser import Browser
from tests.report.made import call, mixed_runs, report_of, run_of

EVIL = '</script><img src=x onerror="window.hit = 1"><!--<script>\u2028\'${hit}'

Shown = Callable[..., Browser]


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Shown:
    """Writes a report and opens it, as wide as a desk's screen unless told otherwise."""

    def shown(report: Report, fragment: str = "", *, width: int = 1400, scheme: str = "light") -> Browser:
        path = tmp_path / "out.html"
        path.write_bytes(to_html(report))
        browser.resize(width, 900)
        browser.prefer(scheme)
        browser.open(path, fragment)
        return browser

    return shown


def _text(browser: Browser, selector: str) -> str:
    return str(browser.run("return document.querySelector(arguments[0])?.innerText ?? '(absent)'", selector))


def _texts(browser: Browser, selector: str) -> list[str]:
    found: list[str] = browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText)", selector
    )
    return found


def _click(browser: Browser, selector: str) -> None:
    browser.run("document.querySelector(arguments[0]).click()", selector)


def test_report_reaches_no_network(show: Shown):
    """Opened from disk it asks for nothing, and its policy refuses what a script that got in would ask."""
    with upstream_server() as upstream:
        page = show(report_of(*mixed_runs(30)))
        asked = page.run("return performance.getEntriesByType('resource').length")
        refused = page.run(_ASK_OUTSIDE, upstream.url)
        hits = _hits(page, upstream)

    assert (0, "refused", 0) == (asked, refused, hits)
    assert all("Content Security Policy" in complaint for complaint in page.complaints())


_ASK_OUTSIDE = """
const image = new Image(); image.src = arguments[0] + "/a"; document.body.append(image);
return fetch(arguments[0] + "/b").then(() => "answered", () => "refused");
"""


def _hits(page: Browser, upstream: Upstream) -> int:
    page.wait("return true")
    return upstream.hits


def test_nothing_in_a_run_becomes_markup(show: Shown):
    """Titles, paths, names and values with markup in them are shown as they are."""
    run = run_of(
        1,
        entry=EVIL,
        guard={"path": EVIL, "expect": "recorded", "title": EVIL, "ignored": [EVIL], "allowed": [EVIL]},
        first_divergence=EVIL,
        problem=EVIL,
        text=EVIL,
        rerun=EVIL,
        differences=[
            {"path": EVIL, "expected": {"type": "string", "text": EVIL}, "got": {"type": "string", "text": EVIL}}
        ],
        drifts=[{"kind": EVIL, "text": EVIL, "paths": [EVIL]}],
        recorded_outcome={"text": EVIL, "failure": False, "content": EVIL},
        timeline=(call(1, "changed", asked=EVIL, lane=EVIL, label=EVIL, boundary=EVIL, paths=(EVIL,)), call(2, "same")),
    )

    page = show(report_of(run, gate=EVIL, versions={EVIL: EVIL}, incomplete_because=EVIL, complete=False))

    assert [None, 0, 2] == page.run("return [window.hit ?? null, document.images.length, document.scripts.length]")
    assert EVIL.replace("\u2028", "") == _text(page, "h2").replace("\u2028", "")
    assert [] == page.complaints()


def test_worst_runs_come_first(show: Shown):
    """What leaked stands before what regressed, and what passes at the end."""
    page = show(report_of(*mixed_runs(58)))

    verdicts = _texts(page, ".row .verdict")
    assert ["leaked", "leaked", "regressed", "regressed"] == verdicts[:4]
    assert "leaked" == _text(page, "#detail .badge")


def test_filters_by_verdict_entry_and_words(show: Shown):
    """Each narrows what is shown; together they say how many of how many."""
    page = show(report_of(*mixed_runs(58)))
    assert "58 runs" == _text(page, "#shown")

    page.run("[...document.querySelectorAll('.chip')].find((chip) => chip.innerText.startsWith('regressed')).click()")
    assert ("2 of 58", {"regressed"}) == (_text(page, "#shown"), set(_texts(page, ".row .verdict")))

    page.press("/", *"stripe audit")
    assert ("0 of 58", "No run fits these filters. Esc clears them.") == (_text(page, "#shown"), _text(page, ".empty"))

    page.press("Escape")
    assert "58 runs" == _text(page, "#shown")
    page.run("const entry = document.getElementById('entry'); entry.value = 'front'")
    page.run("document.getElementById('entry').dispatchEvent(new Event('change'))")
    assert "11 of 58" == _text(page, "#shown")


def test_keyboard_moves_reads_and_goes_back(show: Shown):
    """With j and k one chooses, Enter reads, Escape goes back, ? explains; none acts on what is typed."""
    page = show(report_of(*mixed_runs(58)))

    page.press("j", "j", "k")
    second = page.run("return document.querySelectorAll('.row')[1].dataset.run")
    assert second == page.run("return document.querySelector('[aria-selected=true]').dataset.run")
    assert f"#run={second}" == page.run("return location.hash")

    page.press("Enter")
    assert "detail" == page.run("return document.activeElement.id")
    page.press("Escape")
    assert "list" == page.run("return document.activeElement.id")

    page.press("?")
    assert page.run("return document.getElementById('help').open")
    page.press("Escape", "/", "j", "t", "?")
    assert ["jt?", False, second] == page.run(
        "return [document.getElementById('search').value, document.getElementById('help').open, location.hash.slice(5)]"
    )


def test_link_opens_a_run_at_a_call(show: Shown):
    """`#run=…&call=4` shows that run, though it lies far down, and marks the call."""
    wanted = mixed_runs(300)[250]

    page = show(report_of(*mixed_runs(300)), f"#run={wanted.run_id}&call=4")

    assert [wanted.run_id, "call-3"] == page.run(
        "return [document.querySelector('[aria-selected=true]').dataset.run, document.querySelector('.lit').id]"
    )
    assert wanted.run_id in _text(page, "#detail .facts")


def test_recorded_and_replayed_stand_side_by_side(show: Shown):
    """The first divergence is pinned, its call marked; each call says what was recorded and what the replay made."""
    timeline = (
        call(1, "same"),
        call(2, "changed", paths=("call[2].request.body.amount",)),
        call(None, "new", asked="GET https://audit.example"),
        call(3, "missing", lane="worker#1"),
    )
    run = run_of(
        1, timeline=timeline, first_divergent_call=1, first_divergence="changed-effect: call[2].request.body.amount"
    )

    page = show(report_of(run))

    assert "First divergence, call 2 of 3" == _text(page, ".pin strong")
    assert "changed-effect: call[2].request.body.amount" == _text(page, ".pin code")
    assert ["same", "changed", "new", "missing"] == _texts(page, ".call .status")
    assert "call[2].request.body.amount" in _text(page, ".call.first .replayed")
    assert ["as recorded", "not made"] == [_text(page, "#call-0 .replayed"), _text(page, "#call-3 .replayed")]
    assert "not recorded" == _text(page, "#call-2 .recorded")
    assert "answered by nothing: the run lacks it" in _text(page, "#call-2 .replayed")
    assert "worker#1" in _text(page, "#call-3 .recorded")
    page.press("f")
    assert "call-1" == page.run("return document.activeElement.id")


def test_long_timeline_shows_what_differs(show: Shown):
    """Of 500 calls those around the one that changed, then all on request."""
    timeline = tuple(call(number, "changed" if number == 250 else "same") for number in range(1, 501))
    page = show(report_of(run_of(1, timeline=timeline, first_divergent_call=249, calls_recorded=500)))

    calls = "return document.querySelectorAll('.call .status').length"
    assert 5 == page.run(calls)
    assert ["247 calls made as recorded", "248 calls made as recorded"] == _texts(page, ".skipped-calls")
    page.press("d")
    assert 500 == page.run(calls)


def test_dark_and_light(show: Shown):
    """The system decides, until a reader does."""
    ground = "return getComputedStyle(document.body).backgroundColor"
    report = report_of(*mixed_runs(3))
    light = show(report).run(ground)
    page = show(report, scheme="dark")
    dark = page.run(ground)

    page.press("t")

    assert light != dark
    assert [light, "Dark"] == [page.run(ground), _text(page, "#theme")]
    page.run("localStorage.clear()")


def test_narrow_window_shows_one_pane(show: Shown):
    """On a phone the list gives way to the run, and comes back."""
    page = show(report_of(*mixed_runs(20)), width=420)
    visible = "return ['.runs', '.detail'].map((each) => document.querySelector(each).checkVisibility())"

    before = page.run(visible)
    _click(page, ".row")
    reading = page.run(visible)
    overflow = page.run("return document.documentElement.scrollWidth - innerWidth")
    _click(page, ".back")

    assert [[True, False], [False, True], [True, False]] == [before, reading, page.run(visible)]
    assert overflow <= 0


def test_ten_thousand_runs_scroll_with_a_screenful_of_rows(show: Shown):
    """Only the rows in sight are in the page, at its beginning and at its end."""
    page = show(
        report_of(*(run_of(number, verdict="match", outcome="passed", timeline=()) for number in range(10_000)))
    )
    assert 10 < len(_texts(page, ".row")) < 60

    page.press("End")
    page.wait("return document.querySelector('[aria-posinset=\"10000\"]')")

    assert len(_texts(page, ".row")) < 60
    assert "10000" == page.run("return document.querySelector('[aria-selected=true]').getAttribute('aria-posinset')")


def test_page_is_told_to_assistive_technology(show: Shown):
    """Landmarks, a list box with its options, and no control without a name."""
    page = show(report_of(*mixed_runs(30)), f"#run={mixed_runs(4)[3].run_id}")

    nodes: list[dict[str, Any]] = page.devtools("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    roles = {role for role, _ in named}

    assert {"banner", "search", "navigation", "main", "listbox", "option", "table", "list"} <= roles
    assert [] == [role for role, name in named if role in ("button", "combobox", "searchbox", "link") and not name]
    assert ("listbox", "Runs") in named


def test_session_without_runs_says_so(show: Shown):
    """An empty report is no blank page."""
    page = show(report_of(gate="no run was replayed: runs holds none."))

    assert "No run was collected." == _text(page, ".empty")
    assert "no run was replayed: runs holds none." == _text(page, "#alert")
