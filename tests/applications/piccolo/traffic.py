"""A cinema works in Piccolo Admin: it logs in, lists and filters, adds, changes and removes rows, fills in forms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

__all__ = ["VARIABLES", "drive", "prepare"]

VARIABLES = {"PGHOST": "127.0.0.1", "PGUSER": "postgres"}
_SCHEMA = """
import asyncio
import asyncpg

async def anew():
    connection = await asyncpg.connect(database="postgres")
    await connection.execute("DROP DATABASE IF EXISTS piccolo_admin WITH (FORCE)")
    await connection.execute("CREATE DATABASE piccolo_admin")
    await connection.close()

asyncio.run(anew())
import served
from piccolo_admin.example.tables import create_schema, populate_data
create_schema()
populate_data(engine="postgres")
"""


def prepare(root: Path) -> None:
    """A database with the example's tables and rows, before the server starts."""
    variables = {**os.environ, **VARIABLES, "FLUXRUN_DISABLED": "1"}
    subprocess.run([sys.executable, "-c", _SCHEMA], cwd=root, env=variables, check=True, timeout=120)


def drive(client: httpx.Client) -> None:
    """Send every request, one after another."""
    _log_in(client)
    _look(client)
    _change(client)
    _forms(client)


def _headers(client: httpx.Client) -> dict[str, str]:
    """What the page's scripts send along."""
    token = client.cookies.get("csrftoken") or ""
    return {"x-csrftoken": token, "origin": str(client.base_url), "referer": f"{client.base_url}/"}


def _log_in(client: httpx.Client) -> None:
    client.get("/")
    client.get("/public/meta/")
    client.get("/public/translations/")
    client.get("/public/translations/english/")
    client.get("/api/tables/")  # not logged in
    client.post("/public/login/", json={"username": "piccolo", "password": "piccolo123"})  # without the token
    client.post("/public/login/", json={"username": "piccolo", "password": "wrong"}, headers=_headers(client))
    client.post("/public/login/", json={"username": "piccolo", "password": "piccolo123"}, headers=_headers(client))


def _look(client: httpx.Client) -> None:
    client.get("/api/user/")
    for path in (
        *("", "grouped/", "movie/", "movie/schema/", "movie/count/", "movie/new/", "movie/ids/", "movie/references/"),
        *("director/", "studio/", "ticket/", "array_columns/", "nullable_columns/", "required_columns/"),
        *("date_time_columns/", "constraints/", "sorted_columns/", "choices/", "nowhere/"),
    ):
        client.get(f"/api/tables/{path}")
    for query in (
        *("__page=2&__page_size=5", "__order=-rating,name", "name=Hobbit&name__match=contains"),
        *("rating=60&rating__operator=gte", "won_oscar=true", "__visible_fields=id,name"),
        *("__readable=true&__page_size=3", "director=1", "genre=1", "__order=nothing", "rating=abc"),
        "release_date=2001-12-19T00:00:00&release_date__operator=gt",
    ):
        client.get(f"/api/tables/movie/?{query}")
    client.get("/api/tables/movie/1/")
    client.get("/api/tables/movie/1/?__readable=true")
    client.get("/api/tables/movie/99999/")
    client.get("/api/tables/movie/ids/?search=Star&limit=5")
    client.get("/api/openapi.json")


def _change(client: httpx.Client) -> None:
    headers = _headers(client)
    movie: dict[str, Any] = {
        "name": "A test of patience", "rating": 81.5, "duration": "PT1H30M", "director": 1, "oscar_nominations": 0,
        "won_oscar": False, "description": "<p>Long.</p>", "release_date": "2024-05-04T00:00:00Z", "box_office": "12.5",
        "tags": ["slow"], "barcode": 0, "genre": 1, "poster": "", "screenshots": [], "studio": None,
    }  # fmt: skip
    made = client.post("/api/tables/movie/", json=movie, headers=headers)
    client.post("/api/tables/movie/", json={**movie, "rating": "high"}, headers=headers)
    client.post("/api/tables/movie/", json=movie)  # without the token
    number = made.json()[0]["id"] if made.status_code < 300 else 1
    client.patch(f"/api/tables/movie/{number}/", json={"rating": 12.25, "tags": ["slow", "long"]}, headers=headers)
    client.put(f"/api/tables/movie/{number}/", json={**movie, "name": "A test of time"}, headers=headers)
    client.patch(f"/api/tables/movie/{number}/", json={"director": 4711}, headers=headers)  # there is none
    client.get(f"/api/tables/movie/{number}/")
    client.delete(f"/api/tables/movie/{number}/", headers=headers)
    client.delete("/api/tables/director/1/", headers=headers)  # and what hangs on it
    client.delete("/api/tables/movie/?__ids=2,3", headers=headers)
    client.get("/api/tables/movie/count/")
    client.post("/api/tables/constraints/", json={"unique_int": 1}, headers=headers)


def _forms(client: httpx.Client) -> None:
    headers = _headers(client)
    client.get("/api/forms/")
    client.get("/api/forms/calculator/")
    client.get("/api/forms/calculator/schema/")
    client.get("/api/forms/nothing/")
    client.post("/api/forms/calculator/", json={"number_1": 2, "number_2": 3}, headers=headers)
    client.post("/api/forms/calculator/", json={"number_1": "two"}, headers=headers)
    client.post("/api/forms/download-director-movies/", json={"director_name": "George Lucas"}, headers=headers)
    client.post("/public/logout/", headers=headers)
    client.get("/api/tables/movie/")
