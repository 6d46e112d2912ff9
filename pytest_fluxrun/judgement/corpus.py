"""Runs on disk: which bundles and guards a directory holds, and opening one of them with the keys at hand."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_fluxrun import bundle as bundles  # cryptography comes with the first name that is used, not at collection
from pytest_fluxrun.config import Settings
from pytest_fluxrun.errors import DamagedBundle, FluxRunError, RunNotFound
from pytest_fluxrun.judgement.comparison import is_failure
from pytest_fluxrun.judgement.guard import GUARD_SUFFIX, Guard, digest, read_guard
from pytest_fluxrun.judgement.schemas import with_schema
from pytest_fluxrun.judgement.supplement import SUPPLEMENT_SUFFIX, open_supplement
from pytest_fluxrun.run import HandAnswer, Interaction, Run
from pytest_fluxrun.store import SUFFIX

if TYPE_CHECKING:
    from pytest_fluxrun.bundle import ProjectKey, Trust

__all__ = [
    "Keyring",
    "Placed",
    "all_placed",
    "default_guard",
    "default_key_file",
    "find_run",
    "keyring_for",
    "open_placed",
    "opened",
    "scan",
]

_RUN_ID_LENGTH = 26


@dataclass(frozen=True, slots=True)
class Placed:
    """A run in a directory: its bundle, its guard, or both.

    Attributes:
        name: `<entry>-<run id>`, the file name without suffix.
        directory: where they lie.
        guarded: whether there is a guard.
    """

    name: str
    directory: Path
    guarded: bool

    @property
    def bundle(self) -> Path:
        """Where the bundle lies, or would lie."""
        return self.directory / f"{self.name}{SUFFIX}"

    @property
    def guard(self) -> Path | None:
        """The guard file's path, or None."""
        return self.guard_file if self.guarded else None

    @property
    def guard_file(self) -> Path:
        """Where the guard lies, or would lie."""
        return self.directory / f"{self.name}{GUARD_SUFFIX}"

    @property
    def supplement(self) -> Path:
        """Where the guard's supplement lies, if it has one."""
        return self.directory / f"{self.name}{SUPPLEMENT_SUFFIX}"

    @property
    def run_id(self) -> str:
        """The id that ends the name."""
        return self.name[-_RUN_ID_LENGTH:]


@dataclass(frozen=True, slots=True)
class Keyring:
    """What opens and checks bundles here."""

    keys: tuple[ProjectKey, ...]
    trust: Trust


def opened(directory: Path) -> Any:
    """The directory's entries, as `os.scandir` gives them.

    Raises:
        FluxRunError: there is no such directory, or it can't be read.
    """
    try:
        return os.scandir(directory)
    except OSError as error:
        raise FluxRunError(
            f"the run directory {str(directory)!r} can't be read",
            why=error.strerror or type(error).__name__,
            next_step="run `fluxrun init` to make it, `fluxrun pull` to fill it, or correct --fluxrun-dir",
        ) from error


def scan(directory: Path, *, only: Collection[str] = ()) -> list[Placed]:
    """The runs in a directory, by name; subdirectories aren't looked into.

    Args:
        only: file names of bundles; where there are any, other runs are left out.

    Raises:
        FluxRunError: there is no such directory.
    """
    with opened(directory) as found:
        names = {entry.name for entry in found}
    bundles = {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}
    guards = {name.removesuffix(GUARD_SUFFIX) for name in names if name.endswith(GUARD_SUFFIX)}
    found_runs = bundles | guards
    if only:
        found_runs &= {name.removesuffix(SUFFIX) for name in only}
    return [Placed(name, directory, name in guards) for name in sorted(found_runs)]


def find_run(directories: Sequence[Path], wanted: str) -> Placed:
    """The one run whose name, id, or beginning of an id is given.

    Raises:
        RunNotFound: none or several fit; the message lists them.
    """
    everything = [placed for directory in directories if directory.is_dir() for placed in scan(directory)]
    wanted = wanted.removesuffix(SUFFIX).removesuffix(GUARD_SUFFIX).rsplit("/", 1)[-1]
    fitting = [placed for placed in everything if placed.name == wanted or placed.run_id.startswith(wanted)]
    exact = [placed for placed in fitting if wanted in (placed.name, placed.run_id)]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    where = ", ".join(map(str, directories))
    if not fitting:
        raise RunNotFound(
            f"no run {wanted!r} in {where}",
            why=f"there are {len(everything)} runs, none with that name or beginning of an id",
            next_step="`fluxrun list` shows them, `fluxrun pull` fetches what the guards pin",
        )
    raise RunNotFound(
        f"{wanted!r} fits {len(fitting)} runs in {where}",
        why=", ".join(placed.run_id for placed in fitting[:5]),
        next_step="give more characters of the id",
    )


