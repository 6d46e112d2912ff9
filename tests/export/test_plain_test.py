"""`--as pytest` beyond the shop: a WSGI app, a call that got no answer, a body with a drawn id, what is refused."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

import pytest_fluxrun
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.plain_test import plain_test
from pytest_fluxrun.export.program import HostClass, Place, Program
from pytest_fluxrun.run import Interaction, Run
from pytest_fluxrun.values import dump_error, encode
from tests.export.conftest import answer, call, request_run

APP = """
import json, uuid, httpx

def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    try:
        httpx.post("https://pay.example/charge", json={"amount": 1})
    except httpx.ReadTimeout as error:
        told = str(error)
    rate = httpx.get("https://rates.example/eur?day=1").json()["rate"]
    answer = {"id": str(uuid.uuid4()), "got": body.decode(), "told": told, "rate": rate}
    start_response("201 Created", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""
BODY = '{"id": "9f1d2c3b-1111-4222-8333-444455556666", "got": "a\\u00e9", "told": "too late", "rate": 2}'


@pytest.fixture
def wsgi_run() -> Run:
    """What the app above did."""
    charge = call(
        {"method": "POST", "url": "https://pay.example/charge", "body": '{"amount": 1}'},
        error=httpx.ReadTimeout("too late"),
        effect=True,
    )
    rate = call(
        {"url": "https://rates.example/eur?day=1"},
        answer(body='{"rate": 2}', headers=(("x-rate", "a"), ("x-rate", "b"))),
    )
    run = request_run(body="aé", calls=(charge, rate))
    response = {"status": 201, "headers": [["Content-Type", "application/json"]], "body": BODY, "complete": True}
    return replace(run, entry_kind="wsgi", outcome={**run.outcome, "response": response})


def program() -> Program:
    """The app, as found in its module."""
    return Program(Place("till", "app"), lambda: None)


def test_a_wsgi_run_passes_and_notices_another_effect(tmp_path: Path, wsgi_run: Run) -> None:
    """The time-out happens again, the drawn id is no matter; another URL for the effect is red."""
    exported = plain_test(wsgi_run, program())
    (tmp_path / "test_till.py").write_text(exported.source)
    results = []
    for source in (APP, APP.replace("/charge", "/charges")):
        (tmp_path / "till.py").write_text(source)
        command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_till.py"]
        alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        results.append(
            subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False, timeout=60)
        )

    assert [0, 1] == [done.returncode for done in results], results[0].stdout
    assert "POST https://pay.example/charges" in results[1].stdout
    assert 0 == exported.by_hand
    assert "assert response.json() == {'id': ANY, 'got': 'aé', 'told': 'too late', 'rate': 2}" in exported.source


def test_calls_of_other_libraries_are_left_to_the_reader(wsgi_run: Run) -> None:
    """Respx answers httpx alone."""
    recording = wsgi_run.recording
    others = tuple(replace(one, boundary="urllib3") for one in recording.interactions)

    exported = plain_test(replace(wsgi_run, recording=replace(recording, interactions=others)), program())

    assert 2 == exported.by_hand
    assert "call 1, urllib3: POST https://pay.example/charge" in exported.source
    assert "router" not in exported.source


def test_a_client_that_left_and_other_entries_are_refused(wsgi_run: Run) -> None:
    """Each with the guard as what remains."""
    left = replace(wsgi_run, outcome={**wsgi_run.outcome, "disconnected": True})
    task = replace(wsgi_run, entry_kind="celery", input=encode({"args": [], "kwargs": {}}))

    for run, why in ((left, "its client left"), (task, "its entry is celery")):
        with pytest.raises(FluxRunError, match=why) as refused:
            plain_test(run, program())
        assert "fluxrun expect RUN" in refused.value.next_step


SHOP = """
import json, sqlite3, httpx

class Stock:
    def take(self, sku): raise RuntimeError("the real stock was asked")

stock = Stock()

def app(environ, start_response):
    connection = sqlite3.connect("shop.db")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(orders)")]
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executemany("INSERT INTO orders VALUES (:id)", [{"id": 1}])
    connection.executescript("BEGIN; DELETE FROM old; COMMIT;")
    connection.commit()
    stock.take("mug")
    httpx.post("https://pay.example/charge", json={"amount": 1})
    seen = [environ["PATH_INFO"], environ["HTTP_X_NAME"].encode("latin-1").decode()]
    start_response("201 Created", [("Content-Type", "application/json"), ("Location", "/a")])
    return [json.dumps({"columns": columns, "seen": seen}).encode()]
"""


