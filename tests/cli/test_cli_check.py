"""`fluxrun check`: each finding, and what it says to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.bundle import Algorithm, Producer, ProjectKey, Trust, read_trust, write_trust
from pytest_fluxrun.judgement.guard import Guard, write_guard
from pytest_fluxrun.run import Orphan


def findings(shop: Any, *, code: int, subject: str) -> list[str]:
    """The lines about one subject, each with its next step, and the exit code as expected."""
    output = shop.fluxrun("check", code=code).stdout.replace("\n" + " " * 17, "  ")
    return [line for line in output.splitlines() if line[6:].startswith(subject)]


def test_a_sound_project_has_no_failure(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is ok, each setting with its origin, and no secret is shown."""
    monkeypatch.setenv("FLUXRUN_TOKEN", shop.token.to_text())
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.setenv("FLUXRUN_SAMPLE", "0.5")

    output = shop.fluxrun("check").stdout

    assert "0 failures, 0 warnings" in output
    assert "sample = 0.5, from the variable FLUXRUN_SAMPLE" in output
    assert f"release = 'r42', from {shop.root}/pyproject.toml:5 [tool.fluxrun]" in output
    assert "token = (set)" in output
    assert "entries    orders.price is the function pricing.price" in output
    assert "sqlite3" in output
    assert shop.token.to_text() not in output


def test_a_key_that_others_can_read_fails(shop: Any) -> None:
    """The mode and the repair are named."""
    shop.key_file.chmod(0o640)

    (line,) = findings(shop, code=1, subject="keys")

    assert line.startswith("fail")
    assert "its mode is 0640" in line
    assert "chmod 600" in line


def test_no_key_is_a_warning_and_a_wrong_one_a_failure(shop: Any, tmp_path: Path) -> None:
    """Production has no key; a key that opens nothing is a mistake."""
    key = shop.key_file.read_text()
    shop.key_file.unlink()
    (missing,) = findings(shop, code=0, subject="keys")
    shop.fluxrun("keys", "new", "--algorithm", "x25519")
    trust = read_trust(shop.root / "fluxrun-trust.toml")
    write_trust(shop.root / "fluxrun-trust.toml", Trust("shop", trust.recipients[:1], trust.producers))
    _, wrong = findings(shop, code=1, subject="keys")

    assert missing.startswith("warn")
    assert wrong.startswith("fail")
    assert "no key here opens that" in wrong
    assert key.strip() not in wrong


