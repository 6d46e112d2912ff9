"""What `fluxrun check` finds about keys, the trust file and the token, and how the three fit together."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pytest_fluxrun.bundle import ProjectKey, PublicKey, Token, Trust, load_project_keys, read_trust, short_id
from pytest_fluxrun.cli.findings import Finding, fail, failed, ok, warn
from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.cli.setup import ALGORITHM_NAMES
from pytest_fluxrun.cli.token_file import read_token
from pytest_fluxrun.errors import KeyFileError

__all__ = ["check_keys"]


def check_keys(project: Project) -> Iterator[Finding]:
    """Keys at hand, whether runs are sealed to one of them, and whether the token's producer is believed."""
    trust = None
    try:
        trust = read_trust(Path(project.settings.trust_file))
        yield from _trust(project, trust)
    except KeyFileError as error:
        yield failed("trust", error)
    try:
        keys = load_project_keys(os.environ, project.key_file)
        yield from _keys(project, keys, trust)
    except KeyFileError as error:
        yield failed("keys", error)
    try:
        yield from _token(project, trust)
    except KeyFileError as error:
        yield failed("token", error)


def _trust(project: Project, trust: Trust) -> Iterator[Finding]:
    shown = project.shown(Path(project.settings.trust_file))
    if trust.project != project.settings.project:
        yield fail(
            "trust",
            f"{shown} is of the project {trust.project!r}, not {project.settings.project!r}",
            "correct `project` in [tool.fluxrun], or the setting trust_file",
        )
    believed = [producer for producer in trust.producers if not producer.revoked]
    if not trust.recipients or not believed:
        yield fail("trust", f"{shown} names no key to seal to or no producer to believe", "run `fluxrun init`")
    else:
        yield ok("trust", f"{shown}: seals to {len(trust.recipients)}, believes {len(believed)}")


def _keys(project: Project, keys: tuple[ProjectKey, ...], trust: Trust | None) -> Iterator[Finding]:
    if not keys:
        yield warn(
            "keys",
            f"there is no project key here ({project.key_file} isn't there): runs can be recorded, not opened",
            "set FLUXRUN_PROJECT_KEY, or run `fluxrun init`; where the app runs in production, that is as it should be",
        )
        return
    for key in keys:
        yield ok(
            "keys", f"{short_id(key.public.key_id)} ({ALGORITHM_NAMES[key.public.algorithm]}){_mode(project.key_file)}"
        )
    if project.key_file.is_relative_to(project.root) and (project.root / ".git").exists():
        yield warn(
            "keys", f"the key file {project.key_file} lies in the repository", "move it out, and never commit it"
        )
    sealed_to = _recipients(project, trust)
    if sealed_to and not {key.public for key in keys} & set(sealed_to):
        yield fail(
            "keys",
            f"runs are sealed to {', '.join(short_id(one.key_id) for one in sealed_to)}, and no key here opens that",
            "get that key from the team, or run `fluxrun init` to seal to yours as well",
        )


def _recipients(project: Project, trust: Trust | None) -> tuple[PublicKey, ...]:
    if project.settings.public_key:
        return (PublicKey.parse(project.settings.public_key, source="the setting public_key"),)
    return trust.public_keys if trust else ()


def _mode(file: Path) -> str:
    try:
        return f" in {file}, mode {stat.S_IMODE(file.stat().st_mode):04o}"
    except OSError:
        return " in FLUXRUN_PROJECT_KEY"


def _token(project: Project, trust: Trust | None) -> Iterator[Finding]:
    setting, stored = project.settings.token, read_token(project.token_file)
    if setting is not None:
        token, where = Token.parse(setting.get_secret_value(), source="FLUXRUN_TOKEN"), "FLUXRUN_TOKEN"
    elif stored is not None:
        token, where = stored, str(project.token_file)
    else:
        yield warn(
            "token", "there is no token here: nothing can be recorded", "run `fluxrun init`, or set FLUXRUN_TOKEN"
        )
        return
    name = short_id(token.producer_id)
    producer = trust.producer(token.producer_id) if trust else None
    if producer is None:
        yield fail("token", f"producer {name} isn't in the trust file: its runs would be refused", "run `fluxrun init`")
    elif producer.revoked:
        step = (
            f"set FLUXRUN_TOKEN to a token that is believed, or move {project.token_file} away and run `fluxrun init`"
        )
        yield fail("token", f"producer {name} is revoked in the trust file", step)
    elif producer.verifying_key != token.verifying_key:
        yield fail(
            "token",
            f"producer {name} has another key in the trust file",
            "restore the trust file, or run `fluxrun init`",
        )
    else:
        yield ok("token", f"producer {name}, believed; from {where}")
        if setting is None:
            step = "where the app runs: `export FLUXRUN_TOKEN=$(fluxrun token)`, or your secret store"
            yield warn("token", "FLUXRUN_TOKEN isn't set: an app that is started here records nothing", step)
