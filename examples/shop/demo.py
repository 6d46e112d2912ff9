"""The whole loop on real parts: record a failure, replay it red, fix it, replay it green, revert it, red again.

`./dev demo` runs it. It works in a copy of this directory and leaves nothing behind. Exits with 1 at the first step
that didn't go as told.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import xml.etree.ElementTree as ET
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

import fix
import traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_SEED = 1
_START_S = 20.0
_COMMAND_S = 60.0
_RUN_ID = re.compile(r"\b[0-7][0-9a-hjkmnp-tv-z]{5,25}\b")


class StepFailed(Exception):
    """A step of the demo didn't go as told."""


@dataclass(frozen=True, slots=True)
class Suite:
    """What one pytest run said."""

    exit_code: int
    passed: int
    not_passed: frozenset[str]
    output: str


@dataclass(frozen=True, slots=True)
class Demo:
    """One demonstration, in a directory of its own."""

    root: Path
    began_s: float

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every child: nothing of the caller's FluxRun, and keys below the demo's own directory."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLUXRUN_", "SHOP_"))}
        home = str(self.root / "home")
        return kept | {"HOME": home, "XDG_CONFIG_HOME": f"{home}/.config", "COLUMNS": "160", "NO_COLOR": "1"}

    def say(self, text: str) -> None:
        """Tell what happens next."""
        print(f"\n[{time.monotonic() - self.began_s:4.1f} s] {text}", flush=True)

    def run(self, *arguments: str, expected: int = 0) -> str:
        """Run a Python module in the demo's directory, show its last lines, and return its output."""
        print("  $ python -m " + " ".join(arguments), flush=True)
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        if done.returncode != expected:
            message = f"this ended with exit code {done.returncode}, not {expected}:\n{done.stdout}"
            raise StepFailed(message)
        return done.stdout

    def fluxrun(self, *arguments: str) -> str:
        """Run a `fluxrun` command."""
        return self.run("pytest_fluxrun", *arguments)

    def replay(self, *, expected: int) -> Suite:
        """Replay every run with pytest."""
        report = self.root / "report.xml"
        output = self.run("pytest", "--fluxrun-dir=runs/", f"--junitxml={report.name}", expected=expected)
        cases = [*ET.parse(report).getroot().iter("testcase")]
        bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
        if (self.root / "shop.db").exists():
            raise StepFailed("a replay made a database file: it went live")
        names = frozenset(f"{case.attrib['classname']}::{case.attrib['name']}" for case in bad)
        show(output, last=5 if not bad else 12)
        return Suite(expected, len(cases) - len(bad), names, output)


def show(output: str, *, last: int) -> None:
    """Print the last lines of an output, indented."""
    lines = output.rstrip().splitlines()
    if len(lines) > last:
        print(f"    … {len(lines) - last} lines left out")
    print(textwrap.indent("\n".join(lines[-last:]), "    "), flush=True)


