"""`fluxrun replay --trace` and `--pdb`: a replay call by call, and a debugger where the app's error was raised."""

from __future__ import annotations

import pdb  # noqa: T100 - it is what --pdb is for
import sys
import threading
import traceback
from collections.abc import Callable

import click

from pytest_fluxrun.cli.console import clipped, styled
from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.fence import Fence, baseline
from pytest_fluxrun.replaying.replayer import Played
from pytest_fluxrun.report.calls import answer_text
from pytest_fluxrun.report.plain_text import printable
from pytest_fluxrun.run import Run

__all__ = ["examine", "walk"]

_BAR = 24


def walk(run: Run) -> Callable[[Played], None]:
    """What prints each crossing of a run as it is answered, under a line that says how far the replay has come."""
    calls = run.recording.interactions
    seen: set[int] = set()
    lock = threading.Lock()
    width = len(str(len(calls)))

    def show(played: Played) -> None:
        with lock:
            if played.index >= 0:
                seen.add(played.index)
            number = f"{played.index + 1:{width}}/{len(calls)}" if played.index >= 0 else f"{'-':>{width}}/{len(calls)}"
            mark = "*" if played.effect else " "
            answer = answer_text(calls[played.index]) if played.index >= 0 else f"by {played.source}"
            _over_progress(clipped(printable(f"{number}{mark} {played.text}")))
            click.echo(clipped(printable(f"{'':{width}}{'':{len(str(len(calls))) + 3}}→ {answer}")))
            _progress(len(seen), len(calls))

    return show


def _over_progress(line: str) -> None:
    """A line in the place of the progress line, where there is one."""
    click.echo(f"\r\x1b[K{line}" if sys.stdout.isatty() else line)


def _progress(done: int, total: int) -> None:
    if sys.stdout.isatty():
        filled = _BAR * done // max(1, total)
        click.echo(f"[{'#' * filled}{'.' * (_BAR - filled)}] {done} of {total} recorded calls", nl=False)


def examine(project: Project, error: BaseException | None) -> None:
    """A debugger at the place where the app's error was raised, fenced: what is typed there goes nowhere live."""
    if error is None:
        click.echo("the app let no error out of its entry: there is nothing to examine; `breakpoint()` stops")
        return
    told = "".join(traceback.format_exception_only(error)).strip()
    click.echo(styled(f"the app raised {printable(told)}", "red", bold=True))
    with Fence(project=project.root, keep=baseline()):
        pdb.post_mortem(error.__traceback__)
