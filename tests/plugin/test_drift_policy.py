"""Strictness, unplayed calls, age and rules that nothing needs: real runs under real pytest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_fluxrun.bundle import open_bundle, read_trust, seal
from pytest_fluxrun.run import Run
from tests.plugin.kiosk import Kiosk

_AGAIN = "repeated-read: call[6] httpx GET *"
_ONCE, _TWICE = '"price": amount * rate()', '"price": amount * rate() + 0 * rate()'


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


def test_strict_fails_what_is_noted_and_not_allowed(kiosk: Kiosk) -> None:
    """Of two runs with a read made again, the one whose guard allows it passes."""
    kiosk.keep_only("quote")
    first, second = (bundle.stem for bundle in kiosk.bundles())
    kiosk.guard("quote", drift={"allow": [_AGAIN, "clock-interpolated: time.time() in CookieJar*"]})
    kiosk.edit("service.py", _ONCE, _TWICE)

    noted = kiosk.replay("-rA")
    strict = kiosk.replay("--fluxrun-strict")

    assert {"passed": 2} == noted.results
    assert ("passed", "failed") == (strict.case(first).result, strict.case(second).result)
    assert "repeated-read" == strict.case(second).properties["fluxrun.reason"]
    assert "regressed: repeated-read: httpx GET http://127.0.0.1" in strict.case(second).text


def test_unplayed_and_old_runs_and_needless_rules(kiosk: Kiosk) -> None:
    """A read left out passes and, where the ini file says so, fails; what is old or needless is named at the end."""
    kiosk.keep_only("refund")
    age(kiosk, kiosk.bundle("refund"), 100)
    kiosk.guard("refund", expect="fix", drift={"allow": ["changed-effect"]})
    kiosk.fix_refund()
    kiosk.edit("service.py", "    current = rate()\n", "    current = 3\n")
    name = f"refund {kiosk.bundle('refund').stem[-26:][:10]}"

    noted = kiosk.replay("-o", "fluxrun_max_age=99d")
    kiosk.write("pytest.ini", "[pytest]\nfluxrun_on_unplayed = fail\n")
    failing = kiosk.replay()
    kiosk.guard("refund", expect="fix", drift={"allow": ["missing-read"]})
    allowed = kiosk.replay("--fluxrun-strict")
    strict = kiosk.replay("--fluxrun-strict", "-o", "fluxrun_max_age=14w")

    old, needless = (line.strip() for line in noted.lines if line.strip().startswith(name))
    assert {"passed": 1} == noted.results
    assert old.endswith("100 days ago; fluxrun_max_age is 99 days")
    assert f"{name}: changed-effect" == needless
    assert "missing-read" == failing.case("refund").properties["fluxrun.reason"]
    assert ({"passed": 1}, {"failed": 1}) == (allowed.results, strict.results)
    assert "aged" == strict.case("refund").properties["fluxrun.reason"]


@pytest.mark.parametrize("setting", ["fluxrun_on_unplayed=maybe", "fluxrun_max_age=soon"])
def test_setting_that_cannot_be_used_is_a_usage_error(kiosk: Kiosk, setting: str) -> None:
    """Exit code 4 and the reason, and nothing is replayed."""
    suite = kiosk.replay("-o", setting)

    assert 4 == suite.exit_code
    assert suite.line("ERROR: the setting").startswith(f"ERROR: the setting {setting[8:].partition('=')[0]} ")
    assert "Traceback" not in suite.output