@contextmanager
def server(demo: Demo, application: str, **variables: str) -> Iterator[str]:
    """Serve an application with uvicorn on a free port, and stop it with SIGTERM at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    log = demo.root / f"{application.partition(':')[0]}.log"
    with log.open("w") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", application, "--port", port, "--log-level", "warning"],
            cwd=demo.root,
            env=demo.environment | variables,
            stdout=log_file,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(process, int(port), log)
        print(f"  {application} listens on 127.0.0.1:{port}, process {process.pid}", flush=True)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            message = f"{application} did not stop within 15 s of SIGTERM:\n{log.read_text()}"
            raise StepFailed(message) from None
        print(f"  {application} stopped (exit code {process.returncode})", flush=True)


def record(demo: Demo) -> None:
    """Run both servers under real traffic until the shop has failed."""
    settings = {"FLUXRUN_STORE": "runs", "FLUXRUN_SAMPLE": "1", "FLUXRUN_TOKEN": demo.fluxrun("token").strip()}
    with ExitStack() as stack:
        payments_url = stack.enter_context(server(demo, "payments:app"))
        shop_url = stack.enter_context(server(demo, "shop.main:app", SHOP_PAYMENTS_URL=payments_url, **settings))
        sent = asyncio.run(traffic.drive(shop_url, _SEED, (*traffic.EVERYDAY, traffic.use_old_coupons)))
        print(traffic.table(sent))
        if sent.surprises:
            raise StepFailed("the shop answered otherwise than intended:\n" + "\n".join(sent.surprises))
    for file in demo.root.glob("shop.db*"):
        file.unlink()
    kept = len([*(demo.root / "runs").glob("**/*.fluxrun")])
    print(f"  both servers are stopped and the database is deleted; {kept} sealed runs lie in runs/")
    if kept < sum(count for (_, status), count in sent.counts.items() if status == "500"):
        raise StepFailed("the failures were not recorded")


def find_failures(demo: Demo) -> tuple[str, str]:
    """Return the ids of the two failed runs: the expired coupon's, then the honoured coupon's."""
    listed = [line for line in demo.fluxrun("list").splitlines() if re.search(r"\b500\b", line)]
    print(textwrap.indent("\n".join(listed), "    "))
    timelines = {found[0]: demo.fluxrun("show", found[0]) for line in listed if (found := _RUN_ID.findall(line))}
    expired, honoured = (
        next((run for run, timeline in timelines.items() if code in timeline), None) for code in ("SPRING", "LASTWEEK")
    )
    if expired is None or honoured is None:
        raise StepFailed("`list` and `show` don't tell the two failures")
    show(timelines[expired], last=30)
    return expired, honoured


def check_red(suite: Suite, runs: tuple[str, str]) -> None:
    """See that exactly the two failures are red."""
    if len(suite.not_passed) != len(runs) or not suite.passed:
        message = f"{len(runs)} replays should be red and the others green; red: {sorted(suite.not_passed)}"
        raise StepFailed(message)
    print(f"  red, as it should be: {len(suite.not_passed)} fail, {suite.passed} pass")


def demonstrate(demo: Demo) -> None:
    """Go through every step; `StepFailed` at the first that didn't go as told."""
    demo.say("A project key, a token and a store, as a new user makes them.")
    show(demo.fluxrun("init", "--yes"), last=12)

    demo.say("Production: the shop and its payment provider under uvicorn, with real traffic.")
    record(demo)

    demo.say("Two orders gave a 500. This is what FluxRun kept of the first.")
    runs = find_failures(demo)

    demo.say("Each failure becomes a guard: the expired coupon shall give a 409. The honoured one shall give a 201;")
    print("its fix runs on to the charge, which the recording lacks: `--beyond accept` says that this is known.")
    show(demo.fluxrun("expect", runs[0], "--status", "409"), last=6)
    show(demo.fluxrun("expect", runs[1], "--status", "201", "--beyond", "accept"), last=6)

    demo.say("pytest replays every run, with no server and no database. The bug is still there: red.")
    check_red(demo.replay(expected=1), runs)

    demo.say("The fix goes in: " + ", ".join(str(path.relative_to(demo.root)) for path in fix.apply(demo.root)))
    print(textwrap.indent((demo.root / fix.PATCH).read_text(), "    "))
    green = demo.replay(expected=0)
    print(f"  green: {green.passed} pass")

    fix.revert(demo.root)
    demo.say("The fix is reverted, as a bad merge would do it. The guards notice: red.")
    check_red(demo.replay(expected=1), runs)

    demo.say("Done: a production failure became a test that was red, turned green with the fix, and stays.")


def main() -> int:
    """Run the demo in a temporary copy of the shop."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fluxrun-demo-") as directory:
        root = Path(directory).resolve() / "shop"
        ignored = shutil.ignore_patterns("__pycache__", "*.db*", "runs", ".*")
        shutil.copytree(_HERE, root, ignore=ignored)
        (root / "home").mkdir()
        try:
            demonstrate(Demo(root, began_s))
        except (StepFailed, fix.PatchRefused, subprocess.TimeoutExpired, OSError) as failure:
            print(f"\nThe demo failed: {failure}", file=sys.stderr)
            return 1
    return 0


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=1)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    message = f"the server on port {port} did not start:\n{log.read_text()}"
    raise StepFailed(message)


if __name__ == "__main__":
    raise SystemExit(main())
