"""`fluxrun push` and `fluxrun pull`: what guards pin, checked, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.bundle import Token
from pytest_fluxrun.judgement.guard import Guard, digest, write_guard


def pin(bundle: Path) -> Path:
    """Write a guard for a bundle; returns the bundle."""
    name = bundle.name.removesuffix(".fluxrun")
    write_guard(bundle.with_name(f"{name}.guard.toml"), Guard(run=name[-26:], sha256=digest(bundle.read_bytes())))
    return bundle


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return the directory of a store that is not the project's."""
    return tmp_path / "elsewhere"


def test_push_sends_what_guards_pin(shop: Any, elsewhere: Path) -> None:
    """Only the pinned run goes, byte for byte, and a second push moves nothing."""
    pinned = pin(shop.store(shop.function_run()))
    shop.store(shop.function_run())

    first = shop.fluxrun("push", "--to", str(elsewhere)).output
    second = shop.fluxrun("push", "--to", str(elsewhere)).output

    assert {pinned.name: pinned.read_bytes()} == {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    assert f"pushing 1/1  {pinned.name.removesuffix('.fluxrun')}" in first
    assert "pushed 1 run" in first
    assert "pushed 0 runs, 1 already there" in second


def test_push_all_and_push_by_id(shop: Any, elsewhere: Path) -> None:
    """--all takes unguarded runs too; an id takes that run."""
    one, other = shop.function_run(), shop.function_run()
    shop.store(one)
    shop.store(other)

    shop.fluxrun("push", one.id, "--to", str(elsewhere))
    after_one = len(list(elsewhere.iterdir()))
    shop.fluxrun("push", "--all", "--to", str(elsewhere))

    assert (1, 2) == (after_one, len(list(elsewhere.iterdir())))


def test_push_keeps_back_what_is_not_trusted(shop: Any, elsewhere: Path) -> None:
    """The others go; the refused one is named with its reason, and the exit code is 1."""
    good, bad = shop.function_run(), shop.function_run()
    shop.store(good)
    shop.store_bytes(bad, shop.bundle(bad, signer=Token.generate()))

    output = shop.fluxrun("push", "--all", "--to", str(elsewhere), code=1).output

    assert [f"orders.price-{good.id}.fluxrun"] == [path.name for path in elsewhere.iterdir()]
    assert f"orders.price-{bad.id} (untrusted)" in output
    assert "pushed 1 run, 1 failed" in output


def test_pull_fetches_what_guards_pin(shop: Any, elsewhere: Path) -> None:
    """The pinned run appears beside its guard, equal to the byte; others stay where they are."""
    pinned = pin(shop.store(shop.function_run()))
    shop.store(shop.function_run())
    shop.fluxrun("push", "--all", "--to", str(elsewhere))
    data = pinned.read_bytes()
    for bundle in (shop.root / "runs").glob("*.fluxrun"):
        bundle.unlink()

    output = shop.fluxrun("pull", "--from", str(elsewhere)).output

    assert [pinned] == list((shop.root / "runs").glob("*.fluxrun"))
    assert data == pinned.read_bytes()
    assert "pulled 1 run" in output


def test_pull_refuses_a_bundle_that_is_not_the_pinned_one(shop: Any, elsewhere: Path) -> None:
    """Another digest under the pinned name: no file appears."""
    run = shop.function_run()
    pinned = pin(shop.store(run))
    elsewhere.mkdir()
    (elsewhere / pinned.name).write_bytes(shop.bundle(run))
    pinned.unlink()

    output = shop.fluxrun("pull", "--from", str(elsewhere), code=1).output

    assert [] == list((shop.root / "runs").glob("*.fluxrun"))
    assert "the guard pins" in output


def test_pull_refuses_what_no_trusted_producer_signed(shop: Any, elsewhere: Path) -> None:
    """An unpinned bundle of a stranger doesn't appear either."""
    run = shop.function_run()
    shop.store_bytes(run, shop.bundle(run, signer=Token.generate()), "../elsewhere")

    output = shop.fluxrun("pull", run.id[:12], "--from", str(elsewhere), code=1).output

    assert "(untrusted)" in output
    assert [] == list((shop.root / "runs").iterdir())


def test_pull_refuses_a_run_under_another_runs_name(shop: Any, elsewhere: Path) -> None:
    """A bundle that was renamed in the store isn't taken for the run that its name says."""
    run, other = shop.function_run(), shop.function_run()
    shop.store_bytes(run, shop.bundle(other), "../elsewhere")

    assert "holds another run than it says" in shop.fluxrun("pull", run.id, "--from", str(elsewhere), code=1).output


def test_a_pinned_run_that_the_store_lacks_fails(shop: Any, elsewhere: Path) -> None:
    """It is named, and the exit code is 1."""
    pinned = pin(shop.store(shop.function_run()))
    pinned.unlink()
    elsewhere.mkdir()

    output = shop.fluxrun("pull", "--from", str(elsewhere), code=1).output

    assert pinned.name.removesuffix(".fluxrun") in output
    assert "1 failed" in output


def test_pull_all_into_another_directory(shop: Any, elsewhere: Path) -> None:
    """--into makes the directory and fills it."""
    run = shop.function_run()
    shop.store(run, "../elsewhere")

    shop.fluxrun("pull", "--all", "--from", str(elsewhere), "--into", "fresh")

    assert [f"orders.price-{run.id}.fluxrun"] == [path.name for path in (shop.root / "fresh").iterdir()]


def test_push_leaves_out_guards_whose_bundle_is_elsewhere(shop: Any, elsewhere: Path) -> None:
    """Another developer's run may be in the store and not here; that is said, and no failure."""
    pin(shop.store(shop.function_run())).unlink()
    pin(shop.store(shop.function_run()))

    output = shop.fluxrun("push", "--to", str(elsewhere)).output

    assert "left out 1 guard without bundle here" in output
    assert "pushed 1 run" in output


def test_nothing_pinned_says_so(shop: Any, elsewhere: Path) -> None:
    """No guard, nothing to do, and how to choose otherwise."""
    shop.store(shop.function_run())

    assert "no guard pins a run here" in shop.fluxrun("push", "--to", str(elsewhere)).output


def test_without_a_store_at_the_other_end_it_is_asked_for(shop: Any) -> None:
    """The run directory isn't a store to push to."""
    error = shop.fluxrun("push", code=2).stderr

    assert "the setting store is the directory runs" in error
    assert "--to s3://" in error


def test_a_run_that_is_nowhere_is_named(shop: Any, elsewhere: Path) -> None:
    """Neither a guard nor the store knows it."""
    assert "'7zz' is not in" in shop.fluxrun("pull", "7zz", "--from", str(elsewhere), code=2).stderr


def test_an_unknown_scheme_is_one_paragraph(shop: Any) -> None:
    """The location and the forms that are known."""
    error = shop.fluxrun("pull", "--from", "ftp://x/y", code=2).stderr

    assert "no store is known for ftp://" in error
    assert "Traceback" not in error
