"""`fluxrun expect`: prove a run by replaying it, then write or change its guard."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from pytest_fluxrun.cli.console import styled
from pytest_fluxrun.cli.project import Project, directories_option, run_argument
from pytest_fluxrun.cli.replay import pytest_line, replay_once
from pytest_fluxrun.cli.require import enlist
from pytest_fluxrun.cli.why import own_judgement
from pytest_fluxrun.errors import EntryNotFound, GuardError, RunNotReady, SettingsError
from pytest_fluxrun.execution.stage import Replayed
from pytest_fluxrun.judgement.comparison import is_failure
from pytest_fluxrun.judgement.corpus import Placed
from pytest_fluxrun.judgement.guard import Guard, digest, write_guard
from pytest_fluxrun.judgement.schemas import with_schema
from pytest_fluxrun.judgement.verdict import judge
from pytest_fluxrun.report.plain_text import printable
from pytest_fluxrun.run import Run

__all__ = ["command"]


@click.command("expect")
@run_argument
@directories_option
@click.option("--recorded", is_flag=True, help="Expect the recorded outcome.")
@click.option("--fix", is_flag=True, help="Expect a fix; without a further option: no error and no 5xx.")
@click.option("--status", metavar="CODE", help="The fixed response's status: 409, 4xx, or several: 200,201.")
@click.option("--schema", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A JSON Schema of the fixed response's body, or of what the fixed function returns.")  # fmt: skip
@click.option("--body", metavar="JSON", help="What the fixed response's body contains; objects as subsets.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of the fixed response.")
@click.option("--raises", metavar="NAME", help="Class of the error that the fixed function raises.")
@click.option("--returns", metavar="JSON", help="What the fixed function returns; objects as subsets.")
@click.option("--effect", "effects", type=click.IntRange(1), multiple=True, metavar="N",
              help="Call N may change or be absent: that belongs to the fix.")  # fmt: skip
@click.option("--calls", nargs=2, type=(str, click.IntRange(0)), multiple=True, metavar="CALL N",
              help="CALL is made N times, e.g. `http POST pay.example/*` 1.")  # fmt: skip
@click.option("--title", metavar="TEXT", help="What a reader of the guard should know.")
@click.option("--pending/--no-pending", default=None, help="The fix isn't there yet: an expected failure until it is.")
@click.option(
    "--beyond", type=click.Choice(["accept", "fail"]), help="Fixed code that asks for more than was recorded."
)
@click.option("--ignore", "ignores", multiple=True, metavar="PATH", help="Don't compare this, e.g. response.body.id.")
@click.option("--allow", "allows", multiple=True, metavar="DRIFT", help="Allow a drift, e.g. `missing-effect: POST *`.")
def command(*, run: str, directories: tuple[Path, ...], **options: Any) -> None:
    """Write what is expected of RUN into its guard, a file to commit beside the bundle.

    The run is replayed first: where it comes to its own recorded outcome, the guard says on which release. An existing
    guard keeps whatever isn't named here. Without an option a failed run expects a fix, another its recorded outcome.
    Where the directory has a guards.txt, the guard is put on it.
    """
    project = Project.current(directories)
    placed = project.find(run)
    opened, before = project.open(placed)
    guard = _merged(opened, placed, before, options)
    replayed, hindrance = _replayed(project, opened)
    unproven = hindrance
    if replayed is not None:
        own = own_judgement(replayed, guard)
        unproven = "" if own.passed else f"first difference: {own.first_divergence}"
    if not unproven:
        guard = guard.model_copy(update={"proven": _release(project, opened)})
    write_guard(placed.guard_file, guard)
    _tell(project, opened, placed, guard, unproven)
    fixed = replayed is not None and judge(replayed.evidence, guard, project.policy).passed
    if unproven and not fixed:
        raise SystemExit(1)


def _merged(run: Run, placed: Placed, before: Guard | None, options: Mapping[str, Any]) -> Guard:
    """The guard as it was, with the given options in it.

    Raises:
        GuardError: the options contradict each other or what is there.
    """
    fields = before.model_dump(exclude_defaults=True, by_alias=True) if before else {}
    fields |= {"run": run.id, "sha256": digest(placed.bundle.read_bytes())}
    given = _given_fix(options, placed)
    fix = fields.get("fix", {}) | given
    if options["recorded"]:
        if options["fix"] or given:
            raise click.UsageError("--recorded expects the recorded outcome: leave out --fix and what describes a fix.")
        fields["expect"] = "recorded"
        fields.pop("fix", None)
        fields.pop("pending", None)
    elif options["fix"] or given:
        fields["expect"] = "fix"
    elif before is None:
        fields["expect"] = "fix" if is_failure(run.outcome) else "recorded"
    if fix and not options["recorded"]:
        fields["fix"] = fix
    fields |= {name: options[name] for name in ("title", "pending", "beyond") if options[name] is not None}
    for table, key, name in (("ignore", "paths", "ignores"), ("drift", "allow", "allows")):
        if options[name]:
            there = fields.get(table, {}).get(key, ())
            fields[table] = {key: tuple(dict.fromkeys((*there, *options[name])))}
    if options["calls"]:
        again = {call for call, _ in options["calls"]}
        kept = [one for one in fields.get("calls", ()) if one["call"] not in again]
        fields["calls"] = (*kept, *({"call": call, "count": count} for call, count in options["calls"]))
    try:
        return with_schema(Guard.model_validate(fields), placed.directory)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise GuardError(
            f"the guard of run {run.id} was not written",
            why=reason,
            next_step="`fluxrun expect --help` says which options go together",
        ) from None


def _given_fix(options: Mapping[str, Any], placed: Placed) -> dict[str, Any]:
    fix: dict[str, Any] = {}
    if options["status"] is not None:
        fix["status"] = _status(options["status"])
    if options["schema"] is not None:
        fix["schema"] = Path(os.path.relpath(options["schema"], placed.directory)).as_posix()
    for name in ("body", "returns"):
        if options[name] is not None:
            fix[name] = _json(options[name], f"--{name}")
    if options["headers"]:
        fix["headers"] = dict(_header(text) for text in options["headers"])
    if options["raises"] is not None:
        fix["raises"] = options["raises"]
    if options["effects"]:
        fix["effects"] = options["effects"]
    return fix


def _status(text: str) -> Any:
    codes = tuple(int(code) if code.strip().isdecimal() else code.strip().lower() for code in text.split(","))
    return codes[0] if len(codes) == 1 else codes


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise click.BadParameter(
            f"{text!r} isn't JSON ({error.msg} at {error.pos}); text needs its quotes: '\"{text}\"'", param_hint=option
        ) from None


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise click.BadParameter(f"{text!r} isn't NAME=VALUE", param_hint="--header")
    return name.strip().lower(), value


def _replayed(project: Project, run: Run) -> tuple[Replayed | None, str]:
    """The replay, or why there is none: a guard may be written before its run can be replayed."""
    try:
        return replay_once(project, run), ""
    except (RunNotReady, EntryNotFound, SettingsError) as error:
        return None, str(error).replace("\n", "\n  ")


def _release(project: Project, run: Run) -> str:
    """The release of the code that was replayed here: the setting, else the commit, else the run's own."""
    if project.settings.release:
        return project.settings.release
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],  # noqa: S607 - the user's git
            cwd=project.root, capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return run.versions.get("release") or "unreleased"
    return told.stdout.strip() or run.versions.get("release") or "unreleased"


def _tell(project: Project, run: Run, placed: Placed, guard: Guard, unproven: str) -> None:
    if unproven:
        click.echo(f"{styled('unproven', 'yellow', bold=True)}: the run wasn't seen to replay to its own outcome.")
        click.echo(f"  {printable(unproven, keep=chr(10))}")
        release = run.versions.get("release") or "that recorded it"
        earlier = f"it was proven on {guard.proven}" if guard.proven else f"prove it on the release {release}"
        click.echo(f"  `fluxrun why {guard.run[:10]}` says more. If the code here is fixed already: {earlier}.")
    else:
        click.echo(f"{styled('proven', 'green', bold=True)} on {guard.proven}: the run replays to its own outcome.")
    path = placed.guard_file
    click.echo(f"wrote {project.shown(path)}")
    for line in path.read_text(encoding="utf-8").splitlines():
        click.echo(f"  {line}".rstrip())
    enlist(project, placed)
    click.echo(f"next: {pytest_line(project, placed)}")
