"""`fluxrun extend`: ask a development environment, once, for the reads that fixed code makes and a run lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click

from pytest_fluxrun.boundary import Boundary, Request
from pytest_fluxrun.bundle import Token
from pytest_fluxrun.cli.console import styled
from pytest_fluxrun.cli.project import Project, directories_option, run_argument
from pytest_fluxrun.cli.replay import pytest_line, stage_for
from pytest_fluxrun.cli.require import enlist
from pytest_fluxrun.cli.token_file import read_token
from pytest_fluxrun.environments import environment_named, only_environment
from pytest_fluxrun.errors import FluxRunError, KeyFileError
from pytest_fluxrun.execution.stage import Replayed, Stage
from pytest_fluxrun.judgement.corpus import Placed, default_guard
from pytest_fluxrun.judgement.guard import Answer, Guard, answer_lines, digest, write_guard
from pytest_fluxrun.judgement.supplement import seal_supplement
from pytest_fluxrun.judgement.verdict import judge
from pytest_fluxrun.replaying.missing import call_name, call_text
from pytest_fluxrun.report.failure import failure_text
from pytest_fluxrun.run import HandAnswer, Interaction, Run
from pytest_fluxrun.values import encode

__all__ = ["command"]

_MOST_CALLS: Final = 500


@click.command("extend")
@run_argument
@directories_option
@click.option("--live", "name", metavar="[NAME]", is_flag=False, flag_value="",
              help="Make missing reads in [tool.fluxrun.live.NAME]; without NAME in the only one.")  # fmt: skip
@click.option("--effects", is_flag=True, help="Make up answers to new effects, for review in the guard.")
@click.option("--anew", is_flag=True, help="Forget the answers of an earlier `extend` of this run.")
def command(*, run: str, directories: tuple[Path, ...], name: str | None, effects: bool, anew: bool) -> None:
    """Give RUN the answers to calls that fixed code makes and the recording lacks.

    The run is replayed offline as always. Where the code asks for what the recording lacks, a read is made in the
    development environment NAME, and its answer sealed into a file beside the bundle, which the guard pins; an effect
    is never made: its answer is made up, of what the environment knows where one is named, and written into the guard.
    The replay begins again until nothing is missing.
    """
    project = Project.current(directories)
    if name is None and not effects:
        raise click.UsageError("Say what may answer: --live for reads, --effects for what changes the outside.")
    placed = project.find(run)
    live = project.settings.live
    if name == "":
        name = only_environment(live, f"fluxrun extend {placed.run_id[:10]}{' --effects' if effects else ''}")
    environment = None if name is None else environment_named(live, name)
    opened, guard = project.open(placed)
    if name is not None:
        _signer(project)  # says what is missing before anything is asked
    if anew:
        opened = replace(opened, supplement=(), answers=())
    with _staged(project) as stage:
        extension = _extended(stage, opened, environment, effects=effects)
    guard = _written(project, placed, extension, guard, name or "")
    _tell(project, placed, guard, extension)


def _written(project: Project, placed: Placed, extension: _Extension, guard: Guard | None, name: str) -> Guard:
    """The guard with what is new, written where there is any; the supplement before it."""
    extended = extension.run
    guard = guard or default_guard(placed, extended)
    update: dict[str, Any] = {}
    if extension.asked:
        recipients = project.keyring.trust.public_keys
        data = seal_supplement(extended, name, extended.supplement, recipients=recipients, signer=_signer(project))
        placed.supplement.write_bytes(data)
        update["supplement"] = digest(data)
    elif guard.supplement and not extended.supplement:
        placed.supplement.unlink(missing_ok=True)
        update["supplement"] = ""
    answers = tuple(Answer(call=one.call, reply=one.reply) for one in extended.answers)
    if answers != guard.answers:
        update["answers"] = answers
    if update:
        guard = guard.model_copy(update=update)
        write_guard(placed.guard_file, guard)
        enlist(project, placed)
    return guard


@dataclass(frozen=True, slots=True)
class _Stop:
    """Why a call was not answered, and what to do.

    Attributes:
        next_step: with `{full}` for the command that has both options; "" where only a person can answer.
        call: as the guard's answers name it, where a person can answer it; else "".
    """

    why: str
    next_step: str = ""
    call: str = ""


@dataclass(slots=True)
class _Extension:
    """What came of extending a run."""

    run: Run
    replayed: Replayed
    asked: list[str] = field(default_factory=list)
    made_up: list[str] = field(default_factory=list)
    stopped: _Stop | None = None


def _extended(stage: Stage, run: Run, environment: Mapping[str, Any] | None, *, effects: bool) -> _Extension:
    """Replay, answer the call that is missing, and begin again, until none is, or one can't be answered."""
    extension = _Extension(run, stage.replay(run))
    for _ in range(_MOST_CALLS):
        lacked = extension.replayed.replayer.lacked
        if lacked is None:
            return extension
        boundary, request = lacked
        if boundary.kind.is_effect(request):
            extension.stopped = _make_up(extension, boundary, request, environment) if effects else _NOT_MADE
        else:
            extension.stopped = _NOT_ASKED if environment is None else _ask(extension, boundary, request, environment)
        if extension.stopped:
            return extension
        extension.replayed = stage.replay(extension.run)
    extension.stopped = _Stop(
        f"{_MOST_CALLS} calls were answered, which looks endless", "look for a loop that waits for another answer"
    )
    return extension


