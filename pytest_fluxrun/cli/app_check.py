"""What `fluxrun check` finds about the app: its modules import, they register entries, and git keeps what it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pytest_fluxrun.cli.findings import Finding, fail, ok, warn
from pytest_fluxrun.cli.probe import MARK
from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.judgement.guard import GUARD_SUFFIX

__all__ = ["check_app"]

_IMPORT_S: Final = 60.0
_GIT_S: Final = 10.0


def check_app(project: Project) -> Iterator[Finding]:
    """Import the project's modules where they do no harm, and see what they register."""
    yield from _ignored(project)
    modules = project.settings.modules
    if not modules:
        yield warn(
            "entries",
            "the setting modules is empty: nothing can be replayed",
            'name what calls fluxrun.instrument or uses @fluxrun.capture: modules = ["shop.main"] in [tool.fluxrun]',
        )
        return
    shown = ", ".join(modules)
    command = [sys.executable, "-m", "pytest_fluxrun.cli.probe", str(project.root), *modules]
    environment = os.environ | {"FLUXRUN_DISABLED": "1"}
    try:
        probe = subprocess.run(  # noqa: S603 - this interpreter, and module names from the settings
            command, cwd=project.root, env=environment, capture_output=True, text=True, timeout=_IMPORT_S, check=False
        )
    except subprocess.TimeoutExpired:
        yield fail("entries", f"importing {shown} took more than {_IMPORT_S:g} s", "make the import wait for nothing")
        return
    answer = next((line for line in probe.stdout.splitlines() if line.startswith(MARK)), None)
    if answer is None:
        last = (probe.stderr.strip().splitlines() or [f"exit code {probe.returncode}"])[-1]
        step = f"make `python -c 'import {modules[0]}'` work in {project.root}, or correct modules in [tool.fluxrun]"
        yield fail("entries", f"{shown} can't be imported: {last}", step)
        return
    entries = json.loads(answer.removeprefix(MARK))
    if not entries:
        yield fail(
            "entries", f"{shown} register none", "call fluxrun.instrument(app), or decorate with @fluxrun.capture"
        )
    else:
        yield ok("entries", "; ".join(f"{name} is {described}" for name, described in entries))


def _ignored(project: Project) -> Iterator[Finding]:
    """What belongs into git and is kept out of it by an ignore rule."""
    trust_file = Path(project.settings.trust_file)
    guard = project.directories[0] / f"example{GUARD_SUFFIX}"
    for path, what in ((trust_file, "the trust file"), (guard, "guard files")):
        rule = _ignore_rule(project.root, path)
        if rule:
            yield warn("git", f"{what} can't be committed: {rule} ignores {project.shown(path)}", "change that rule")


def _ignore_rule(root: Path, path: Path) -> str:
    """The rule by which git ignores a path, or "": it doesn't, or there is no git."""
    try:
        found = subprocess.run(  # noqa: S603 - git, and paths of the project
            ["git", "check-ignore", "--verbose", str(path)],  # noqa: S607 - the user's git
            cwd=root, capture_output=True, text=True, timeout=_GIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.partition("\t")[0] if found.returncode == 0 else ""
