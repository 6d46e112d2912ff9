"""`fluxrun replay`, `why` and `expect`: each replays the run on the project's real app, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.judgement.guard import Guard, read_guard
from pytest_fluxrun.run import Interaction
from pytest_fluxrun.values import encode

FIX = ('raise ValueError(f"negative amount {amount}")', 'return {"price": 0.0}')


@pytest.fixture
def command(shop: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what runs `fluxrun` in the project; a replay patches its process, so each has its own."""

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_fluxrun", *arguments],
            cwd=shop.root, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert code == done.returncode, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def change(shop: Any, *pairs: tuple[str, str]) -> None:
    """Replace text in the app."""
    file = shop.root / "pricing.py"
    text = file.read_text()
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text)


def guard_of(bundle: Path) -> Guard:
    """The guard beside a bundle."""
    return read_guard(bundle.with_name(f"{bundle.name.removesuffix('.fluxrun')}.guard.toml"))


def test_a_failing_run_is_reproduced_until_it_is_fixed(shop: Any, command: Any) -> None:
    """Red with the bug, green with the fix."""
    run = shop.function_run()
    shop.store(run)

    red = command("replay", run.id, code=1).stdout
    change(shop, FIX)
    green = command("replay", run.id).stdout

    assert red.startswith("reproduced: the recorded failure happens again")
    assert f"rerun:   pytest --fluxrun-dir=runs runs/orders.price-{run.id}.fluxrun::replay" in red
    assert green.startswith("fixed: ")


def test_a_pending_guard_expects_the_failure_and_then_its_removal(shop: Any, command: Any) -> None:
    """As under pytest: an expected failure, and a failure once it passes."""
    run = shop.function_run()
    shop.store(run)
    command("expect", run.id, "--fix", "--pending")

    assert "the fix isn't there yet" in command("replay", run.id).stdout
    change(shop, FIX)
    assert "remove `pending = true`" in command("replay", run.id, code=1).stdout


def test_expect_proves_the_run_and_writes_its_guard(shop: Any, command: Any) -> None:
    """The guard pins the bundle, names the release it was proven on, and holds what was asked for."""
    run = shop.function_run()
    bundle = shop.store(run)

    output = command("expect", run.id, "--returns", '{"price": 0.0}', "--title", "INC-7", "--allow", "new-read").stdout

    guard = guard_of(bundle)
    assert ("fix", "r42", "INC-7", {"price": 0.0}) == (
        guard.expect, guard.proven, guard.title, guard.fix.returns if guard.fix else None
    )  # fmt: skip
    assert ("new-read",) == guard.drift.allow
    assert "proven on r42" in output
    assert f"wrote runs/orders.price-{run.id}.guard.toml" in output
    assert output.rstrip().splitlines()[-1].startswith("next: pytest --fluxrun-dir=runs ")


def test_expect_changes_only_what_is_named(shop: Any, command: Any) -> None:
    """A second call keeps the rest of the guard."""
    run = shop.function_run()
    bundle = shop.store(run)
    command("expect", run.id, "--raises", "Refused", "--title", "INC-7", "--pending")
    before = guard_of(bundle)

    command("expect", run.id, "--beyond", "accept", "--ignore", "returned.at")

    changed = {"beyond": "accept", "ignore": {"paths": ("returned.at",)}}
    assert before.model_dump(exclude_defaults=True) | changed == guard_of(bundle).model_dump(exclude_defaults=True)


def test_expect_states_classes_of_statuses_schemas_and_counts_of_calls(shop: Any, command: Any) -> None:
    """A schema is named from where the guard lies; a call that is stated again replaces the statement."""
    run = shop.function_run()
    bundle = shop.store(run)
    (shop.root / "price.json").write_text('{"type": "object", "required": ["price"]}')

    command("expect", run.id, "--schema", "price.json", "--calls", "http POST *", "2")
    command("expect", run.id, "--calls", "http POST *", "0")
    command("expect", run.id, "--status", "200,4xx")

    guard = guard_of(bundle)
    assert guard.fix is not None
    assert ("../price.json", (200, "4xx")) == (guard.fix.schema_, guard.fix.status)
    assert [("http POST *", 0)] == [(one.call, one.count) for one in guard.calls]
    assert "'4x' is no status" in command("expect", run.id, "--status", "4x", code=2).stderr


