"""Development environments that `fluxrun extend` may ask: where a table `[tool.fluxrun.live.NAME]` says to look.

A table names, per sort of server (`postgres`, `mysql`, `sqlite`, `redis`, `http`), one address, or a table of addresses
by what the run calls the thing: the database's name, the origin of a URL. `$NAME` stands for an environment variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pytest_fluxrun.errors import SettingsError

__all__ = ["address_of", "environment_named", "only_environment"]


def environment_named(live: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The table of an environment in the setting `live`.

    Raises:
        SettingsError: there is none of that name.
    """
    table = live.get(name)
    if isinstance(table, Mapping):
        return table
    known = ", ".join(sorted(live)) or "none"
    raise SettingsError(
        f"there is no environment {name!r}",
        why=f"[tool.fluxrun.live] names {known}",
        next_step=f"name a development environment in pyproject.toml, e.g. [tool.fluxrun.live.{name}] with "
        'postgres = "postgresql://localhost/shop_dev"',
    )


def only_environment(live: Mapping[str, Any], command: str) -> str:
    """The name of the one environment in the setting `live`.

    Args:
        command: that is to be run with a name, for the message.

    Raises:
        SettingsError: there is none, or there are several.
    """
    if len(live) == 1:
        return next(iter(live))
    if live:
        choices = ", or ".join(f"`{command} --live {name}`" for name in sorted(live))
        raise SettingsError(
            "there are several environments", why=f"[tool.fluxrun.live] names {', '.join(sorted(live))}",
            next_step=f"say which: {choices}",
        )  # fmt: skip
    raise SettingsError(
        "there is no development environment to ask",
        why="the settings have no table [tool.fluxrun.live.NAME]",
        next_step='add to pyproject.toml [tool.fluxrun.live.dev] with postgres = "postgresql://localhost/shop_dev", or '
        "the like for mysql, sqlite, redis or http",
    )


def address_of(environment: Mapping[str, Any], sort: str, name: str) -> str:
    """Where to ask for what the run calls `name`.

    Args:
        sort: the key of the table: `postgres`, `http`, ….

    Raises:
        SettingsError: the table doesn't say, or a variable that it names isn't set.
    """
    found = environment.get(sort)
    if isinstance(found, Mapping):
        found = found.get(name)
    if not isinstance(found, str) or not found:
        raise SettingsError(
            f"the environment doesn't say where to ask {sort} for {name!r}",
            why=f"its table has the keys {', '.join(sorted(environment)) or '(none)'}",
            next_step=f'add `{sort} = "<address>"` to it, or `{sort} = {{ "{name}" = "<address>" }}` for it alone',
        )
    if not found.startswith("$"):
        return found
    value = os.environ.get(found[1:])
    if not value:
        raise SettingsError(
            f"the environment asks {sort} at {found}",
            why=f"the variable {found[1:]} isn't set",
            next_step=f"set it, or write the address in the place of {found}",
        )
    return value
