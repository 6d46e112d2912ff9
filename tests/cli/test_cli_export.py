"""`fluxrun export`: where it writes, what it refuses, and functions as plain tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from pytest_fluxrun.run import Interaction
from pytest_fluxrun.values import encode


@pytest.fixture
def exported(shop: Any) -> Any:
    """Export a run as a plain test, which imports the app, in a process of its own; returns that process."""

    def exported(run: Any, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest_fluxrun", "export", run.id, "--as", "pytest", *options]
        done = subprocess.run(command, cwd=shop.root, capture_output=True, text=True, check=False, timeout=60)
        assert code == done.returncode, done.stdout + done.stderr
        return done

    return exported


def run_plain(shop: Any, file: str) -> subprocess.CompletedProcess[str]:
    """Run an exported file with pytest, without any plugin."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=shop.root, env=alone, capture_output=True, text=True, check=False, timeout=60)


def test_curl_and_har_go_to_standard_output(shop: Any) -> None:
    """Alone, to be piped."""
    run = shop.request_run()
    shop.store(run)

    assert shop.fluxrun("export", run.id, "--as", "curl").stdout.startswith("curl \\\n  --request POST")
    document = json.loads(shop.fluxrun("export", run.id, "--as", "har").stdout)
    assert ["/orders", "/charge"] == [
        "/" + entry["request"]["url"].split("?")[0].rsplit("/", 1)[1] for entry in document["log"]["entries"]
    ]


def test_a_file_is_not_overwritten_without_force(shop: Any) -> None:
    """The file keeps what it holds; --force replaces it."""
    run = shop.request_run()
    shop.store(run)
    file = shop.root / "order.sh"
    file.write_text("mine")

    refused = shop.fluxrun("export", run.id, "--as", "curl", "-o", "order.sh", code=2)
    assert ("mine", True) == (file.read_text(), "order.sh is there already" in refused.stderr)

    shop.fluxrun("export", run.id, "--as", "curl", "-o", "order.sh", "--force")
    assert file.read_text().startswith("curl ")


def test_a_function_that_raises_is_called_and_expected_to(shop: Any, exported: Any) -> None:
    """The recorded error's class and message."""
    run = shop.function_run()
    shop.store(run)

    exported(run, "-o", "test_price.py")

    text = (shop.root / "test_price.py").read_text()
    assert "with pytest.raises(ValueError, match=re.escape('negative amount -1')):\n            price(-1)" in text
    assert 0 == run_plain(shop, "test_price.py").returncode


def test_a_function_that_returns_is_compared(shop: Any, exported: Any) -> None:
    """With what it returned; another value is red."""
    run = shop.function_run(3, outcome={"returned": encode({"price": 3.0}), "error": None})
    shop.store(run)
    exported(run, "-o", "test_price.py")
    pricing = shop.root / "pricing.py"

    green = run_plain(shop, "test_price.py")
    pricing.write_text(pricing.read_text().replace("amount * rate", "amount * rate + 1"))
    red = run_plain(shop, "test_price.py")

    assert [0, 1] == [green.returncode, red.returncode], green.stdout + red.stdout
    assert "assert {'price': 4.0} == {'price': 3.0}" in red.stdout


def test_calls_that_no_stub_answers_are_listed_and_left_to_the_reader(shop: Any, exported: Any) -> None:
    """With their answers; the test fails by name until that is done."""
    request = {"command": "GET", "key": "rate"}
    kept = Interaction("redis", "kv", 1, 0, 0, 1, encode(request), answer=encode({"value": "1.5"}))
    run = shop.function_run(interactions=[kept])
    shop.store(run)

    told = exported(run, "-o", "test_price.py").stderr
    done = run_plain(shop, "test_price.py")

    assert "1 recorded call without a stub" in told
    assert "{'value': '1.5'}" in (shop.root / "test_price.py").read_text()
    assert "1 recorded calls have no stub" in done.stdout
    assert "1 error" in done.stdout


def test_what_has_no_form_as_a_plain_test_is_refused(shop: Any, exported: Any) -> None:
    """In one paragraph: what, why, and the guard in its place."""
    table = shop.root / "pricing.py"
    table.write_text(table.read_text().replace("def price(", "def _price(") + "\n\nprices = {1: _price}\n")
    run = shop.function_run()
    shop.store(run)
    table.write_text(table.read_text() + "del _price\n")

    error = exported(run, code=2).stderr

    assert "the entry 'orders.price' can't be imported by a test" in error
    assert "fluxrun expect RUN" in error