def keyring_for(settings: Settings, root: Path, environ: Mapping[str, str]) -> Keyring:
    """The project keys of the environment and the key file, and the trust file of the project.

    Raises:
        KeyFileError: one of them is there and can't be used, or there is no trust file.
    """
    key_file = (
        Path(settings.key_file).expanduser() if settings.key_file else default_key_file(settings.project, environ)
    )
    trust = bundles.read_trust(root / settings.trust_file)
    return Keyring(bundles.load_project_keys(environ, key_file), trust)


def default_key_file(project: str, environ: Mapping[str, str]) -> Path:
    """Where `fluxrun init` writes a project's private key: in the user's configuration directory, not in the repo."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return Path(base) / "fluxrun" / f"{project}.key"


def open_placed(placed: Placed, keyring: Keyring) -> tuple[Run, Guard | None]:
    """Check and decrypt a run: the guard's digest, the signature, the key, the payload, in this order.

    Raises:
        RunNotFound: there is a guard and no bundle.
        BundleError: the bundle is refused.
        GuardError: the guard file can't be used.
    """
    guard = None if placed.guard is None else with_schema(read_guard(placed.guard), placed.directory)
    data = _read(placed.bundle, f"the guard {placed.name} has no bundle here")
    if guard is not None and digest(data) != guard.sha256:
        raise DamagedBundle(
            f"{placed.bundle.name} isn't the bundle that its guard pins",
            why=f"its digest begins with {digest(data)[:12]}, the guard says {guard.sha256[:12]}",
            next_step="fetch the pinned one with `fluxrun pull` after moving this file away",
        )
    index, payload = bundles.open_bundle(data, keys=keyring.keys, trust=keyring.trust, source=placed.bundle.name)
    run = Run.from_payload(payload)
    if run.id != index.run_id or (guard is not None and guard.run != run.id):
        raise DamagedBundle(
            f"{placed.bundle.name} holds another run than it says",
            why=f"index {index.run_id}, body {run.id}, guard {guard.run if guard else '-'}",
            next_step="fetch it again with `fluxrun pull`",
        )
    if guard is not None and guard.supplement:
        run = replace(run, supplement=_supplement(placed, guard.supplement, run.id, keyring))
    if guard is not None and guard.answers:
        run = replace(run, answers=tuple(HandAnswer(one.call, one.reply) for one in guard.answers))
    return run, guard


def default_guard(placed: Placed, run: Run) -> Guard:
    """What is expected of a run that has no guard: that a failure is none any more, else what was recorded."""
    expect = "fix" if is_failure(run.outcome) else "recorded"
    return Guard.model_validate({"run": run.id, "sha256": digest(placed.bundle.read_bytes()), "expect": expect})


def _supplement(placed: Placed, sha256: str, run_id: str, keyring: Keyring) -> tuple[Interaction, ...]:
    """The answers that the guard pins.

    Raises:
        RunNotFound: their file is missing.
        BundleError: it is refused, or isn't the pinned one.
    """
    path, again = placed.supplement, f"restore it from version control, or `fluxrun extend {run_id[:10]} --live NAME`"
    data = _read(path, f"the supplement of {placed.name} is missing", next_step=again)
    if digest(data) != sha256:
        raise DamagedBundle(
            f"{path.name} isn't the supplement that its guard pins",
            why=f"its digest begins with {digest(data)[:12]}, the guard says {sha256[:12]}",
            next_step=again,
        )
    opened = open_supplement(data, run_id, keys=keyring.keys, trust=keyring.trust, source=path.name)
    return opened.interactions


def _read(
    path: Path, missing: str, *, next_step: str = "fetch it with `fluxrun pull`, or run pytest with --fluxrun-pull"
) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RunNotFound(missing, why=f"{path.name} is not in {path.parent}", next_step=next_step) from None
    except OSError as error:
        raise DamagedBundle(
            f"{path.name} can't be read", why=error.strerror or "", next_step="check the file's permissions"
        ) from error


def all_placed(directories: Sequence[Path]) -> Iterator[Placed]:
    """The runs of several directories, in order."""
    for directory in directories:
        yield from scan(directory)
