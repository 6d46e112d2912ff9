"""`fluxrun gate` on several reports: the shards of one session, judged together."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from pytest_fluxrun.cli import fluxrun
from pytest_fluxrun.judgement.guard_list import write_list
from pytest_fluxrun.report.document import Report, to_json
from tests.cli.conftest import Shop
from tests.cli.test_cli_gate import _GREEN, _PENDING
from tests.report.made import report_of, run_of

_SHARD: dict[str, Any] = {
    "exit_status": 0,
    "narrowed": True,
    "directories": ("runs",),
    "versions": {"python": "3.12.1", "pytest": "9.0.1", "pytest-fluxrun": "0.1.0"},
}


def _shard(*numbers: int, **session: Any) -> Report:
    verdicts = {"match": len(numbers)} if numbers else {}
    return report_of(*(run_of(number, **_GREEN) for number in numbers), **(_SHARD | {"verdicts": verdicts} | session))


def _gate(shop: Shop, *reports: Report, options: tuple[str, ...] = ()) -> tuple[int, str]:
    names = [f"shard-{number}.json" for number in range(1, len(reports) + 1)]
    for name, report in zip(names, reports, strict=True):
        (shop.root / name).write_bytes(to_json(report))
    done = CliRunner().invoke(fluxrun, ["gate", *options, *names])
    return done.exit_code, done.output


def _listed(shop: Shop, *numbers: int) -> None:
    """Guards, and their list."""
    names = [run_of(number).name for number in numbers]
    for name in names:
        (shop.root / "runs" / f"{name}.guard.toml").write_text("")
    write_list(shop.root / "runs", names)


def test_shards_are_added_up(shop: Shop) -> None:
    """What none has alone, all have together."""
    _listed(shop, 1, 2, 3)

    done = _gate(shop, _shard(1, 3), _shard(2), _shard())

    assert (0, "gate: green: 3 runs: 3 match; required: all; 3 reports\n") == done


def test_guard_in_no_shard_is_missing(shop: Shop) -> None:
    """By the list: the shard's job failed before it wrote a report, or the split leaves it out."""
    _listed(shop, 1, 2, 3)

    code, output = _gate(shop, _shard(1), _shard(2))

    said = f"1 of 3 guards on runs/guards.txt were not replayed: {run_of(3).name}."
    assert (1, True) == (code, said in output), output


def test_run_in_two_shards_is_named(shop: Shop) -> None:
    """Also where both are green: the split isn't what it should be."""
    code, output = _gate(shop, _shard(1, 2), _shard(2, 3), _shard(4))

    assert (1, True) == (code, f"in several reports: {run_of(2).name} is in shard-1.json, shard-2.json\n" in output)


@pytest.mark.parametrize(
    ("shard", "said"),
    [
        (report_of(run_of(2), **_SHARD), "not green: orders.create-01jd3k00000000000000000002 is regressed"),
        (_shard(2, gate="3 runs are required"), "shard-2.json: 3 runs are required"),
        (_shard(2, exit_status=1), "shard-2.json: pytest's exit code was 1: something else than a run failed."),
    ],
    ids=["red", "gate", "own-test"],
)
def test_one_red_shard_is_enough(shop: Shop, shard: Report, said: str) -> None:
    """What its session says is told with the shard's name."""
    code, output = _gate(shop, _shard(1), shard)

    assert (1, True) == (code, said in output), output


def test_shards_of_pending_runs_prove_nothing(shop: Shop) -> None:
    """As in one report; a shard that has nothing else is fine beside others."""
    pending = report_of(run_of(2, **_PENDING), **_SHARD)
    again = report_of(run_of(3, **_PENDING), **_SHARD)

    assert 0 == _gate(shop, _shard(1), pending)[0]
    assert (1, True) == _said(_gate(shop, pending, again), "2 of them pending, which guard nothing yet")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"versions": _SHARD["versions"] | {"pytest": "9.1.0"}},
            "shard-1.json and shard-2.json are no shards of one session: pytest: 9.0.1 in the first, 9.1.0 in the",
        ),
        ({"versions": {}}, "pytest: 9.0.1 in the first, none in the second"),
        ({"required": 5}, "--fluxrun-require: 0 in the first, 5 in the second"),
        ({"required_runs": ("01jd3k",)}, "--fluxrun-require: 0 in the first, 01jd3k in the second"),
        ({"directories": ("runs", "more")}, "run directories: runs in the first, runs, more in the second"),
    ],
    ids=["version", "unknown-version", "number", "ids", "directories"],
)
def test_unequal_sessions_are_refused(shop: Shop, other: dict[str, Any], said: str) -> None:
    """They aren't shards of one session, and their sum says nothing."""
    assert (2, True) == _said(_gate(shop, _shard(1), _shard(2, **other)), said)


def test_other_project_and_unfinished_shard_are_refused(shop: Shop) -> None:
    """With the name of the file."""
    stranger = _shard(2).model_copy(update={"project": "billing"})
    unfinished = _shard(2, complete=False, incomplete_because="stopping after 1 failures")

    assert (2, True) == _said(_gate(shop, _shard(1), stranger), "project: shop in the first, billing in the second")
    assert (2, True) == _said(_gate(shop, _shard(1), unfinished), "the report shard-2.json is incomplete")


def test_shards_beside_a_baseline(shop: Shop) -> None:
    """Of one report or of shards: what was green in any and isn't in any is gone, what is red was red."""
    (shop.root / "main.json").write_bytes(to_json(report_of(run_of(1), run_of(2, **_GREEN), run_of(3, **_GREEN))))
    (shop.root / "main-1.json").write_bytes(to_json(report_of(run_of(1), **_SHARD)))
    (shop.root / "main-2.json").write_bytes(to_json(_shard(2, 3)))
    red = report_of(run_of(1), **(_SHARD | {"exit_status": 1}))
    one, several = ("--baseline", "main.json"), ("--baseline", "main-1.json", "--baseline", "main-2.json")

    for options in (one, several):
        assert 0 == _gate(shop, red, _shard(2, 3), options=options)[0]
        assert (1, True) == _said(_gate(shop, red, _shard(2), options=options), f"gone: {run_of(3).name} was match")
        assert (1, True) == _said(_gate(shop, red, _shard(2, 3), _shard(3), options=options), "in several reports")
    assert "compared with main-1.json, main-2.json; 2 reports\n" in _gate(shop, red, _shard(2, 3), options=several)[1]


def _said(done: tuple[int, str], text: str) -> tuple[int, bool]:
    assert text in done[1], done[1]
    return done[0], True
