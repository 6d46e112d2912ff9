"""The project that a command works on: its root, settings, run directories, keys. Says nothing to the user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click

from pytest_fluxrun.config import Settings, load_settings, project_root, use_settings
from pytest_fluxrun.judgement.corpus import Keyring, Placed, default_key_file, find_run, keyring_for, open_placed
from pytest_fluxrun.judgement.drift_rules import DriftPolicy
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.run import Run
from pytest_fluxrun.store import DirectoryStore, Store, open_store

__all__ = ["DEFAULT_DIRECTORY", "Project", "directories_option", "run_argument"]

DEFAULT_DIRECTORY = "runs"

run_argument = click.argument("run", metavar="RUN")
directories_option = click.option(
    "--dir",
    "directories",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    metavar="DIR",
    help="Where the runs lie; may be repeated.  [default: the setting `store` where it is a directory, else runs/]",
)


@dataclass(frozen=True)
class Project:
    """What a command knows of the project in the working directory.

    Attributes:
        root: the directory of the `pyproject.toml` with `[tool.fluxrun]`, else the working directory.
        given: run directories named on the command line; they win over the settings.
    """

    settings: Settings
    root: Path
    given: tuple[Path, ...] = ()

    @classmethod
    def current(cls, directories: Sequence[Path] = ()) -> Project:
        """The project of the working directory and the environment; its settings become those of the process.

        Raises:
            SettingsError: a setting can't be used.
        """
        settings = load_settings({}, environ=os.environ, start_dir=Path.cwd())
        use_settings(settings)
        return cls(settings, project_root(Path.cwd()), tuple(directories))

    @property
    def policy(self) -> DriftPolicy:
        """Which drift fails where a guard says nothing."""
        return DriftPolicy.of(self.settings)

    @cached_property
    def store(self) -> Store:
        """The store of the settings; the default directory where none is set. Nothing is touched yet."""
        return open_store(self.settings.store or self.root / DEFAULT_DIRECTORY)

    @property
    def directories(self) -> tuple[Path, ...]:
        """Where the runs lie on this machine."""
        if self.given:
            return self.given
        return (self.store.path if isinstance(self.store, DirectoryStore) else self.root / DEFAULT_DIRECTORY,)

    @cached_property
    def keyring(self) -> Keyring:
        """The project keys and the trust file, read once.

        Raises:
            KeyFileError: one of them can't be used.
        """
        return keyring_for(self.settings, self.root, os.environ)

    @property
    def key_file(self) -> Path:
        """Where this project's private key lies, or would lie."""
        if self.settings.key_file:
            return Path(self.settings.key_file).expanduser()
        return default_key_file(self.settings.project, os.environ)

    @property
    def token_file(self) -> Path:
        """Where `fluxrun init` keeps the token, beside the key."""
        return self.key_file.with_suffix(".token")

    def find(self, wanted: str) -> Placed:
        """The run of that name, id, or beginning of an id.

        Raises:
            RunNotFound: none or several fit.
        """
        return find_run(self.directories, wanted)

    def open(self, placed: Placed) -> tuple[Run, Guard | None]:
        """The opened run and its guard.

        Raises:
            FluxRunError: it is missing, locked, damaged or untrusted.
        """
        return open_placed(placed, self.keyring)

    def shown(self, path: Path) -> str:
        """A path as a person types it here: relative to the working directory where it lies below that."""
        absolute = path.absolute()
        return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)