_NOT_MADE: Final = _Stop(
    "it changes the outside and is never made",
    "if it belongs to the fix, `{full}` makes its answer up and writes it into the guard, for you to review",
)
_NOT_ASKED: Final = _Stop("it is a read, which nothing here answers", "`{full}` makes it in a development environment")


def _ask(
    extension: _Extension, boundary: Boundary[Any], request: Request, environment: Mapping[str, Any]
) -> _Stop | None:
    """Make a read in the environment and keep its answer; or say why there is none."""
    call = str(call_name(boundary, request))
    try:
        value = boundary.ask(request, environment)
    except FluxRunError:
        raise
    except Exception as error:  # whatever the library raises where the environment can't answer
        return _Stop(f"the environment gave no answer: {type(error).__name__}: {error}", call=call)
    if value is None:
        return _Stop(f"{boundary.name} can't make this call anew", call=call)
    stored = encode(dict(request))
    answer = Interaction(boundary.name, boundary.kind.name, boundary.schema, 0, 0, 0, stored, answer=value)
    extension.run = replace(extension.run, supplement=(*extension.run.supplement, answer))
    extension.asked.append(call_text(boundary, request))
    return None


def _make_up(
    extension: _Extension, boundary: Boundary[Any], request: Request, environment: Mapping[str, Any] | None
) -> _Stop | None:
    """Make up an answer to an effect; or say why that can't be."""
    before, call = extension.run.answers, str(call_name(boundary, request))
    number = len(before) + 1
    try:
        reply = None if environment is None else boundary.sketch_there(request, number, environment)
    except FluxRunError:
        raise
    except Exception as error:  # whatever the library raises where the environment can't answer
        return _Stop(f"the environment doesn't know what it would answer: {type(error).__name__}: {error}", call=call)
    if reply is None:
        reply = boundary.sketch(request, number)
    if reply is None:
        why = f"{boundary.name} can't tell what it would be answered"
        asks = environment is None and type(boundary).sketch_there is not Boundary.sketch_there
        return _Stop(why, "`{full}` asks a development environment for it, by reads" if asks else "", call)
    extension.run = replace(extension.run, answers=(*before, HandAnswer(call, dict(reply))))
    extension.made_up.append(call_text(boundary, request))
    return None


@contextmanager
def _staged(project: Project) -> Iterator[Stage]:
    """The project's app, for several replays. What it prints goes to standard error."""
    stage = stage_for(project)
    with redirect_stdout(sys.stderr):
        yield stage
        stage.close()


def _signer(project: Project) -> Token:
    """Who signs the supplement: the token of the settings, else the one that `fluxrun init` left on this machine.

    Raises:
        KeyFileError: there is none, or its producer isn't trusted.
    """
    given = project.settings.token
    token = Token.parse(given.get_secret_value(), source="FLUXRUN_TOKEN") if given else read_token(project.token_file)
    if token is None:
        raise KeyFileError(
            "there is no token to sign the answers with",
            why=f"neither is FLUXRUN_TOKEN set nor is there {str(project.token_file)!r}",
            next_step="run `fluxrun init` for one of your own, and let the trust file with it be reviewed",
        )
    if project.keyring.trust.producer(token.producer_id) is None:
        raise KeyFileError(
            "the token here can't sign answers that a replay accepts",
            why="its producer isn't in the project's trust file",
            next_step="run `fluxrun init` to add it, and let the trust file be reviewed",
        )
    return token


def _tell(project: Project, placed: Placed, guard: Guard, extension: _Extension) -> None:
    run = extension.run
    for text in extension.asked:
        click.echo(f"  asked:   {text}")
    for text in extension.made_up:
        click.echo(f"  made up: {text}")
    if extension.asked:
        there = f"{len(run.supplement)} in {project.shown(placed.supplement)}, pinned by its guard"
        click.echo(f"{styled('extended', 'green', bold=True)}: {len(extension.asked)} reads; {there}")
    if extension.made_up:
        there = f"review them in {project.shown(placed.guard_file)}"
        click.echo(f"{styled('made up', 'yellow', bold=True)}: {len(extension.made_up)} answers; {there}")
    judgement = judge(extension.replayed.evidence, guard, project.policy)
    if extension.stopped is not None:
        _tell_stop(extension.stopped, run.id[:10], project.shown(placed.guard_file))
    if judgement.passed:
        click.echo(f"{styled(judgement.verdict, 'green', bold=True)}: commit the guard and what lies beside it")
        click.echo(f"  next:    {pytest_line(project, placed)}")
        return
    click.echo(failure_text(run, guard, extension.replayed, judgement, rerun=pytest_line(project, placed)))
    raise SystemExit(1)


def _tell_stop(stop: _Stop, run: str, guard: str) -> None:
    """Why the command ended, the command that goes on, and the table that a person may add to the guard."""
    given = click.get_current_context().params
    live = f" --live {given['name']}" if given["name"] else " --live"
    command = f"fluxrun extend {run}{'' if given['name'] is None else live}{' --effects' * given['effects']}"
    click.echo(f"{styled('stopped', 'red', bold=True)}: the next missing call was not answered")
    click.echo(f"  why:     {stop.why}")
    if stop.next_step:
        click.echo(f"  next:    {stop.next_step.format(full=f'fluxrun extend {run}{live} --effects')}")
    if stop.call:
        label = "or:     " if stop.next_step else "next:   "
        click.echo(
            f"  {label} answer it yourself: add this to {guard} with its reply, of which a replay says what keys"
        )
        click.echo(f"           it may have; then `{command}` again answers what comes after it")
        for line in answer_lines(Answer(call=stop.call)):
            click.echo(f"           {line}")
