"""What is wrong with what a replay is given is an ERROR of one paragraph, and every file stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pytest_fluxrun.bundle import Algorithm, Producer, ProjectKey, Recipient, Token, Trust, write_trust
from tests.plugin.kiosk import Kiosk, Suite

_PARAGRAPH_LINES = 6


@dataclass(frozen=True, slots=True)
class Bad:
    """One way of being wrong.

    Attributes:
        spoil: does it to the project's one bundle.
        reason: the code in JUnit.
        says: what the text must name.
        next_step: what its `next:` line must name.
    """

    spoil: Callable[[Kiosk, Path], object]
    reason: str
    says: str
    next_step: str


def _flip(at: int) -> Callable[[Kiosk, Path], object]:
    def spoil(kiosk: Kiosk, bundle: Path) -> None:
        data = bytearray(bundle.read_bytes())
        data[at] ^= 1
        bundle.write_bytes(data)

    return spoil


def _cut(to: int) -> Callable[[Kiosk, Path], object]:
    return lambda kiosk, bundle: bundle.write_bytes(bundle.read_bytes()[:to])


def _put(at: int, byte: int) -> Callable[[Kiosk, Path], object]:
    def spoil(kiosk: Kiosk, bundle: Path) -> None:
        data = bytearray(bundle.read_bytes())
        data[at] = byte
        bundle.write_bytes(data)

    return spoil


def _trust(*producers: Producer) -> Callable[[Kiosk, Path], object]:
    return lambda kiosk, _: write_trust(
        kiosk.root / "fluxrun-trust.toml", Trust("kiosk", (Recipient(kiosk.key.public),), producers)
    )


def _revoke(kiosk: Kiosk, _: Path) -> None:
    known = Producer.of(kiosk.token)
    _trust(Producer(known.producer_id, known.verifying_key, revoked=True))(kiosk, _)


def _other_key(kiosk: Kiosk, _: Path) -> None:
    other = ProjectKey.generate(Algorithm.X25519)
    (kiosk.root.parent / "config" / "fluxrun" / "kiosk.key").unlink()
    kiosk.write(".env-key", other.to_text())


def _guard(text: str) -> Callable[[Kiosk, Path], object]:
    return lambda kiosk, bundle: bundle.with_name(f"{bundle.stem}.guard.toml").write_text(text)


def _changed_after_guard(kiosk: Kiosk, bundle: Path) -> None:
    kiosk.guard("refund")
    bundle.write_bytes(bundle.read_bytes() + b"\n")


def _guard_alone(kiosk: Kiosk, bundle: Path) -> None:
    kiosk.guard("refund")
    bundle.unlink()


def _other_run_s_guard(kiosk: Kiosk, bundle: Path) -> None:
    kiosk.guard("refund", run="01jd3kaaaaaaaaaaaaaaaaaaaa")


def _edit(old: str, new: str) -> Callable[[Kiosk, Path], object]:
    return lambda kiosk, _: kiosk.edit("service.py", old, new)


_FIRST = "fluxrun.init("
_BUNDLES = {
    "damaged-body": Bad(_flip(-1), "damaged", "refund-", "fluxrun pull"),
    "damaged-signature": Bad(_flip(40), "bad-signature|damaged", "refund-", "fluxrun"),
    "truncated": Bad(_cut(-1), "truncated", "is cut off", "fluxrun pull"),
    "truncated-head": Bad(_cut(12), "truncated", "is cut off", "fluxrun pull"),
    "empty": Bad(_cut(0), "truncated", "is cut off", "fluxrun pull"),
    "text": Bad(
        lambda _, bundle: bundle.write_text("hello"), "not-a-bundle", "is not a FluxRun bundle", "fluxrun pull"
    ),
    "future-version": Bad(_put(8, 2), "unsupported-version", "format version 2", "pip install --upgrade"),
    "foreign-key": Bad(_other_key, "locked", "refund-", "FLUXRUN_PROJECT_KEY"),
    "unknown-producer": Bad(_trust(Producer.of(Token.generate())), "untrusted", "refund-", "trust"),
    "no-producer": Bad(_trust(), "untrusted", "refund-", "trust"),
    "revoked-producer": Bad(_revoke, "untrusted", "refund-", "trust|fluxrun"),
    "directory": Bad(lambda _, bundle: (bundle.unlink(), bundle.mkdir()), "damaged", "can't be read", "check"),
}
_GUARDS = {
    "without-bundle": Bad(_guard_alone, "missing", "has no bundle here", "fluxrun pull"),
    "digest-mismatch": Bad(_changed_after_guard, "damaged", "isn't the bundle that its guard pins", "fluxrun pull"),
    "other-run": Bad(_other_run_s_guard, "damaged", "01jd3kaaaaaaaaaaaaaaaaaaaa", "fluxrun"),
    "malformed": Bad(_guard("run = \n"), "guard-error", "guard.toml can't be read", "version control"),
    "unknown-word": Bad(
        _guard('run = "x"\nexpct = "fix"\n'), "guard-error", "guard.toml can't be used", "fluxrun expect"
    ),
    "not-text": Bad(
        lambda _, bundle: bundle.with_name(f"{bundle.stem}.guard.toml").write_bytes(b"\xff\xfe"),
        "guard-error",
        "guard.toml can't be read",
        "version control",
    ),
}
_APPS = {
    "unregistered-entry": Bad(_edit('@fluxrun.capture("refund")', ""), "entry-not-found", "'refund'", "modules"),
    "other-kind-of-entry": Bad(
        lambda kiosk, _: kiosk.write(
            "service.py",
            (kiosk.root / "service.py")
            .read_text()
            .replace('@fluxrun.capture("refund")', "")
            .replace('name="front"', 'name="refund"'),
        ),
        "entry-not-found",
        "registered as asgi, recorded as function",
        "register",
    ),
    "missing-module": Bad(
        lambda kiosk, _: (kiosk.root / "service.py").unlink(), "start-up-failed", "service", "import service"
    ),
    "syntax-error": Bad(_edit(_FIRST, "def (\n" + _FIRST), "start-up-failed", "SyntaxError", "import service"),
    "import-raises": Bad(_edit(_FIRST, "1 / 0\n" + _FIRST), "start-up-failed", "ZeroDivisionError", "import service"),
    "import-exits": Bad(
        _edit(_FIRST, "raise SystemExit(3)\n" + _FIRST), "start-up-failed", "SystemExit", "import service"
    ),
    "import-connects": Bad(
        _edit(_FIRST, "import socket; socket.create_connection(('127.0.0.1', 9))\n" + _FIRST),
        "start-up-leaked",
        "127.0.0.1",
        "boundary",
    ),
    "import-asks": Bad(
        _edit(_FIRST, "httpx.get('https://other.example/')\n" + _FIRST),
        "start-up-unrecorded",
        "https://other.example/",
        "",
    ),
    "import-hangs": Bad(_edit(_FIRST, "while True: pass\n" + _FIRST), "start-up-deadline", "start-up", "timeout_s"),
    "init-argument-misspelt": Bad(
        _edit('project="kiosk"', 'projekt="kiosk"'), "settings-error", "'projekt'", "did you mean 'project'"
    ),
    "init-argument-unusable": Bad(_edit('project="kiosk"', "sample=7"), "settings-error", "sample", "correct it"),
}


@pytest.mark.parametrize("name", [*_BUNDLES, *_GUARDS, *_APPS])
def test_unready_run_is_an_error(kiosk: Kiosk, name: str) -> None:
    """ERROR, one paragraph that names the thing, the reason and the next command; and no file changed."""
    bad = (_BUNDLES | _GUARDS | _APPS)[name]
    kiosk.keep_only("refund")
    bad.spoil(kiosk, kiosk.bundle("refund"))
    before = kiosk.digests()

    suite = kiosk.replay("-o", "fluxrun_timeout_s=1")

    case = suite.case("refund")
    assert ({"error": 1}, 1) == (suite.results, suite.exit_code), suite.output
    assert ("error", "unready") == (case.result, case.verdict)
    assert re.fullmatch(bad.reason, case.properties["fluxrun.reason"])
    assert bad.says in case.text
    assert re.search(bad.next_step, suite.lines[_last_next(suite)])
    _assert_one_paragraph(suite)
    assert before == kiosk.digests()


_FAILED_START = 'await send({"type": "lifespan.startup.failed", "message": "no pool"}); return'


def test_front_that_doesn_t_start(kiosk: Kiosk) -> None:
    """A lifespan that fails is one ERROR per run of that entry; other entries are replayed."""
    kiosk.edit("service.py", 'await send({"type": "lifespan.startup.complete"})', _FAILED_START)

    suite = kiosk.replay("-k", "front")

    assert {"error": 2, "deselected": 3} == suite.results
    assert {"start-up-failed"} == {case.properties["fluxrun.reason"] for case in suite.cases.values()}
    assert "no pool" in suite.output
    assert "Traceback" not in suite.output


def test_front_that_doesn_t_stop(kiosk: Kiosk) -> None:
    """A lifespan whose shut-down fails takes nothing away from what was replayed."""
    kiosk.edit("service.py", 'await send({"type": "lifespan.shutdown.complete"})', "raise RuntimeError('stuck')")

    suite = kiosk.replay("-k", "front")

    assert {"passed": 1, "failed": 1, "deselected": 3} == suite.results
    assert "INTERNALERROR" not in suite.output


@pytest.mark.parametrize(
    ("place", "says"),
    [("variable", "FLUXRUN_STOER"), ("table", "pyproject.toml:"), ("value", "timeout_s")],
)
def test_misspelt_setting_is_a_usage_error(kiosk: Kiosk, place: str, says: str) -> None:
    """A setting that doesn't exist, or can't be, in any place: exit code 4, where it is, what to do."""
    variables = {}
    match place:
        case "variable":
            variables["FLUXRUN_STOER"] = "runs"
        case "table":
            kiosk.edit("pyproject.toml", "store =", "stoer =")
        case _:
            kiosk.edit("pyproject.toml", "release =", "timeout_s = -1\nrelease =")
    before = kiosk.digests()

    suite = kiosk.replay(**variables)

    assert 4 == suite.exit_code
    assert says in suite.line("ERROR:")
    assert suite.line("next:")
    _assert_one_paragraph(suite)
    assert before == kiosk.digests()


@pytest.mark.parametrize("spoilt", ["missing", "malformed"])
def test_trust_file_that_can_t_be_used(kiosk: Kiosk, spoilt: str) -> None:
    """Without trust nothing is opened: each run is an ERROR that names the file."""
    trust = kiosk.root / "fluxrun-trust.toml"
    trust.unlink() if spoilt == "missing" else trust.write_text("version = 9\n")
    kiosk.keep_only("refund")

    suite = kiosk.replay()

    assert {"error": 1} == suite.results
    assert "fluxrun-trust.toml" in suite.case("refund").text
    assert "fluxrun init" in suite.line("next:")
    _assert_one_paragraph(suite)


def test_key_that_is_no_key(kiosk: Kiosk) -> None:
    """A mangled key is named by its source and never shown."""
    kiosk.keep_only("refund")
    mangled = kiosk.key.to_text()[:-4] + "zzzz"

    suite = kiosk.replay(FLUXRUN_PROJECT_KEY=mangled)

    assert {"error": 1} == suite.results
    assert "FLUXRUN_PROJECT_KEY" in suite.case("refund").text
    assert mangled not in suite.output + suite.junit
    _assert_one_paragraph(suite)


@pytest.mark.parametrize("answer", ["403", "nothing"])
def test_pull_from_a_store_that_fails(kiosk: Kiosk, answer: str) -> None:
    """A store that says no, or isn't there: exit code 4, the store named, the reason, the next step."""
    kiosk.keep_only("refund")
    kiosk.guard("refund")
    kiosk.bundle("refund").unlink()
    before = kiosk.digests()

    with _refusing_server() as url:
        endpoint = url if answer == "403" else "http://127.0.0.1:9"
        suite = kiosk.replay("--fluxrun-pull", **_s3(endpoint))

    assert 4 == suite.exit_code
    assert "s3://bucket/kiosk" in suite.line("ERROR:")
    assert "next:" in suite.output
    _assert_one_paragraph(suite)
    assert before == kiosk.digests()


