"""`fluxrun keys` and `fluxrun token`: which keys are at hand, their public halves, a new one; the token."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pytest_fluxrun.bundle import (
    PROJECT_KEY_VARIABLE,
    ProjectKey,
    Recipient,
    Trust,
    load_project_keys,
    read_trust,
    short_id,
    write_project_key,
    write_trust,
)
from pytest_fluxrun.cli.console import columns
from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.cli.setup import ALGORITHM_NAMES, ALGORITHMS
from pytest_fluxrun.cli.token_file import read_token
from pytest_fluxrun.errors import KeyFileError

__all__ = ["command", "token_command"]


@click.group("keys")
def command() -> None:
    """List the project's keys, show a public one, make a new one. A private key is never printed."""


@command.command("list")
def list_keys() -> None:
    """List the private keys at hand, and what the trust file seals to and believes."""
    project = Project.current()
    keys = load_project_keys(os.environ, project.key_file)
    trust = _trust(project)
    held = {key.public.key_id for key in keys}
    click.echo(f"key file    {project.key_file}{'' if project.key_file.exists() else ' (not there)'}")
    if os.environ.get(PROJECT_KEY_VARIABLE):
        click.echo(f"variable    {PROJECT_KEY_VARIABLE} is set")
    rows = [("opens", key.public.key_id.hex(), ALGORITHM_NAMES[key.public.algorithm], "held here") for key in keys]
    for recipient in trust.recipients:
        note = recipient.note if recipient.key.key_id in held else f"{recipient.note} (not held here)".strip()
        rows.append(("sealed to", recipient.key.key_id.hex(), ALGORITHM_NAMES[recipient.key.algorithm], note))
    for producer in trust.producers:
        note = f"{producer.note} (revoked)".strip() if producer.revoked else producer.note
        rows.append(("believed", producer.producer_id.hex(), "ed25519", note))
    for line in columns(rows) if rows else ("no keys: run `fluxrun init`",):
        click.echo(line)


@command.command("show-public")
def show_public() -> None:
    """Print the public half of each key at hand: what FLUXRUN_PUBLIC_KEY takes. It seals runs and opens none."""
    project = Project.current()
    keys = load_project_keys(os.environ, project.key_file)
    if not keys:
        raise KeyFileError(
            "there is no project key here",
            why=f"neither {PROJECT_KEY_VARIABLE} nor {str(project.key_file)!r} holds one",
            next_step="run `fluxrun init`, or ask the team for the key",
        )
    for key in keys:
        click.echo(key.public.to_text())


@command.command("new")
@click.option("--algorithm", type=click.Choice(list(ALGORITHMS)), default="x-wing", help="How runs are sealed to it.")
@click.option("--note", default="", metavar="TEXT", help="Whose it is, for readers of the trust file.")
def new_key(*, algorithm: str, note: str) -> None:
    """Make a further project key, keep it in the key file, and seal to it from now on.

    The keys that are there stay: they open the earlier runs. Remove a recipient from the trust file by hand to stop
    sealing to it.
    """
    project = Project.current()
    file, trust_file = project.key_file, Path(project.settings.trust_file)
    trust = _trust(project)
    load_project_keys({}, file)
    key = ProjectKey.generate(ALGORITHMS[algorithm])
    if file.exists():
        _append_key(file, key)
    else:
        write_project_key(file, key, comment=f"FluxRun project key of {project.settings.project}")
    write_trust(trust_file, trust.with_recipient(Recipient(key.public, note)))
    click.echo(f"made project key {short_id(key.public.key_id)} in {file}")
    click.echo(
        f"added it to {project.shown(trust_file)}: commit that, and deploy it (or FLUXRUN_PUBLIC_KEY) with the app"
    )


@click.command("token")
def token_command() -> None:
    """Print the token that production signs runs with. It opens none; treat it as a secret all the same."""
    project = Project.current()
    token = read_token(project.token_file)
    if token is None:
        raise KeyFileError(
            f"there is no token file {str(project.token_file)!r}",
            why="`fluxrun init` makes it, beside the project key",
            next_step="run `fluxrun init`, or ask whoever deploys the app for its FLUXRUN_TOKEN",
        )
    click.echo(token.to_text())


def _trust(project: Project) -> Trust:
    file = Path(project.settings.trust_file)
    return read_trust(file) if file.exists() else Trust(project.settings.project)


def _append_key(file: Path, key: ProjectKey) -> None:
    """Add a line to a key file that has been read without complaint; what is in it stays."""
    try:
        ends_well = file.read_bytes().endswith(b"\n")
        with file.open("ab") as stream:
            stream.write(f"{'' if ends_well else chr(10)}{key.to_text()}\n".encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise KeyFileError(
            f"the key file {str(file)!r} was not changed",
            why=error.strerror or type(error).__name__,
            next_step="check its permissions and the free space there",
        ) from None
