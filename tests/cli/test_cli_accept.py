"""`fluxrun accept`: drift that a real replay shows is allowed exactly as it shows it, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_fluxrun.cli import fluxrun
from pytest_fluxrun.judgement.guard import read_guard
from tests.plugin.kiosk import Kiosk
from tests.plugin.orders import LOG, READ, VALUE, WRITE, copied, recorded_orders

_CHANGED = (WRITE, WRITE.replace("(amount,)", "(amount + 1,)"))
_TWICE = (READ, READ + READ)
_RULE = "changed-effect: call[3].request.binds[0]: 1 → 2"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Kiosk:
    """The project as it was recorded; tests take a copy."""
    return recorded_orders(tmp_path_factory.mktemp("recorded"), guarded=False)


@pytest.fixture
def orders(recorded: Kiosk, tmp_path: Path) -> Kiosk:
    """A copy of the recorded project."""
    return copied(recorded, tmp_path)


def accept(kiosk: Kiosk, *arguments: str, code: int = 0) -> str:
    """Run the command in the project; its whole output."""
    done = kiosk.python("-m", "pytest_fluxrun", "accept", *arguments)
    assert code == done.returncode, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


def test_one_call_is_allowed_as_it_was_seen(orders: Kiosk) -> None:
    """The rule pins place and values; the guard's other words and comments stay, the replay is green."""
    orders.keep_only("order")
    guard = orders.guard("order", title="INC-7")
    guard.write_text(f"# ask Ann\n{guard.read_text()}")
    before = orders.digests()
    orders.edit("service.py", *_CHANGED)
    run = orders.bundle("order").stem[-26:]

    listed = orders.write("runs/guards.txt", "")
    dry = accept(orders, run, "--call", "3", "--dry-run")
    unlisted = listed.read_text()
    untouched = read_guard(guard)
    output = accept(orders, run, "--call", "3")

    assert ("INC-7", ()) == (untouched.title, untouched.drift.allow)
    assert ("INC-7", (_RULE,)) == (read_guard(guard).title, read_guard(guard).drift.allow)
    assert ("", f"order-{run}\n") == (unlisted, listed.read_text())
    assert "added to runs/guards.txt" in output
    assert guard.read_text().startswith("# ask Ann\n")
    assert f"would change runs/{guard.name}\n  --- runs/{guard.name}\n" in dry
    assert f"changed runs/{guard.name}\n" in output
    assert f'  +allow = ["{_RULE}"]\n' in output
    assert f"next: pytest --fluxrun-dir=runs runs/order-{run}.fluxrun::replay\n" in output
    assert {"failed": 1, "passed": 1} == orders.replay().results
    changed = {name for name, digest in orders.digests().items() if before.get(name) != digest}
    assert {"service.py", f"runs/{guard.name}", "runs/guards.txt"} == changed


def test_what_is_not_there_is_not_accepted(orders: Kiosk) -> None:
    """A call without drift, drift that is allowed already, another outcome: each with its reason, and no change."""
    orders.edit("service.py", *_CHANGED)
    orders.guard("order", drift={"allow": ["changed-effect"]})
    run = orders.bundle("order").stem[-26:]
    before = orders.digests()

    absent = accept(orders, run, "--call", "2", code=2)
    allowed = accept(orders, run, "--call", "3", code=2)
    orders.edit("service.py", VALUE, VALUE.replace("rate", "rate + 1"))
    other = accept(orders, run, "--call", "3", code=2)
    orders.edit("service.py", READ, READ.replace("rate from", "vat from"))
    diverged = accept(orders, run, code=2)

    assert f"run {run[:10]} has no drift at call 2 to accept: its replay shows changed-effect at call 3" in absent
    assert "its guard allows it already" in allowed
    assert "the outcome differs, returned.total: 3 → 4" in other
    assert "came to no outcome of its own (diverged)" in diverged
    assert {**before, "service.py": ""} == {**orders.digests(), "service.py": ""}


_RECORD_FAILURE = """\
import contextlib, os, sqlite3
database = sqlite3.connect("shop.db")
database.executescript("create table rates (rate); insert into rates values (3);"
                       "create table orders (amount); create table log (amount)")
database.close()
import service
with contextlib.suppress(ValueError):
    service.order(101)
assert service.fluxrun.flush(20)
os.unlink("shop.db")
"""


def test_bulk_takes_the_runs_of_an_issue(orders: Kiosk) -> None:
    """By the id that `list --issues` shows; no other run's guard is written, and an unknown id says where to look."""
    known = set(orders.bundles("order"))
    recorded = orders.python("-c", _RECORD_FAILURE, **orders.recording)
    (failed,) = set(orders.bundles("order")) - known
    orders.python("-m", "pytest_fluxrun", "expect", failed.stem[-26:], "--recorded")
    orders.edit("service.py", *_TWICE)
    (line,) = [
        line
        for line in orders.python("-m", "pytest_fluxrun", "list", "--issues").stdout.splitlines()
        if "ValueError" in line
    ]

    output = accept(orders, "--issue", line.split()[0], "--kind", "repeated-read")
    unknown = accept(orders, "--issue", "ffffffff", "--kind", "repeated-read", code=2)

    assert recorded.returncode == 0, recorded.stdout
    assert "1 guard changed, 0 runs refused" in output
    assert [f"{failed.stem}.guard.toml"] == [path.name for path in orders.runs.glob("*.guard.toml")]
    assert "there is no run of issue 'ffffffff' in runs" in unknown
    assert "`fluxrun list --issues`" in unknown


def test_bulk_takes_a_kind_or_an_entry_and_names_what_it_refuses(orders: Kiosk) -> None:
    """Noted drift of a kind in every run; failing drift of an entry; a run with another outcome stays as it is."""
    orders.edit("service.py", *_TWICE)
    orders.edit("service.py", LOG, "")
    orders.edit(
        "service.py", "    return _handle(amount)\n\n\n", "    return _handle(amount) if amount == 1 else None\n\n\n"
    )
    first, second = orders.bundles("order")
    orders.guard("order")
    (refund,) = orders.bundles("refund")

    by_kind = accept(orders, "--kind", "repeated-read", code=0)
    by_entry = accept(orders, "--entry", "order", code=1)
    nowhere = accept(orders, "--entry", "orders", code=2)

    rules = {
        bundle: read_guard(bundle.with_name(f"{bundle.stem}.guard.toml")).drift.allow for bundle in (first, refund)
    }
    again = "repeated-read: call[2] sqlite3 shop.db: select rate from rates"
    assert (again,) == rules[refund]
    assert [again, "missing-effect"] == [
        rule.removesuffix(": call[4] sqlite3 shop.db: insert into log values (?) [2]") for rule in rules[first]
    ]
    assert "2 guards changed, 0 runs refused" in by_kind
    assert f"refused {second.stem}: " in by_entry
    assert "1 guard changed, 1 run refused" in by_entry
    assert "there is no run of entry 'orders' in runs: there are 3 runs" in nowhere


@pytest.mark.parametrize("arguments", [(), ("--call", "3"), ("01abc", "--entry", "order"), ("--kind", "changed")])
def test_what_is_meant_must_be_said(arguments: tuple[str, ...]) -> None:
    """Nothing to go by, a call of no run, two ways to choose, a kind that there isn't: usage errors."""
    assert 2 == CliRunner().invoke(fluxrun, ["accept", *arguments]).exit_code