def _statement(
    sql: str,
    binds: object = None,
    *,
    effect: bool = True,
    columns: Sequence[str] = ("cid", "name"),
    rows: tuple[object, ...] = (),
) -> Interaction:
    asked = {"database": "shop.db", "sql": sql, "binds": binds, "many": isinstance(binds, list)}
    given = {"columns": [*columns] if rows else None, "rows": [*rows], "rowcount": -1, "lastrowid": None}
    return Interaction("sqlite3", "sql", 1, 0, 0, 1, encode(asked), encode(given), effect=effect)


@pytest.fixture
def shop_run() -> Run:
    """What that app did, on a path that begins with two slashes."""
    taken = {"target": "stock", "method": "take", "args": ["mug"], "kwargs": {}}
    calls = (
        _statement("PRAGMA table_info(orders)", effect=False, rows=([0, "id"],)),
        _statement("INSERT INTO orders VALUES (:id)", [{"id": 1}]),
        _statement("BEGIN; DELETE FROM old; COMMIT;"),
        Interaction("host", "host", 1, 0, 0, 1, encode(taken), {"value": encode(1)}, effect=True),
        call({"method": "POST", "url": "https://pay.example/charge", "body": '{"amount":1}'}, answer(), effect=True),
    )
    run = request_run(path="//orders", headers=(("host", "shop.example"), ("x-name", "ZoÃ«")), calls=calls)
    headers = [["Content-Type", "application/json"], ["Location", "/a"]]
    body = '{"columns": ["id"], "seen": ["//orders", "Zoë"]}'
    return replace(
        run,
        entry_kind="wsgi",
        outcome={**run.outcome, "response": {"status": 201, "headers": headers, "body": body, "complete": True}},
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "", "1 passed"),
        ('"amount": 1', '"amount": 2', "'amount': 2"),
        (
            '    connection.executemany("INSERT INTO orders VALUES (:id)", [{"id": 1}])\n',
            "",
            "INSERT INTO orders VALUES",
        ),
        ('    connection.executescript("BEGIN; DELETE FROM old; COMMIT;")\n', "", "DELETE FROM old"),
        ('    stock.take("mug")\n', "", "LEFT['stock.take']"),
        ("table_info(orders)", "table_info(other)", "{'columns': []} != "),
        ('"/a"', '"/b"', "location"),
    ],
    ids=["unchanged", "body", "insert", "script", "host", "pragma", "header"],
)
def test_every_effect_of_a_run_is_asserted(tmp_path: Path, shop_run: Run, before: str, after: str, said: str) -> None:
    """Another body, a statement or a call to a host object that is made no more: each is red, as its guard would be."""
    stock = {"stock": HostClass(Place("till", "Stock"), frozenset())}
    exported = plain_test(shop_run, Program(Place("till", "app"), None, stock))
    assert before in SHOP

    done = _tested(tmp_path, exported.source, SHOP.replace(before, after) if before else SHOP)

    assert (0, 0 if said == "1 passed" else 1) == (exported.by_hand, done.returncode), done.stdout
    assert said in done.stdout, done.stdout


def test_a_transaction_that_failed_is_left_to_the_reader(shop_run: Run) -> None:
    """The stub's connection has nothing that could fail."""
    locked = replace(_statement("COMMIT"), error=dump_error(sqlite3.OperationalError("locked")), failed=True)
    run = replace(shop_run, recording=replace(shop_run.recording, interactions=(locked,)))

    assert 1 == plain_test(run, program()).by_hand


def test_of_a_failed_run_it_says_when_it_passes(shop_run: Run) -> None:
    """It asserts what was recorded: that is no test of a fix."""
    response = {**shop_run.outcome["response"], "status": 500}
    failed = replace(shop_run, outcome={**shop_run.outcome, "response": response})
    told = "this test passes as long as it does"

    assert [True, False] == [told in plain_test(run, program()).source for run in (failed, shop_run)]