def test_recorded_takes_a_fix_back(shop: Any, command: Any) -> None:
    """--recorded removes what described the fix; together with a fix it's a usage error."""
    run = shop.function_run()
    bundle = shop.store(run)
    command("expect", run.id, "--raises", "Refused", "--pending")

    command("expect", run.id, "--recorded")

    guard = guard_of(bundle)
    assert ("recorded", None, False) == (guard.expect, guard.fix, guard.pending)
    assert "leave out --fix" in command("expect", run.id, "--recorded", "--status", "409", code=2).stderr


def test_what_expect_assumes_depends_on_the_outcome(shop: Any, command: Any) -> None:
    """Without options a failure expects a fix, a success what was recorded."""
    failed = shop.store(shop.function_run())
    success = shop.store(shop.function_run(3, outcome={"returned": encode({"price": 3.0}), "error": None}))

    for bundle in (failed, success):
        command("expect", bundle.name)

    assert ["fix", "recorded"] == [guard_of(bundle).expect for bundle in (failed, success)]


def test_expect_puts_the_guard_on_the_list(shop: Any, command: Any) -> None:
    """Where there is a guards.txt that lacks it, once: other lines stay, those of deleted guards too."""
    run = shop.function_run()
    bundle = shop.store(run)
    listed = shop.root / "runs" / "guards.txt"
    first, last = "a-01jd3k00000000000000000001", "z-01jd3k00000000000000000002"

    none = command("expect", run.id).stdout
    listed.write_text(f"# ours\n{first}\n{last}  # INC-9\n")
    added = command("expect", run.id).stdout
    there = command("expect", run.id, "--title", "INC-7").stdout

    assert f"# ours\n{first}\n{bundle.stem}\n{last}  # INC-9\n" == listed.read_text()
    assert "added to runs/guards.txt: commit it with the guard\nnext: pytest" in added
    assert ["guards.txt" in said for said in (none, added, there)] == [False, True, False]
    assert "1 guard read, 2 problems" in command("guards", code=1).stdout


def test_expect_on_a_list_that_cannot_be_used(shop: Any, command: Any) -> None:
    """The guard is written, and the list is named with what to do."""
    run = shop.function_run()
    bundle = shop.store(run)
    (shop.root / "runs" / "guards.txt").write_text("orders\n")

    refused = command("expect", run.id, code=2)

    assert "guards.txt' can't be used: 'orders' is no run's name" in refused.stderr
    assert "fix" == guard_of(bundle).expect


def test_expect_says_when_the_run_is_not_proven(shop: Any, command: Any) -> None:
    """A run that comes to another outcome gets its guard, unproven, with the first difference, and exit code 1."""
    run = shop.function_run(3, outcome={"returned": encode({"price": 4.0}), "error": None})
    bundle = shop.store(run)

    output = command("expect", run.id, code=1).stdout

    assert "" == guard_of(bundle).proven
    assert "unproven" in output
    assert "first difference: returned.price: 4.0 → 3.0" in output


def test_expect_on_fixed_code_is_unproven_and_fulfilled(shop: Any, command: Any) -> None:
    """Where the code is fixed already the run can't be proven here, and that is no failure."""
    run = shop.function_run()
    bundle = shop.store(run)
    change(shop, FIX)

    output = command("expect", run.id, "--fix").stdout

    assert ("fix", "") == (guard_of(bundle).expect, guard_of(bundle).proven)
    assert "prove it on the release r41" in output


def test_a_run_that_cannot_be_replayed_gets_its_guard_unproven(shop: Any, command: Any) -> None:
    """What stands in the way is said in place of a difference."""
    run = shop.function_run(reasons=["over-bound"])
    bundle = shop.store(run)

    output = command("expect", run.id, code=1).stdout

    assert ("fix", "") == (guard_of(bundle).expect, guard_of(bundle).proven)
    assert "can't be replayed faithfully: over-bound" in output


