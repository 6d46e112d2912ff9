"""`fluxrun init`: what a project needs before it can record. What is there already is used, never overwritten."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from pytest_fluxrun.bundle import (
    PROJECT_KEY_VARIABLE,
    Algorithm,
    Producer,
    ProjectKey,
    Recipient,
    Token,
    Trust,
    load_project_keys,
    read_trust,
    short_id,
    write_project_key,
    write_trust,
)
from pytest_fluxrun.cli.console import styled
from pytest_fluxrun.cli.project import DEFAULT_DIRECTORY, Project
from pytest_fluxrun.cli.pyproject import append_lines, default_name, project_directory, tool_table
from pytest_fluxrun.cli.token_file import read_token, write_token
from pytest_fluxrun.config import load_settings, setting_origins
from pytest_fluxrun.errors import FluxRunError, KeyFileError, SettingsError

__all__ = ["ALGORITHMS", "ALGORITHM_NAMES", "command"]

ALGORITHMS: Final = {"x-wing": Algorithm.XWING, "x25519": Algorithm.X25519}
ALGORITHM_NAMES: Final = {algorithm: name for name, algorithm in ALGORITHMS.items()}
_IGNORED: Final = "*.fluxrun.part"
_TABLE: Final = """\
[tool.fluxrun]
project = "{name}"
modules = []  # what calls fluxrun.instrument or uses @fluxrun.capture, e.g. ["{module}.main"]
store = "{store}"
"""


@click.command("init")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option(
    "--project",
    "name",
    metavar="NAME",
    help="The project's name.  [default: that of pyproject.toml, or the directory's]",
)
@click.option(
    "--algorithm", type=click.Choice(list(ALGORITHMS)), default="x-wing", help="How runs are sealed to a new key."
)
def command(*, yes: bool, name: str | None, algorithm: str) -> None:
    """Make the project key, the token, the trust file, [tool.fluxrun], runs/ and a .gitignore line.

    What exists is used and left as it is, so that a second run changes nothing.
    """
    setup = _Setup.find(name, ALGORITHMS[algorithm], asks=not yes)
    click.echo(f"project {setup.project.settings.project} in {setup.project.root}")
    setup.see_to_all()


@dataclass(slots=True)
class _Setup:
    """One `fluxrun init`.

    Attributes:
        fresh_token: the token was made just now, so it is shown.
        changes: how many things were made or changed.
    """

    project: Project
    algorithm: Algorithm
    asks: bool
    fresh_token: bool = False
    changes: int = 0
    declined: list[str] = field(default_factory=list)

    @classmethod
    def find(cls, name: str | None, algorithm: Algorithm, *, asks: bool) -> _Setup:
        """Find out where the project is and what it is called.

        Raises:
            SettingsError: the settings can't be used, or give the project another name.
        """
        root = project_directory(Path.cwd())
        origins = setting_origins(environ=os.environ, start_dir=root)
        settings = load_settings({}, environ=os.environ, start_dir=root)
        if "project" not in origins:
            named = {"project": name or default_name(root)}
            settings = load_settings(named, environ=os.environ, start_dir=root)
        elif name not in (None, settings.project):
            raise SettingsError(
                f"the project can't be named {name!r}",
                why=f"it is {settings.project!r} by {origins['project']}",
                next_step="leave --project out, or change the name there first",
            )
        return cls(Project(settings, root), algorithm, asks)

    def see_to_all(self) -> None:
        """Go through everything in order, then say what to do next."""
        key = self._key()
        token = self._token()
        self._trust(key, token)
        self._table()
        self._directory()
        self._gitignore()
        self._conclude(token)

    def _key(self) -> ProjectKey:
        file = self.project.key_file
        held = load_project_keys(os.environ, file)
        if held:
            source = f"in {file}" if file.exists() else f"in the variable {PROJECT_KEY_VARIABLE}"
            self._found(f"project key {short_id(held[0].public.key_id)} {source}")
            return held[0]
        key = ProjectKey.generate(self.algorithm)
        self._make(
            f"project key {short_id(key.public.key_id)} in {file} (mode 0600: it opens every run; back it up, share it "
            "with the team only)",
            lambda: write_project_key(file, key, comment=f"FluxRun project key of {self.project.settings.project}"),
            needed=True,
        )
        return key

    def _token(self) -> Token:
        file = self.project.token_file
        token = read_token(file)
        if token is not None:
            self._found(f"token of producer {short_id(token.producer_id)} in {file}")
            return token
        setting = self.project.settings.token
        if setting is not None:
            token = Token.parse(setting.get_secret_value(), source="FLUXRUN_TOKEN")
            self._found(f"token of producer {short_id(token.producer_id)} in FLUXRUN_TOKEN")
            return token
        token = Token.generate()
        self._make(
            f"token of producer {short_id(token.producer_id)} in {file} (mode 0600)",
            lambda: write_token(file, token),
            needed=True,
        )
        self.fresh_token = True
        return token

    def _trust(self, key: ProjectKey, token: Token) -> None:
        file = Path(self.project.settings.trust_file)
        project = self.project.settings.project
        trust = read_trust(file) if file.exists() else Trust(project)
        if trust.project != project:
            raise KeyFileError(
                f"the trust file {str(file)!r} belongs to the project {trust.project!r}",
                why=f"this one is {project!r}",
                next_step="correct `project` in [tool.fluxrun], or the setting trust_file",
            )
        producer = trust.producer(token.producer_id)
        if producer is not None and producer.revoked:
            raise KeyFileError(
                f"the token of producer {short_id(token.producer_id)} is revoked",
                why=f"{self.project.shown(file)} says so, and nothing that it signs is believed",
                next_step=f"move {self.project.token_file} away, then run `fluxrun init` for a new one",
            )
        wanted = (
            trust if key.public in trust.public_keys else trust.with_recipient(Recipient(key.public, "project key"))
        )
        if producer is None:
            wanted = wanted.with_producer(Producer.of(token, note="production"))
        shown = self.project.shown(file)
        if wanted == trust:
            self._found(f"trust file {shown} with this key and this producer")
            return
        self._make(
            f"trust file {shown}: seals to this key, believes this producer; commit it",
            lambda: write_trust(file, wanted),
        )
        earlier = [short_id(known.key_id) for known in trust.public_keys if known != key.public]
        if earlier and key.public not in trust.public_keys:
            click.echo(
                f"          earlier runs are sealed to {', '.join(earlier)}: ask its holder for that key to open them"
            )

    def _table(self) -> None:
        file = self.project.root / "pyproject.toml"
        if tool_table(file) is not None:
            self._found(f"[tool.fluxrun] in {self.project.shown(file)}")
            return
        name, store = self.project.settings.project, self.project.settings.store or DEFAULT_DIRECTORY
        relative = os.path.relpath(store, self.project.root) if os.path.isabs(store) else store
        table = _TABLE.format(name=name, module=re.sub(r"\W", "_", name), store=relative)
        self._make(
            f"[tool.fluxrun] at the end of {self.project.shown(file)}", lambda: append_lines(file, table, checked=True)
        )

    def _directory(self) -> None:
        directory = self.project.directories[0]
        shown = self.project.shown(directory)
        if directory.is_dir():
            self._found(f"run directory {shown}/")
        else:
            self._make(f"run directory {shown}/", lambda: directory.mkdir(parents=True))

    def _gitignore(self) -> None:
        file = self.project.root / ".gitignore"
        shown = self.project.shown(file)
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if _IGNORED in map(str.strip, lines):
            self._found(f"{_IGNORED} in {shown}")
        else:
            self._make(f"{_IGNORED} in {shown} (unfinished downloads; bundles and guards may be committed)",
                       lambda: append_lines(file, f"{_IGNORED}\n"))  # fmt: skip

    def _found(self, what: str) -> None:
        click.echo(f"  {styled('found', 'cyan')}   {what}")

    def _make(self, what: str, make: Callable[[], None], *, needed: bool = False) -> None:
        """Make something, asked before where that is wanted; without what is needed there is no going on."""
        if self.asks and not click.confirm(f"  make {what}?", default=True):
            if needed:
                raise FluxRunError(
                    "nothing more was set up",
                    why=f"you declined what the rest needs: the {what.partition(' in ')[0]}",
                    next_step="run `fluxrun init` again when you want it",
                )
            self.declined.append(what)
            return
        try:
            make()
        except OSError as error:
            raise FluxRunError(
                f"fluxrun init could not make the {what}",
                why=error.strerror or type(error).__name__,
                next_step="make the place writable, then run `fluxrun init` again; it goes on where it stopped",
            ) from error
        self.changes += 1
        click.echo(f"  {styled('made', 'green')}    {what}")

    def _conclude(self, token: Token) -> None:
        if not self.changes and not self.declined:
            click.echo("Everything was there; nothing was changed.")
        if self.fresh_token:
            click.echo(
                "\nWhere the app runs, set its token (it signs runs and opens none; `fluxrun token` prints it again):"
            )
            click.echo(f"  export FLUXRUN_TOKEN={token.to_text()}")
        click.echo("\nNext:")
        click.echo("  fluxrun check")
        click.echo(f"  pytest --fluxrun-dir={self.project.shown(self.project.directories[0])}/")
