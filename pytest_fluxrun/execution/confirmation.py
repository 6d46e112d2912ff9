"""A verdict seen again in a clean process: a child of a zygote that has run nothing, or a fresh pytest of one item.

Knows no pytest: what runs in the child is handed in. Only JSON crosses between the processes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.execution.zygote import Zygote

__all__ = ["OUTPUT_VARIABLE", "Confirmation", "confirm_forked", "confirm_fresh", "is_confirming", "write_answer"]

OUTPUT_VARIABLE = "FLUXRUN_CONFIRM_OUT"
"""Names the JSON file that a fresh pytest answers in; set, it says that this process is a confirmation."""
_DROPPED = ("COVERAGE_PROCESS", "COV_CORE", "PYTEST_CURRENT_TEST", "PYTEST_XDIST")
"""Prefixes of variables by which plugins of the outer session would go on in the inner one."""
_OVERRIDES = {
    "xdist": ("-n0",),
    "pytest_cov": ("--no-cov",),
    "html": ("--html=",),
    "rerunfailures": ("--reruns=0",),
}
"""By plugin name: options that keep the outer session's settings from working in the inner one."""
_TAIL = 2000
"""Characters of the inner session's output that a failed confirmation shows."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a clean process said.

    Args:
        how: `fork` or `fresh`.
        verdict: the verdict there; "" where it gave none.
        detail: what the clean process said about it, or why it gave no verdict.
        same: whether it is the verdict that was to be confirmed.
    """

    how: Literal["fork", "fresh"]
    verdict: str
    detail: str
    same: bool

    @property
    def answered(self) -> bool:
        """Whether there was a verdict at all: a crash or a hang says nothing about leaked state."""
        return bool(self.verdict)


def confirm_forked(zygote: Zygote, request: Mapping[str, Any], *, verdict: str, deadline_s: float) -> Confirmation:
    """Have a fresh child of the zygote do its work on the request, which must answer {"verdict": …, "detail": …}.

    Args:
        request: JSON-able, e.g. {"nodeid": …}.
        verdict: what was seen here.
        deadline_s: after this many seconds the child writes its stacks and dies.
    """
    return _confirmation("fork", zygote.ask(request, deadline_s=deadline_s), verdict)


def confirm_fresh(
    nodeid: str,
    rootdir: str | os.PathLike[str],
    *,
    verdict: str,
    options: Sequence[str] = (),
    has_plugin: Callable[[str], bool] = lambda _: False,
    timeout_s: float = 60,
) -> Confirmation:
    """Run one node id in a pytest of its own, which must call `write_answer`.

    Args:
        nodeid: relative to rootdir.
        verdict: what was seen here.
        options: of the outer session, as far as the item needs them (`--fluxrun-dir`, `-c`, `-p`, `--ds`).
        has_plugin: whether the outer session has a plugin of that name, as pytest's plugin manager tells.
        timeout_s: real seconds for all of it.

    Raises:
        FluxRunError: this process is itself a confirmation.
    """
    if is_confirming():
        raise FluxRunError(
            f"{nodeid} can't be confirmed from here",
            why="this process is itself a confirmation",
            next_step=f"unset {OUTPUT_VARIABLE} if it was set by hand",
        )
    with tempfile.TemporaryDirectory(prefix="fluxrun-confirm-") as directory:
        output = Path(directory, "answer.json")
        command = _command(nodeid, rootdir, directory, options, has_plugin)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
        status, said = _run(command, rootdir, environment | {OUTPUT_VARIABLE: str(output)}, timeout_s)
        try:
            answer = json.loads(output.read_bytes())
        except (OSError, ValueError):
            answer = {"error": f"the fresh process {status} and gave no answer\n{said[-_TAIL:]}"}
    return _confirmation("fresh", answer, verdict)


def is_confirming() -> bool:
    """Whether this process was started by `confirm_fresh`."""
    return OUTPUT_VARIABLE in os.environ


def write_answer(verdict: str, detail: str) -> None:
    """Answer `confirm_fresh`; does nothing in any other process."""
    output = os.environ.get(OUTPUT_VARIABLE)
    if output:
        partial = Path(f"{output}.partial")
        partial.write_text(json.dumps({"verdict": verdict, "detail": detail}), encoding="utf-8")
        partial.replace(output)


def _command(
    nodeid: str,
    rootdir: str | os.PathLike[str],
    scratch: str,
    options: Sequence[str],
    has_plugin: Callable[[str], bool],
) -> list[str]:
    """The outer session's cache and reports stay as they are: a cache of its own, no JUnit file."""
    command = [sys.executable, "-m", "pytest", "-q", *options, "-o", f"cache_dir={scratch}/cache", "--junit-xml="]
    for plugin, override in _OVERRIDES.items():
        if has_plugin(plugin):
            command += override
    return [*command, f"--rootdir={os.fspath(rootdir)}", nodeid]


def _run(
    command: Sequence[str], directory: str | os.PathLike[str], environment: Mapping[str, str], timeout_s: float
) -> tuple[str, str]:
    """Run in a session of its own, so that a time-out ends the process and all that it started."""
    process = subprocess.Popen(  # noqa: S603 - this interpreter, with a node id that pytest itself gave
        command,
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            said, _ = process.communicate(timeout=timeout_s)
            status = f"ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            _end(process)
            said, _ = process.communicate()
            status = f"took longer than {timeout_s:g} s"
        except BaseException:
            _end(process)
            raise
    return status, said.decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _confirmation(how: Literal["fork", "fresh"], answer: Any, verdict: str) -> Confirmation:
    if not isinstance(answer, dict):
        answer = {"error": f"the clean process answered {type(answer).__name__}, not an object"}
    if "error" in answer:
        stacks = f"\n{answer['stacks']}" if answer.get("stacks") else ""
        return Confirmation(how=how, verdict="", detail=f"{answer['error']}{stacks}", same=False)
    seen = str(answer.get("verdict") or "")
    detail = str(answer.get("detail") or "") if seen else "the clean process gave no verdict"
    return Confirmation(how=how, verdict=seen, detail=detail, same=seen == verdict)