def test_a_token_must_be_believed(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown and revoked producers fail: what they sign is refused at replay."""
    monkeypatch.setenv("FLUXRUN_TOKEN", shop.token.to_text())
    file = shop.root / "fluxrun-trust.toml"
    trust = read_trust(file)
    revoked = Producer(shop.token.producer_id, shop.token.verifying_key, revoked=True)
    other = Producer(bytes(16), shop.token.verifying_key)

    told = []
    for producers in ((revoked, other), (other,)):
        write_trust(file, Trust("shop", trust.recipients, producers))
        told += findings(shop, code=1, subject="token")

    assert ["fail", "fail"] == [line[:4] for line in told]
    assert "is revoked" in told[0]
    assert "isn't in the trust file" in told[1]


def test_missing_trust_file_fails(shop: Any) -> None:
    """It says which command makes it."""
    (shop.root / "fluxrun-trust.toml").unlink()

    (line,) = findings(shop, code=1, subject="trust")

    assert "fluxrun init" in line


def test_a_store_that_does_not_answer_fails(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port: the store is named, with what to do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("FLUXRUN_STORE", "s3://runs/shop")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFLUXRUNTESTKEY00")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    (line,) = findings(shop, code=1, subject="store")

    assert line.startswith("fail")
    assert "s3://runs/shop" in line
    assert "planted-secret" not in line


def test_a_store_that_says_no_fails(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 403: the store is named, and what to check; the other findings are there as ever."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("FLUXRUN_STORE", "s3://runs/shop")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFLUXRUNTESTKEY00")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        (line,) = findings(shop, code=1, subject="store")
        pulled = shop.fluxrun("pull", "--all", code=2).stderr
        server.shutdown()

    assert line.startswith("fail")
    assert "s3://runs/shop" in line
    assert "s3://runs/shop" in pulled
    assert "Traceback" not in pulled


def test_modules_that_fail_or_register_nothing_fail(shop: Any) -> None:
    """The import's own last line is shown; a module without entries is told what to call."""
    app = shop.root / "pricing.py"
    app.write_text("raise RuntimeError('no database')\n")
    (broken,) = findings(shop, code=1, subject="entries")
    app.write_text("x = 1\n")
    (empty,) = findings(shop, code=1, subject="entries")

    assert "pricing can't be imported: RuntimeError: no database" in broken
    assert "pricing register none" in empty


def test_no_modules_is_a_warning(shop: Any) -> None:
    """Recording works without."""
    table = shop.root / "pyproject.toml"
    table.write_text(table.read_text().replace('["pricing"]', "[]"))

    (line,) = findings(shop, code=0, subject="entries")

    assert line.startswith("warn")


def test_a_misspelt_setting_is_a_finding(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported like anything else."""
    monkeypatch.setenv("FLUXRUN_STROE", "x")

    (line,) = findings(shop, code=1, subject="settings")

    assert "there is no setting 'stroe'" in line
    assert "did you mean 'store'?" in line


def test_guards_without_bundle_and_broken_guards_are_found(shop: Any) -> None:
    """One is a warning with the command, the other a failure with the place."""
    run = shop.function_run()
    write_guard(shop.root / "runs" / f"orders.price-{run.id}.guard.toml", Guard(run=run.id, sha256="0" * 64))
    (shop.root / "runs" / "orders.price-x.guard.toml").write_text("run = 1\n")

    _, missing, broken = findings(shop, code=1, subject="runs")

    assert "2 guards without bundle" in missing
    assert "fluxrun pull" in missing
    assert broken.startswith("fail")


def test_a_run_from_the_future_is_a_clock_warning(shop: Any) -> None:
    """One of the two clocks is wrong."""
    shop.store(shop.function_run(started_ns=4_000_000_000_000_000_000))

    (line,) = findings(shop, code=0, subject="clock")

    assert line.startswith("warn")


def test_an_ignored_trust_file_is_found(shop: Any) -> None:
    """Version control would leave it out of every commit; the rule is named."""
    subprocess.run(["git", "init", "-q"], cwd=shop.root, check=True, timeout=30)
    (shop.root / ".gitignore").write_text("*.toml\n")

    trust, guards = findings(shop, code=0, subject="git")

    assert "the trust file can't be committed: .gitignore:1:*.toml" in trust
    assert "guard files can't be committed" in guards


def test_the_probe_records_nothing_and_answers_in_json(shop: Any) -> None:
    """Modules are imported with recording off, whatever they print."""
    app = shop.root / "pricing.py"
    app.write_text(f'{app.read_text()}\nprint("hello")\nassert os.environ["FLUXRUN_DISABLED"] == "1"\n')

    (line,) = findings(shop, code=0, subject="entries")
    done = subprocess.run(
        [sys.executable, "-m", "pytest_fluxrun.cli.probe", str(shop.root), "pricing"],
        env=os.environ | {"FLUXRUN_DISABLED": "1"}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert line.startswith("ok")
    answer = done.stdout.splitlines()[-1].removeprefix("fluxrun-entries ")
    assert [["orders.price", "the function pricing.price"]] == json.loads(answer)


def test_calls_that_reached_no_run_are_named(shop: Any) -> None:
    """With their thread and place, added up over the runs, and with what to do."""
    lost = Orphan("httpx", "POST https://pay.example", "scheduler", "shop/jobs.py:31", "no-run", 2)
    late = Orphan("sqlite3", "INSERT INTO log VALUES (?)", "", "", "run-over", 1)
    for orphans in ((lost,), (lost, late), ()):
        shop.store(replace(shop.function_run(), orphans=orphans))

    first, second = findings(shop, code=0, subject="calls")

    assert first.startswith("warn")
    assert "httpx POST https://pay.example from thread 'scheduler' in shop/jobs.py:31 reached no run, 4 times" in first
    assert "next: start it inside a run, or decorate its function with @fluxrun.capture" in first
    assert "sqlite3 INSERT INTO log VALUES (?) came when its run was over, 1 time" in second
    assert "next: wait for it before the entry returns" in second


def test_no_lost_call_is_said_with_what_was_read(shop: Any) -> None:
    """A run that can't be opened is no proof."""
    shop.store(shop.function_run())
    stranger = ProjectKey.generate(Algorithm.X25519)
    run = shop.function_run()
    shop.store_bytes(run, shop.bundle(run, recipient=stranger))

    (line,) = findings(shop, code=0, subject="calls")

    assert line.startswith("ok")
    assert "none is known to have reached no run (1 run read; 1 could not be opened: " in line
