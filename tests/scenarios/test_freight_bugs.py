"""Bugs of the freight desk: each guard is red before the fix, tells what help the fix needs, and is green with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.judgement.corpus import Placed
from pytest_fluxrun.run import Run
from pytest_fluxrun.testing.live_hits import LIVE_HITS
from tests.scenarios.developing import Developer, name_environment, suggested
from tests.scenarios.freight_bugs import BUGS, Bug
from tests.scenarios.freight_services import development, unreachable
from tests.scenarios.service import Case, Door, Project, server
from tests.scenarios.test_freight import VARIABLES, freight, request_of, runs

__all__ = ["freight", "runs"]


@dataclass(slots=True)
class Story:
    """What happened to each bug's guard: before the fix, with the fix alone, and with the help that it needs."""

    red: dict[str, Case] = field(default_factory=dict)
    alone: dict[str, Case] = field(default_factory=dict)
    helped: dict[str, Case] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    knocks: int = 0


@pytest.fixture(scope="module")
def story(freight: Project, runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A copy of the desk with the runs that show its bugs; all of them are fixed at once, in functions of their own."""
    root = tmp_path_factory.mktemp("bugs") / "freight"
    shutil.copytree(freight.root, root)
    project, story = Project(root), Story()
    found = {name: placed for placed in project.placed() for name in BUGS if _shows(runs[placed.name], BUGS[name])}
    for placed in project.placed():
        if placed not in found.values():
            for path in project.runs.glob(f"{placed.name}.*"):
                path.unlink()
    ports = json.loads((root / "ports.json").read_text())
    for name, placed in found.items():
        project.guard(placed, expect="fix", fix=_fix(BUGS[name], runs[placed.name]))
    story.red = _replayed(project, found)
    for bug in BUGS.values():
        bug.apply(root / "freight")
    story.alone = _replayed(project, found)
    for name, placed in found.items():
        bug = BUGS[name]
        beyond = "accept" if bug.help == "accept" else "fail"
        project.guard(placed, expect="fix", fix=_fix(bug, runs[placed.name]), answers=bug.answers, beyond=beyond)
    name_environment(project, f"http://127.0.0.1:{ports[-1]}")
    needy = [name for name in found if BUGS[name].help == "extend"]
    story.told = _helped(project, {name: (found[name], story.alone[name].text) for name in needy})
    with Door(ports[0]) as database, Door(ports[1]) as cache, Door(ports[-1]) as carriers:
        story.helped = _replayed(project, found)
        story.knocks = database.knocks + cache.knocks + carriers.knocks
    return story


def _shows(run: Run, bug: Bug) -> bool:
    error = run.outcome["error"]
    return request_of(run) == bug.request and error is not None and error["type"] == bug.raises


def _fix(bug: Bug, run: Run) -> dict[str, Any]:
    calls = enumerate(run.recording.interactions, 1)
    return bug.expected | ({"effects": [n for n, call in calls if bug.gone in str(call.request)]} if bug.gone else {})


def _replayed(project: Project, found: dict[str, Placed]) -> dict[str, Case]:
    suite = project.replay("--fluxrun-no-confirm", **VARIABLES, **unreachable())
    return {name: next(c for c in suite.cases if placed.run_id in c.name) for name, placed in found.items()}


def _helped(project: Project, needy: dict[str, tuple[Placed, str]]) -> dict[str, str]:
    """What is said to who follows each message, with a development environment that holds the seed's data."""
    token = project.fluxrun("token").strip()
    with (
        server(project, "carriers:app", FLUXRUN_DISABLED="1") as upstream,
        development(project, upstream) as addresses,
        ThreadPoolExecutor(2) as pool,
    ):
        variables = addresses | unreachable() | {"FLUXRUN_TOKEN": token}

        def follow(placed: Placed, text: str) -> str:
            developer = Developer(project, variables)
            developer.follow(placed, text)
            return "\n".join(developer.told)

        return dict(zip(needy, pool.map(follow, *zip(*needy.values(), strict=True)), strict=True))


def test_every_bug_was_recorded(story: Story) -> None:
    """At least ten different ones."""
    assert set(BUGS) == set(story.red)
    assert len({bug.raises for bug in BUGS.values()}) >= 10


@pytest.mark.parametrize("name", BUGS)
def test_guard_is_red_before_the_fix(name: str, story: Story) -> None:
    """The recorded failure again."""
    case = story.red[name]
    assert ("failed", "reproduced") == (case.result, case.properties.get("fluxrun.verdict")), case.text


@pytest.mark.parametrize("name", [name for name in BUGS if BUGS[name].help != "nothing"])
def test_fix_alone_is_told_what_it_lacks(name: str, story: Story) -> None:
    """The failure is gone, the guard is still red: it names the call that the run lacks, and what helps."""
    case = story.alone[name]
    assert ("failed", "unrecorded") == (case.result, _beyond(case)), case.text
    assert BUGS[name].missing in case.text
    assert suggested(case.text), case.text


def _beyond(case: Case) -> str:
    verdict = case.properties.get("fluxrun.verdict", "")
    return "unrecorded" if verdict in {"beyond", "diverged"} else verdict


@pytest.mark.parametrize("name", BUGS)
def test_guard_is_green_with_the_fix_and_its_help(name: str, story: Story) -> None:
    """Offline: by answers in the guard, by those that were asked for once, or since more isn't wanted."""
    case = story.helped[name]
    verdict = "beyond" if BUGS[name].help == "accept" else "fixed"
    assert ("passed", verdict) == (case.result, case.properties.get("fluxrun.verdict")), (
        f"{story.told.get(name, '')}\n{case.text}"
    )


def test_nothing_goes_out(story: Story, record_property: Callable[[str, object], None]) -> None:
    """Once a guard has its help, nobody is asked any more."""
    record_property(LIVE_HITS, story.knocks)
    assert 0 == story.knocks


def test_help_lies_beside_the_guards(story: Story, freight: Project) -> None:
    """The runs themselves stay as they were recorded."""
    del story
    assert [] == list(Path(freight.runs).glob("*.supplement"))