def test_a_guard_that_cannot_be_written_is_one_paragraph(shop: Any, command: Any) -> None:
    """The file system's own reason and the place; whoever is root may write anyway."""
    run = shop.function_run()
    bundle = shop.store(run)
    bundle.with_name(f"{bundle.name.removesuffix('.fluxrun')}.guard.toml").mkdir()

    error = command("expect", run.id, code=2).stderr

    assert ".guard.toml" in error
    assert "irectory" in error


def test_expect_refuses_what_is_not_json(shop: Any, command: Any) -> None:
    """The option, the text and how to quote it; no guard is written."""
    run = shop.function_run()
    shop.store(run)

    error = command("expect", run.id, "--body", "coupon_expired", code=2).stderr

    assert "--body" in error
    assert "isn't JSON" in error
    assert [] == list((shop.root / "runs").glob("*.guard.toml"))


def test_without_release_the_commit_proves(shop: Any, command: Any) -> None:
    """The short commit stands in for a release, marked where the tree has changes."""
    table = shop.root / "pyproject.toml"
    table.write_text(table.read_text().replace('release = "r42"\n', ""))
    run = shop.function_run()
    bundle = shop.store(run)
    for arguments in (["init", "-q"], ["add", "pyproject.toml"], ["commit", "-q", "-m", "x"]):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=shop.root, check=True, timeout=30)

    command("expect", run.id)

    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=shop.root, text=True, timeout=30)
    assert commit.strip() == guard_of(bundle).proven


def test_why_is_content_with_a_run_that_replays(shop: Any, command: Any) -> None:
    """It says so, and what the guard makes of it."""
    run = shop.function_run()
    shop.store(run)
    command("expect", run.id)

    output = command("why", run.id).stdout

    assert "It replays to its own outcome here." in output
    assert "By its guard (fix): reproduced" in output


def test_why_explains_each_reason(shop: Any, command: Any) -> None:
    """One paragraph a code, the boundary named in it."""
    run = shop.function_run(reasons=["opaque:host:db", "over-bound", "of-the-future"])
    shop.store(run)

    output = " ".join(command("why", run.id, code=1).stdout.split())

    assert "The boundary host:db gave or took a value that a bundle can't hold" in output
    assert "max_run_bytes" in output
    assert "doesn't know the reason 'of-the-future'" in output


def test_why_explains_bundles_that_are_refused(shop: Any, command: Any) -> None:
    """Damage and missing bundles have their paragraph as well."""
    run = shop.function_run()
    bundle = shop.store(run)
    command("expect", run.id)
    whole = bundle.read_bytes()
    bundle.unlink()

    assert "fetches what the guards pin" in " ".join(command("why", run.id, code=1).stdout.split())
    guard_path = bundle.with_name(f"{bundle.name.removesuffix('.fluxrun')}.guard.toml")
    guard_path.unlink()
    bundle.write_bytes(whole[:-1])
    assert "\ntruncated\n" in command("why", run.id, code=1).stdout


def test_why_finds_a_cold_cache(shop: Any, command: Any) -> None:
    """A read that production didn't make names the code that made it and what to wrap."""
    fetching = (
        "import httpx\n\n\nclass Rates:\n    def get(self):\n"
        '        return httpx.get("https://rates.example/eur").json()["rate"]\n\n\n'
    )
    change(shop, ("import os\n", f"import os\n{fetching}"), ("amount * rate", "amount * Rates().get()"))
    run = shop.function_run(3, outcome={"returned": encode({"price": 3.0}), "error": None})
    shop.store(run)

    output = command("why", run.id, code=1).stdout

    assert "asked:   httpx GET https://rates.example/eur" in output
    assert "made by: Rates.get (pricing.py:" in output
    assert "it looks like a cold cache" in output
    assert "around Rates.get" in output


