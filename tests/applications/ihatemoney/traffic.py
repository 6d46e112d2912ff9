"""A household shares its expenses: the REST API with basic authentication, then the pages with their forms."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

__all__ = ["drive", "prepare"]

_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def prepare(root: Path) -> None:
    """The database with its migrations, as a deployment makes it before the server starts."""
    variables = {**os.environ, "FLUXRUN_DISABLED": "1"}
    subprocess.run([sys.executable, "-c", "import served"], cwd=root, env=variables, check=True, timeout=120)


def drive(client: httpx.Client) -> None:
    """Send every request, one after another."""
    _api(client)
    _pages(client)


def _api(client: httpx.Client) -> None:
    project = {"name": "Flat 7", "id": "flat7", "password": "pale-heron-41", "contact_email": "a@example.org"}
    client.post("/api/projects", data=project)
    client.post("/api/projects", data=project)  # taken
    client.post("/api/projects", data={"name": "no more"})  # invalid
    client.get("/api/currencies")
    client.get("/api/projects/flat7")  # not authenticated
    client.get("/api/projects/flat7", auth=("flat7", "wrong"))
    auth = ("flat7", "pale-heron-41")
    client.get("/api/projects/flat7", auth=auth)
    members = [client.post("/api/projects/flat7/members", auth=auth, data={"name": name}) for name in "ABC"]
    ids = [response.json() for response in members]
    client.post("/api/projects/flat7/members", auth=auth, data={"name": "A"})  # taken
    client.get("/api/projects/flat7/members", auth=auth)
    client.put(
        f"/api/projects/flat7/members/{ids[2]}", auth=auth, data={"name": "Carla", "weight": "2", "activated": "true"}
    )
    bills = []
    for number, (what, amount) in enumerate([("rent", "900"), ("power", "71.30"), ("tea", "4.5"), ("sums", "2*3+1")]):
        bill = {"date": f"2024-03-0{number + 1}", "what": what, "payer": ids[number % 3], "amount": amount}
        bills.append(client.post("/api/projects/flat7/bills", auth=auth, data={**bill, "payed_for": ids}))
    client.post("/api/projects/flat7/bills", auth=auth, data={"what": "nothing"})  # invalid
    client.get("/api/projects/flat7/bills", auth=auth)
    first = bills[0].json()
    client.get(f"/api/projects/flat7/bills/{first}", auth=auth)
    changed = {"date": "2024-03-01", "what": "rent, corrected", "payer": ids[0], "amount": "910", "payed_for": ids}
    client.put(f"/api/projects/flat7/bills/{first}", auth=auth, data=changed)
    client.delete(f"/api/projects/flat7/bills/{bills[2].json()}", auth=auth)
    client.get("/api/projects/flat7/bills/4711", auth=auth)  # missing
    client.get("/api/projects/flat7/statistics", auth=auth)
    client.get("/api/projects/flat7/token", auth=auth)
    client.get("/api/projects/nowhere", auth=auth)


def _pages(client: httpx.Client) -> None:
    client.get("/")
    client.get("/healthcheck")
    client.get("/create")
    client.get("/no-such-page/at/all")
    client.get("/lang/de")
    client.get("/", headers={"accept-language": "fr"})
    client.get("/flat7/")  # sent away: not logged in
    _submit(client, "/authenticate", {"id": "flat7", "password": "wrong"})
    _submit(client, "/authenticate", {"id": "flat7", "password": "pale-heron-41"})
    for page in ("", "add", "members/add", "settle_bills", "history", "statistics", "edit", "invite"):
        client.get(f"/flat7/{page}")
    _submit(client, "/flat7/members/add", {"name": "Dora", "weight": "1"})
    bill = {"date": "2024-04-01", "what": "bread", "amount": "3.20", "payer": "1", "payed_for": ["1", "2"]}
    _submit(client, "/flat7/add", {**bill, "original_currency": "XXX", "bill_type": "Expense"})
    _submit(client, "/flat7/add", {"what": "incomplete"})
    for file in ("bills.json", "bills.csv", "transactions.json", "transactions.csv"):
        client.get(f"/flat7/export/{file}")
    client.get("/flat7/history")
    client.get("/flat7/")
    client.get("/dashboard")
    _submit(client, "/exit", {}, page="/flat7/")
    client.get("/flat7/")


def _submit(client: httpx.Client, path: str, fields: dict[str, object], *, page: str = "") -> None:
    """Post a form with the token that its page gave out; two requests."""
    found = _TOKEN.search(client.get(page or path).text)
    client.post(path, data={**fields, "csrf_token": found[1] if found else ""})
