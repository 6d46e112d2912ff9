"""A team keeps its records in Kinto: accounts, buckets, collections, permissions, filters, preconditions, history."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

__all__ = ["drive", "prepare"]

ADMIN = ("admin", "s3cret-of-the-tests")
MARY = ("mary", "another-s3cret")
_SCHEMA = """
import psycopg2, redis
connection = psycopg2.connect("postgresql://postgres@127.0.0.1:5432/postgres")
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("DROP DATABASE IF EXISTS fluxrun_kinto WITH (FORCE)")
cursor.execute("CREATE DATABASE fluxrun_kinto ENCODING 'UTF8' TEMPLATE template0")
connection.close()
client = redis.Redis(db=9)
for key in client.scan_iter("fluxrun:*"):
    client.delete(key)
import served
registry = served.application.registry
for backend in (registry.storage, registry.permission, registry.cache):
    backend.initialize_schema()
"""


def prepare(root: Path) -> None:
    """A database with Kinto's schema, as its `migrate` makes it before the server starts."""
    variables = {**os.environ, "FLUXRUN_DISABLED": "1"}
    subprocess.run([sys.executable, "-c", _SCHEMA], cwd=root, env=variables, check=True, timeout=120)


def drive(client: httpx.Client) -> None:
    """Send every request, one after another."""
    _service(client)
    _records(client)
    _permissions(client)
    _rest(client)


def _service(client: httpx.Client) -> None:
    for path in ("", "__version__", "__lbheartbeat__", "__api__", "contribute.json"):
        client.get(f"/v1/{path}")
    client.get("/")  # to the version
    client.get("/v1/nothing-here")
    client.put("/v1/accounts/admin", json={"data": {"password": ADMIN[1]}})
    client.put("/v1/accounts/mary", json={"data": {"password": MARY[1]}})
    client.put("/v1/accounts/admin", json={"data": {"password": "taken"}})  # another's
    client.get("/v1/", auth=ADMIN)
    client.get("/v1/buckets", auth=("admin", "wrong"))
    client.post("/v1/buckets", json={"data": {"id": "team"}}, auth=ADMIN)
    client.post("/v1/buckets", json={"data": {"id": "not valid!"}}, auth=ADMIN)
    client.put("/v1/buckets/team/collections/tasks", json={"data": {"schema": _TASK}}, auth=ADMIN)


_TASK: dict[str, Any] = {"type": "object", "properties": {"title": {"type": "string"}, "done": {"type": "boolean"}}}
_RECORDS = "/v1/buckets/team/collections/tasks/records"


def _records(client: httpx.Client) -> None:
    made = []
    for number in range(12):
        body = {"title": f"task {number}", "done": number % 3 == 0, "weight": number / 4, "tags": ["a", f"t{number}"]}
        made.append(client.post(_RECORDS, json={"data": body}, auth=ADMIN).json()["data"])
    client.post(_RECORDS, json={"data": {"title": 5}}, auth=ADMIN)  # not by the schema
    client.post(_RECORDS, content=b"{not json", headers={"content-type": "application/json"}, auth=ADMIN)
    client.post(_RECORDS, content=b"a=1", headers={"content-type": "text/plain"}, auth=ADMIN)
    listed = client.get(_RECORDS, auth=ADMIN)
    client.get(listed.headers["next-page"], auth=ADMIN)
    client.head(_RECORDS, auth=ADMIN)
    for query in ("done=true", "_sort=-weight&_limit=3", "min_weight=1&max_weight=2", "title=task%204", "not_done=true",
                  "like_title=task", "in_weight=0,1", "has_tags=true", "contains_tags=%5B%22t3%22%5D", "_fields=title",
                  f"_since={made[5]['last_modified']}", "_sort=nothing'", "_limit=abc"):  # fmt: skip
        client.get(f"{_RECORDS}?{query}", auth=ADMIN)
    first = f"{_RECORDS}/{made[0]['id']}"
    got = client.get(first, auth=ADMIN)
    client.get(first, headers={"if-none-match": got.headers["etag"]}, auth=ADMIN)  # not modified
    client.put(first, json={"data": {"title": "anew"}}, headers={"if-match": '"1"'}, auth=ADMIN)  # changed since
    client.put(first, json={"data": {"title": "anew", "done": True}}, auth=ADMIN)
    client.patch(first, json={"data": {"done": False}}, auth=ADMIN)
    client.patch(first, json=[{"op": "add", "path": "/data/note", "value": "x"}], auth=ADMIN,
                 headers={"content-type": "application/json-patch+json"})  # fmt: skip
    client.delete(f"{_RECORDS}/{made[1]['id']}", auth=ADMIN)
    client.get(f"{_RECORDS}/{made[1]['id']}", auth=ADMIN)  # gone
    client.get(f"{_RECORDS}/00000000-0000-0000-0000-000000000000", auth=ADMIN)
    client.get(f"{_RECORDS}?_since={made[0]['last_modified']}", auth=ADMIN)  # with what was deleted


def _permissions(client: httpx.Client) -> None:
    client.get(_RECORDS, auth=MARY)  # not hers
    client.patch("/v1/buckets/team", json={"permissions": {"read": ["account:mary"]}}, auth=ADMIN)
    client.get(_RECORDS, auth=MARY)
    client.post(_RECORDS, json={"data": {"title": "hers"}}, auth=MARY)  # only to read
    client.put("/v1/buckets/team/groups/writers", json={"data": {"members": ["account:mary"]}}, auth=ADMIN)
    granted = {"permissions": {"record:create": ["/buckets/team/groups/writers"]}}
    client.patch("/v1/buckets/team/collections/tasks", json=granted, auth=ADMIN)
    client.post(_RECORDS, json={"data": {"title": "hers"}}, auth=MARY)
    client.get("/v1/permissions", auth=MARY)
    client.get("/v1/buckets/team/groups", auth=ADMIN)


def _rest(client: httpx.Client) -> None:
    requests = [
        {"method": "PUT", "path": f"{_RECORDS}/batch-{number}", "body": {"data": {"title": f"b{number}"}}}
        for number in range(4)
    ]
    client.post(
        "/v1/batch", json={"requests": [*requests, {"method": "GET", "path": "/v1/buckets/nowhere"}]}, auth=ADMIN
    )
    client.get("/v1/buckets/team/history?_limit=4&_sort=-last_modified", auth=ADMIN)
    client.get("/v1/buckets/team/history?resource_name=record&action=delete", auth=ADMIN)
    client.delete(f"{_RECORDS}?done=true", auth=ADMIN)
    client.get(_RECORDS, auth=ADMIN)
    client.delete("/v1/buckets/team/collections/tasks", auth=ADMIN)
    client.get("/v1/buckets/team/collections", auth=ADMIN)
    client.request("DELETE", "/v1/accounts/mary", auth=MARY)
    client.get("/v1/buckets", auth=MARY)
    client.post("/v1/__flush__", auth=ADMIN)
    client.get("/v1/buckets", auth=ADMIN)
