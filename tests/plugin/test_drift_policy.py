"""Strictness, unplayed calls, age and rules that nothing needs: real runs under real pytest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_fluxrun.bundle import open_bundle, read_trust, seal
from pytest_fluxrun.run import Run
from tests.plugin.kiosk import Kiosk
from tests.plugin.orders import READ

pytest_plugins = "pytester"


def age(kiosk: Kiosk, bundle: Path, days: int) -> None:
    """Seal a run once more, as if it had been recorded earlier."""
    trust = read_trust(kiosk.root / "fluxrun-trust.toml")
    index, payload = open_bundle(bundle.read_bytes(), keys=(kiosk.key,), trust=trust, source=bundle.name)
    run = Run.from_payload(payload)
    recording = replace(run.recording, wall_ns=run.recording.wall_ns - days * 86_400 * 10**9)
    data = seal(
        replace(run, recording=recording).to_payload(), index, recipients=[kiosk.key.public], signer=kiosk.token
    )
    bundle.write_bytes(data)


def test_strict_fails_what_is_noted_and_not_allowed(orders: Kiosk) -> None:
    """Of runs with a read made again, the one whose guard allows it passes."""
    orders.keep_only("order")
    orders.guard("order", drift={"allow": ["repeated-read: call[2] sqlite3 *"]})
    orders.edit("service.py", READ, READ + READ)
    first, second = (bundle.stem for bundle in orders.bundles())

    strict = orders.replay("--fluxrun-strict")

    assert ("passed", "failed") == (strict.case(first).result, strict.case(second).result)
    assert "repeated-read" == strict.case(second).properties["fluxrun.reason"]
    assert "regressed: repeated-read: sqlite3 shop.db: select rate" in strict.case(second).text
    assert f"`fluxrun accept {second[-26:][:10]} --call 2` allows it in the guard" in strict.case(second).text


def test_unplayed_and_old_runs_and_needless_rules(orders: Kiosk) -> None:
    """A read left out passes and, where the ini file says so, fails; what is old or needless is named at the end."""
    age(orders, orders.bundle("refund"), 100)
    orders.guard("refund", drift={"allow": ["changed-effect"]})
    orders.edit("service.py", READ, "    rate = 3\n")
    name = f"refund {orders.bundle('refund').stem[-26:][:10]}"

    noted = orders.replay("-o", "fluxrun_max_age=99d")
    orders.write("pytest.ini", "[pytest]\nfluxrun_on_unplayed = fail\n")
    orders.guard("refund", drift={"allow": ["missing-read"]})
    failing = orders.replay("--fluxrun-strict", "-o", "fluxrun_max_age=14w")
    unplayed = orders.replay()

    old, needless = (line.strip() for line in noted.lines if line.strip().startswith(name))
    assert {"passed": 3} == noted.results
    assert "fluxrun: drift: 3 missing-read sqlite3, 1 aged" == noted.line("fluxrun: drift: ")
    assert old.endswith("100 days ago; fluxrun_max_age is 99 days")
    assert f"{name}: changed-effect" == needless
    assert "aged" == failing.case("refund").properties["fluxrun.reason"]
    assert ({"failed": 2, "passed": 1}, "passed") == (unplayed.results, unplayed.case("refund").result)
    failed = [case for case in unplayed.cases.values() if case.result == "failed"]
    assert {"missing-read: sqlite3 shop.db: select rate from rates"} == {
        case.properties["fluxrun.first_divergence"] for case in failed
    }


@pytest.mark.parametrize("setting", ["fluxrun_on_unplayed=maybe", "fluxrun_max_age=soon", "fluxrun_fail_on=changed"])
def test_setting_that_cannot_be_used_is_a_usage_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Exit code 4 and the reason, before anything is collected."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.mkdir("runs")

    result = pytester.runpytest_inprocess("-p", "fluxrun", "--fluxrun-dir=runs", "-o", setting)

    assert 4 == result.ret
    name, _, value = setting.removeprefix("fluxrun_").partition("=")
    result.stderr.fnmatch_lines([f"ERROR: the setting {name} '{value}' can't be used: *", "*next:*"])