def _tested(directory: Path, exported: str, app: str) -> subprocess.CompletedProcess[str]:
    """Run an exported test beside the app."""
    (directory / "test_till.py").write_text(exported, encoding="utf-8")
    (directory / "till.py").write_text(app, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_till.py"],
        cwd=directory,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


ECHO = """
async def app(scope, receive, send):
    name = dict(scope["headers"])[b"x-name"]
    seen = f"{scope['path']} {scope['root_path']}".encode()
    await send({"type": "http.response.start", "status": 303, "headers": [(b"location", b"/" + name)]})
    await send({"type": "http.response.body", "body": seen})
"""


def test_headers_beyond_ascii_and_odd_paths_are_driven_as_recorded(tmp_path: Path) -> None:
    """An ASGI app gets and gives the same bytes; what WSGI's transport can't take is refused."""
    run = request_run("GET", "//evil.example/a", headers=(("host", "shop.example"), ("x-name", "ZoÃ«")))
    scope = {**run.input["scope"], "root_path": "/v1"}
    response = {
        "status": 303, "headers": [["location", "/ZoÃ«"]], "body": "//evil.example/a /v1", "complete": True
    }  # fmt: skip
    run = replace(run, input={**run.input, "scope": scope}, outcome={**run.outcome, "response": response})

    passing, red = (
        _tested(tmp_path, plain_test(run, program()).source, app)
        for app in (ECHO, ECHO.replace('b"/" + name', 'b"/Z"'))
    )

    assert (0, 1) == (passing.returncode, red.returncode), passing.stdout
    with pytest.raises(FluxRunError, match="a header beyond ASCII"):
        plain_test(replace(run, entry_kind="wsgi"), program())


@dataclass
class Receipt:
    """What a function gives back."""

    total: int
    of: str


def _returning(value: Receipt) -> Run:
    run = replace(request_run(), entry_kind="function", input={"args": [], "kwargs": {}})
    return replace(run, outcome={"returned": encode(value), "error": None})


def _bought() -> Receipt:
    return Receipt(1, "mug")


class _Entry:
    __wrapped__ = staticmethod(_bought)


def test_an_object_that_a_function_returns_is_asserted_or_named_as_left_out() -> None:
    """Its annotation, a text in this module, says of which class it is; one with a drawn id can't come again."""
    function = Program(Place("till", "bought"), _Entry())
    same, drawn = (plain_test(_returning(Receipt(1, of)), function) for of in ("mug", str(uuid.uuid4())))

    assert f"assert returned == {__name__}.Receipt(total=1, of='mug')" in same.source
    assert () == same.left
    (left,) = drawn.left
    assert left.startswith("what it returned: an object that holds something of the clock")
    assert "- what it returned: an object" in drawn.source
    assert "assert returned" not in drawn.source


LAYERED = """
import asyncio, json, sqlite3, aiosqlite, sqlalchemy
from django.db.backends.sqlite3.base import SQLiteCursorWrapper

async def read():
    async with aiosqlite.connect("shop.db") as connection:
        async with connection.execute("SELECT name FROM a WHERE n = ?", [1]) as rows:
            return [row[0] async for row in rows]

def app(environ, start_response):
    django = sqlite3.connect("shop.db").cursor(factory=SQLiteCursorWrapper)
    django.execute("INSERT INTO d VALUES (%s)", ("x",))
    with sqlalchemy.create_engine("sqlite:///shop.db").begin() as connection:
        asked = connection.execute(sqlalchemy.text("SELECT name FROM s WHERE n = :n"), {"n": 1}).scalar()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([asyncio.run(read()), asked]).encode()]
"""


def test_libraries_above_sqlite3_get_the_recorded_rows(tmp_path: Path) -> None:
    """Django's cursor spells statements anew before it executes them; aiosqlite gives binds as a list."""
    calls = (
        _statement("INSERT INTO d VALUES (?)", ("x",)),
        _statement("SELECT name FROM s WHERE n = ?", (1,), effect=False, columns=["name"], rows=(["b"],)),
        _statement("SELECT name FROM a WHERE n = ?", (1,), effect=False, columns=["name"], rows=(["a"],)),
    )
    run = replace(request_run("GET", "/", calls=calls), entry_kind="wsgi")
    response = {
        "status": 200,
        "headers": [["Content-Type", "application/json"]],
        "body": '[["a"], "b"]',
        "complete": True,
    }

    exported = plain_test(replace(run, outcome={**run.outcome, "response": response}), program())
    passing = _tested(tmp_path, exported.source, LAYERED)
    red = _tested(
        tmp_path, exported.source, LAYERED.replace('    django.execute("INSERT INTO d VALUES (%s)", ("x",))\n', "")
    )

    assert (0, 1) == (passing.returncode, red.returncode), passing.stdout
    assert "INSERT INTO d VALUES (?)" in red.stdout


def test_what_stands_in_for_fluxrun_has_all_that_an_app_may_import(tmp_path: Path, wsgi_run: Run) -> None:
    """Every public name, where the package can't be imported."""
    names = sorted(pytest_fluxrun.__all__)
    block = "import sys; sys.modules.pop('pytest_fluxrun', None)\n"
    stand_in = block + "class Blocked:\n    def find_spec(self, name, *_):\n"
    stand_in += "        if name.partition('.')[0] == 'pytest_fluxrun': raise ModuleNotFoundError(name)\n"
    (tmp_path / "conftest.py").write_text(f"{stand_in}sys.meta_path.insert(0, Blocked())\n")

    done = _tested(
        tmp_path, plain_test(wsgi_run, program()).source, f"from pytest_fluxrun import {', '.join(names)}\n{APP}"
    )

    assert 0 == done.returncode, done.stdout
