"""`fluxrun extend` with MySQL's drivers: fixed code that reads and writes more than was recorded."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pytest_fluxrun.judgement.guard import read_guard
from tests.boundaries.mysql_outside import MySQLOutside
from tests.cli.test_cli_extend import Project

pytestmark = pytest.mark.service
BLOCKING = """\
import os

import {module}

import pytest_fluxrun as fluxrun

fluxrun.init()


@fluxrun.capture("orders.price")
def price(item: int) -> dict[str, object]:
    connection = {module}.connect(host="127.0.0.1", port=int(os.environ["PORT"]), user="root", database="DATABASE")
    cursor = connection.cursor()
    cursor.execute("SELECT name FROM item WHERE id = %s", (item,))
    name = cursor.fetchone()[0]
    raise KeyError(name)
"""
AWAITED = """\
import asyncio
import os

import {module}

import pytest_fluxrun as fluxrun

fluxrun.init()


@fluxrun.capture("orders.price")
async def priced(item: int) -> dict[str, object]:
    connection = await {module}.connect(host="127.0.0.1", port=int(os.environ["PORT"]), user="root", db="DATABASE")
    cursor = await opened(connection)
    await cursor.execute("SELECT name FROM item WHERE id = %s", (item,))
    name = (await cursor.fetchone())[0]
    raise KeyError(name)


async def opened(connection):
    cursor = connection.cursor()
    return await cursor if hasattr(cursor, "__await__") else cursor


def price(item: int) -> dict[str, object]:
    return asyncio.run(priced(item))
"""
FIX = """\
    cursor.execute("SELECT id, price FROM item WHERE name <> %s ORDER BY id", (name,))
    others = [(key, str(price)) for key, price in cursor.fetchall()]
    cursor.execute("INSERT INTO note (text) VALUES (%s)", (name,))
    note = cursor.lastrowid
    connection.commit()
    return {"others": others, "note": note, "count": cursor.rowcount}
"""
DRIVERS = {"pymysql": BLOCKING, "MySQLdb": BLOCKING, "aiomysql": AWAITED, "asyncmy": AWAITED}


@pytest.mark.parametrize("module", DRIVERS)
def test_reads_come_from_a_development_environment_and_writes_are_made_up(
    module: str, tmp_path: Path, mariadb_port: int
):
    """Green without a server, by the supplement and the guard's words; nothing was written."""
    pytest.importorskip(module, reason="mysqlclient is compiled with libmariadb-dev")
    production, development = MySQLOutside(mariadb_port, "extend"), MySQLOutside(mariadb_port, "extend")
    project = recorded(tmp_path, DRIVERS[module].format(module=module), production, development)
    production.take_away()
    fix = (
        FIX if DRIVERS[module] is BLOCKING else re.sub(r"(cursor\.(execute|fetch\w+)|\w+\.commit)\(", r"await \1(", FIX)
    )
    project.fix("    raise KeyError(name)\n", fix)

    project.fluxrun("extend", project.recorded(), "--live", "dev", "--effects")

    development.take_away()
    guard = read_guard(project.guard())
    assert [{"count": 1, "lastrowid": 1}] == [one.reply for one in guard.answers]
    assert guard.supplement
    returned = '{"others": [[2, "2.00"], [3, "3.25"]], "note": 1, "count": 1}'
    project.fluxrun("expect", project.recorded(), "--returns", returned)


def recorded(tmp_path: Path, app: str, production: MySQLOutside, development: MySQLOutside) -> Project:
    """A project whose one run failed with a KeyError."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "shop.py").write_text(app.replace("DATABASE", production.database))
    (root / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")},
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PORT": str(production.port),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    project = Project(root, environment)
    project.fluxrun("init", "--yes")
    settings = root / "pyproject.toml"
    with settings.open("a") as stream:
        stream.write(
            f'[tool.fluxrun.live.dev]\nmysql = "mysql://root@127.0.0.1:{development.port}/{development.database}"\n'
        )
    settings.write_text(re.sub(r"modules = \[[^]]*\]", 'modules = ["shop"]', settings.read_text()))
    environment["FLUXRUN_TOKEN"] = project.fluxrun("token").strip().split()[-1].removeprefix("FLUXRUN_TOKEN=")
    project.run("-c", "import shop; shop.price(1)", code=1)
    del environment["FLUXRUN_TOKEN"]
    return project
