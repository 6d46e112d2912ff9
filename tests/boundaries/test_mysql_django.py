"""Django's ORM on MySQL: recorded on a real MariaDB and replayed with it gone, in a process that is set up for it."""

from __future__ import annotations

import subprocess
import sys
from importlib import util

import pytest


@pytest.mark.parametrize(("driver", "module"), [("pymysql", "pymysql"), ("mysqldb", "MySQLdb")])
def test_orm_gives_the_same_with_the_server_gone(driver: str, module: str, mariadb_port: int) -> None:
    """Transactions, savepoints, bulk inserts, joins, updates, deletes and streams come back equal; no call is made."""
    if util.find_spec(module) is None:
        pytest.skip(f"{module} isn't installed: mysqlclient is compiled with libmariadb-dev")
    command = [sys.executable, "-W", "error", "-m", "tests.boundaries.mysql_django", driver, str(mariadb_port)]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("equal: ")
    assert "3 books, failed with IntegrityError" in ended.stdout