@pytest.mark.parametrize("answer", ["403", "nothing"])
def test_recording_into_a_store_that_fails(kiosk: Kiosk, answer: str) -> None:
    """The host doesn't notice; the lost run is counted by its reason, and said once in the log."""
    script = (
        "import contextlib, logging, service\n"
        "logging.basicConfig()\n"
        "service.rate = lambda: 3\n"
        "for _ in range(2):\n"
        "    with contextlib.suppress(ValueError):\n"
        "        service.refund(7)\n"
        "print('flushed', service.fluxrun.flush(60))\n"
        "from pytest_fluxrun.recording.service import recording_status\n"
        "print(recording_status())\n"
    )

    with _refusing_server() as url:
        endpoint = url if answer == "403" else "http://127.0.0.1:9"
        done = kiosk.python("-c", script, FLUXRUN_TOKEN=kiosk.token.to_text(), **_s3(endpoint))

    assert 0 == done.returncode, done.stdout
    assert "flushed True" in done.stdout
    reason = "AccessDenied" if answer == "403" else "StoreUnreachable"
    assert str({"stored": 0, reason: 2}) in done.stdout
    assert 1 == done.stdout.count("FluxRun dropped a run")


def _s3(endpoint: str) -> dict[str, str]:
    return {
        "FLUXRUN_STORE": "s3://bucket/kiosk",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_REGION": "us-east-1",
    }


class _refusing_server:
    def __enter__(self) -> str:
        class Handler(BaseHTTPRequestHandler):
            def refuse(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
                self.send_response(403)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = refuse

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def _last_next(suite: Suite) -> int:
    return next(number for number, line in reversed([*enumerate(suite.lines)]) if line.startswith("  next:"))


def _assert_one_paragraph(suite: Suite) -> None:
    """No traceback of anything, no internal error, and no more lines than a paragraph has."""
    for word in ("INTERNALERROR", "Traceback", "site-packages/_pytest", "During handling", 'File "'):
        assert word not in suite.output, suite.output
    for case in suite.cases.values():
        assert len(case.text.strip().splitlines()) <= _PARAGRAPH_LINES, case.text