def test_why_lists_what_was_not_asked_for(shop: Any, command: Any) -> None:
    """Recorded calls that the replay didn't make are listed by number, and are drift: of effects, of reads, others."""
    request = {"method": "GET", "url": "https://rates.example/usd", "headers": [], "body": "", "streamed": False}
    answer = {"status": 200, "headers": [], "chunks": ["{}"], "end": "eof", "error": None}
    begin = {"database": "shop.db", "sql": "BEGIN", "binds": None, "many": False}
    receive = {"channel": "ws://rates.example/", "direction": "receive", "payload": None, "headers": []}

    def recorded(boundary: str, kind: str, form: Any, *, effect: bool = False) -> Interaction:
        return Interaction(boundary, kind, 1, 0, 1_000, 2_000, encode(form), answer=encode(answer), effect=effect)

    run = shop.function_run(
        interactions=[
            recorded("httpx", "http", request),
            recorded("httpx", "http", request | {"method": "PUT"}, effect=True),
            recorded("sqlite3", "sql", begin),
            recorded("websockets", "message", receive),
        ]
    )
    shop.store(run)

    output = command("why", run.id, code=1).stdout

    assert "\n\nNot asked for in this replay (4 calls of 4):\n" in output
    assert "\\n" not in output
    assert "1  httpx GET https://rates.example/usd" in output
    kinds = [line.strip().partition(": ")[0] for line in output.splitlines() if line.startswith("  ")]
    assert ["missing-read", "missing-effect", "unplayed", "unplayed"] == kinds[:4]
    assert "  unplayed: sqlite3 shop.db: BEGIN\n" in output
    assert "  unplayed: websockets receive" in output


def test_what_a_task_did_that_nobody_awaited_is_replayed(shop: Any, command: Any) -> None:
    """Work between calls took production so long that the task's call was within the run; a later one stays late."""
    leaving = (
        "import asyncio\nimport contextlib\n\n\nclass Ledger:\n    def write(self, what):\n        return None\n\n\n"
        'ledger = fluxrun.host("ledger", Ledger())\n\n\nasync def audit():\n    await asyncio.sleep(0.02)\n'
        '    ledger.write("audited")\n    await asyncio.sleep(0.001)\n'
        '    with contextlib.suppress(Exception):\n        ledger.write("late")\n'
    )
    change(
        shop,
        ("fluxrun.init()\n", f"fluxrun.init()\n{leaving}"),
        ("def price", "async def price"),
        ("    if amount", "    asyncio.create_task(audit())\n    await asyncio.sleep(0)\n    if amount"),
    )
    request = {"target": "ledger", "method": "write", "args": ["audited"], "kwargs": {}, "effect": True}
    written = Interaction(
        "host:ledger", "host", 1, 0, 45_000_000, 45_100_000, encode(request), answer={"value": None}, effect=True
    )
    run = shop.function_run(interactions=[written])
    shop.store(run)

    output = command("why", run.id).stdout

    assert "It replays to its own outcome here." in output
    assert "missing-effect" not in output
    assert "late-call: host:ledger ledger.write('late')" in output


def test_an_entry_that_is_not_registered_is_explained(shop: Any, command: Any) -> None:
    """One refuses in a paragraph, the other explains."""
    change(shop, ('"orders.price"', '"orders.cost"'))
    run = shop.function_run()
    shop.store(run)

    error = command("replay", run.id, code=2).stderr

    assert "entry 'orders.price' is not registered" in error
    assert "orders.cost" in error
    assert "entry-not-found" in command("why", run.id, code=1).stdout


def test_an_app_that_cannot_be_imported_is_one_paragraph(shop: Any, command: Any) -> None:
    """The error, its place, and how to see it."""
    change(shop, ("import os\n", "import os\nimport nowhere_to_be_found\n"))
    run = shop.function_run()
    shop.store(run)

    error = command("replay", run.id, code=2).stderr

    assert "the app can't be started: ModuleNotFoundError at pricing.py:4" in error
    assert "No module named 'nowhere_to_be_found'" in error


def test_what_the_app_prints_stays_out_of_the_output(shop: Any, command: Any) -> None:
    """Standard output is the command's own."""
    change(shop, ("    if amount < 0:", '    print("from the app")\n    if amount < 0:'))
    run = shop.function_run()
    shop.store(run)

    done = command("replay", run.id, code=1)

    assert "from the app" not in done.stdout
    assert "from the app" in done.stderr


def test_no_modules_no_replay(shop: Any, command: Any) -> None:
    """The setting to fill is named."""
    table = shop.root / "pyproject.toml"
    table.write_text(table.read_text().replace('["pricing"]', "[]"))
    run = shop.function_run()
    shop.store(run)

    assert "[tool.fluxrun] modules is empty" in command("replay", run.id, code=2).stderr
