"""The requests to the freight desk while it is recorded: an office's day, by five users, carriers and a terminal."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets

USERS = {"ada": "desk", "paul": "desk", "clara": "desk", "axel": "acme", "bea": "bloom"}

_LIMITS = httpx.Limits(max_keepalive_connections=0)  # uvicorn closes after a 500


def named(*parts: str) -> str:
    """The key that the seed gives a row."""
    return str(uuid.UUID(hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()))


@dataclass
class Traffic:
    """Sends requests as somebody, and notes what wasn't answered as intended."""

    base_url: str
    upstream: str
    password: str
    webhook_secret: str
    clients: dict[str, httpx.AsyncClient]
    surprises: list[str] = field(default_factory=list)
    count: int = 0

    async def send(self, who: str, expected: int, method: str, path: str, **extra: Any) -> httpx.Response:
        """One request; `who` is a user, or "nobody"."""
        self.count += 1
        response = await self.clients[who].request(method, path, **extra)
        if response.status_code != expected:
            self.surprises.append(
                f"{who} {method} {path}: {response.status_code}, not {expected}: {response.text[:300]}"
            )
        return response

    async def get(self, who: str, path: str, expected: int = 200, **params: Any) -> Any:
        """A GET; the JSON of its answer."""
        response = await self.send(who, expected, "GET", path, params=params)
        return response.json() if response.headers.get("content-type") == "application/json" else response.text

    async def post(self, who: str, path: str, expected: int = 201, **extra: Any) -> Any:
        """A POST, likewise."""
        response = await self.send(who, expected, "POST", path, **extra)
        return response.json() if response.headers.get("content-type") == "application/json" else response.text

    async def event(
        self, source: str, expected: int = 200, *, forged: bool = False, age_s: int = 0, **event: Any
    ) -> None:
        """A carrier's webhook."""
        body = json.dumps(event).encode()
        at = int(time.time()) - age_s
        secret = "forged" if forged else self.webhook_secret
        signed = hmac.new(secret.encode(), b"%d." % at + body, "sha256").hexdigest()
        headers = {"X-Carrier-Signature": f"t={at},v1={signed}", "Content-Type": "application/json"}
        await self.post("nobody", f"/webhooks/carriers/{source}", expected, content=body, headers=headers)

    async def while_held(self, name: str, slow: Awaitable[Any], fast: Callable[[], Awaitable[Any]]) -> None:
        """Do something while the gateway holds its answer to something else."""
        task = asyncio.ensure_future(slow)
        async with httpx.AsyncClient(base_url=self.upstream) as upstream:
            await upstream.get(f"/held/{name}")  # which answers as soon as it does
            await fast()
            await upstream.post(f"/release/{name}")
        await task


async def drive(
    base_url: str, upstream: str, password: str, webhook_secret: str, drained: Callable[[], None]
) -> Traffic:
    """Send everything; `drained` waits for the workers."""
    async with AsyncExitStack() as stack:
        clients = {
            who: await stack.enter_async_context(
                httpx.AsyncClient(base_url=base_url, timeout=20, headers={"X-Actor": who}, limits=_LIMITS)
            )
            for who in (*USERS, "nobody")
        }
        traffic = Traffic(base_url, upstream, password, webhook_secret, clients)
        for part in (accounts, organisations, network, quotes, shipments, changes, cargo, tracking, invoices, reports):
            await part(traffic)
        await crowd(traffic)
        await operations(traffic)
        await asyncio.to_thread(drained)
        await boards(traffic)
    return traffic


async def accounts(to: Traffic) -> None:
    for who, company in USERS.items():
        login = {"email": f"{who}@{company}.example", "password": to.password}
        await to.post(who, "/login", 200, json=login)
        await to.get(who, "/me")
    await to.post("nobody", "/login", 401, json={"email": "ada@desk.example", "password": "guessed"})
    await to.post("nobody", "/login", 401, json={"email": "gone@desk.example", "password": to.password})
    await to.post("nobody", "/login", 401, json={"email": "nobody@nowhere.example", "password": "x"})
    await to.post("nobody", "/login", 422, json={"email": "ada@desk.example"})
    await to.get("nobody", "/me", 401)
    await to.send("nobody", 401, "GET", "/me", headers={"Cookie": "freight_session=made-up.c2lnbmF0dXJl"})
    await to.get("axel", "/me/preferences")
    await to.get("axel", "/me/preferences")
    wanted = {"language": "nl", "units": "imperial", "digest": False}
    await to.send("paul", 200, "PUT", "/me/preferences", json=wanted)
    await to.get("paul", "/me/preferences")
    await to.get("clara", "/me/preferences", 500)  # bug: cached by an older release
    second = httpx.AsyncClient(base_url=to.base_url, limits=_LIMITS)
    async with second:
        to.clients["second"] = second
        await to.post("second", "/login", 200, json={"email": "BEA@bloom.example", "password": to.password})
        await to.send("second", 204, "POST", "/logout")
        await to.get("second", "/me", 401)


async def organisations(to: Traffic) -> None:
    await to.get("ada", "/organisations")
    await to.get("ada", "/organisations", text="acme")
    await to.get("paul", "/organisations", kind="carrier", page=1)
    await to.get("paul", "/organisations", tags=["perishable", "reefer"])
    await to.get("clara", "/organisations", text="桜")
    await to.get("clara", "/organisations", page=2)
    await to.get("bea", "/organisations", 403)
    await to.get("ada", "/organisations", 422, page=0)
    new = {
        "code": "ZENITH", "name": "Zenith Ünlimited", "kind": "shipper", "country": "TR", "tags": ["new"],
        "contacts": [{"name": "Zeynep", "email": "z@zenith.example", "topics": ["billing"]}, {"name": "Zafer"}],
    }  # fmt: skip
    await to.post("ada", "/organisations", json=new)
    await to.post("ada", "/organisations", 500, json=new)  # bug: the same code again
    await to.post("paul", "/organisations", 403, json=new)
    await to.post("ada", "/organisations", 422, json={**new, "code": "lower case"})
    await to.get("ada", "/organisations/ZENITH")
    await to.get("ada", "/organisations/NOBODY", 404)
    await to.send(
        "ada", 200, "PATCH", "/organisations/ZENITH", json={"credit_limit": 900, "preferences": {"a": [1, {}]}}
    )
    await to.send("ada", 422, "PATCH", "/organisations/ZENITH", json={"credit_limit": -1})
    await to.send("ada", 204, "DELETE", "/organisations/ZENITH")
    await to.send("ada", 409, "DELETE", "/organisations/ACME")
    await to.get("paul", "/organisations/ACME/performance")
    await to.get("paul", "/organisations/BLOOM/performance")
    await to.get("paul", "/organisations/STARTUP/performance", 500)  # bug: nothing shipped yet


async def network(to: Traffic) -> None:
    for service in ("customs", "reefer", "customs"):
        await to.get("nobody", "/ports", service=service)
    await to.get("nobody", "/ports")
    for origin, destination in (("NLRTM", "CNSHA"), ("NLRTM", "SGSIN"), ("DEHAM", "USNYC"), ("BRSSZ", "ZADUR")):
        await to.get("axel", "/schedule", origin=origin, destination=destination, after="2091-02-01T00:00:00Z")
    await to.get("axel", "/schedule", 422, origin="NLRTM", destination="CNSHA", after="2091-02-01T00:00:00")
    await to.get("bea", "/schedule", origin="NLRTM", destination="SGSIN", limit=1)
    legs = [
        _leg("NLRTM", "GBFXT", "2091-07-01T08:00:00+02:00", "2091-07-02T05:30:00+01:00"),
        _leg("GBFXT", "USNYC", "2091-07-03T10:00:00+01:00", "2091-07-11T23:15:00-04:00"),
    ]
    await to.post("paul", "/voyages", json={"vessel_imo": 9839430, "number": "PS-34", "legs": legs})
    await to.post("paul", "/voyages", 409, json={"vessel_imo": 9839430, "number": "PS-35", "legs": legs[1:]})
    await to.post("paul", "/voyages", 409, json={"vessel_imo": 1234567, "number": "XX-1", "legs": legs[:1]})
    await to.post("clara", "/voyages", 403, json={"vessel_imo": 9839430, "number": "PS-36", "legs": legs})
    await to.post("paul", "/voyages", 422, json={"vessel_imo": 9839430, "number": "PS-36", "legs": []})
    for number in ("ET-101E", "PS-34"):
        await to.get("axel", f"/voyages/{number}")
    await to.get("axel", "/voyages/ET-999", 404)
    await to.get("paul", "/vessels/9321483/position")
    await to.get("paul", "/vessels/9839430/position", 500)  # bug: the gateway is busy
    await to.get("paul", "/vessels/9839430/position")
    await to.get("paul", "/vessels/1111111/position", 404)
    allocations = f"/voyages/{named('voyage', 'ET-101E')}/allocations"
    await to.post("paul", allocations, json={"teu": 20})
    await to.post("paul", allocations, 409, json={"teu": 3990})
    await to.post("paul", allocations, 409, json={"teu": 600})
    await to.post("paul", allocations, 422, json={"teu": 0})
    await to.while_held(
        "space",
        to.post("paul", allocations, 500, json={"teu": 13}),  # bug: somebody else was faster
        lambda: to.post("ada", allocations, json={"teu": 5}),
    )


def _leg(origin: str, destination: str, departs_at: str, arrives_at: str) -> dict[str, str]:
    return {"origin": origin, "destination": destination, "departs_at": departs_at, "arrives_at": arrives_at}


async def quotes(to: Traffic) -> None:
    for teu, destination in ((2, "SGSIN"), (1, "USNYC"), (5, "CNSHA")):
        made = await to.post("axel", "/quotes", json=_quote("ACME", destination, teu))
        await to.get("axel", f"/quotes/{made['id']}")
    await to.post("axel", "/quotes", json=_quote("ACME", "ZADUR", 2))
    await to.post("axel", "/quotes", 429, json=_quote("ACME", "SGSIN", 9))
    await to.post("bea", "/quotes", 422, json=_quote("BLOOM", "BRSSZ", 1))
    await to.post("bea", "/quotes", 422, json=_quote("BLOOM", "SGSIN", 0))
    await to.post("paul", "/quotes", 404, json=_quote("NOBODY", "SGSIN", 1))
    await to.post("paul", "/quotes", 500, json=_quote("NORDFISK", "SGSIN", 3))  # bug: no rate for crowns
    await to.post("axel", f"/quotes/{made['id']}/accept", json={"consignee": "GLOBEX", "instructions": "Fragile"})
    await to.post("axel", f"/quotes/{made['id']}/accept", 409, json={"consignee": "GLOBEX"})
    await to.post("axel", f"/quotes/{named('q-old')}/accept", 409, json={"consignee": "GLOBEX"})
    await to.get("axel", f"/quotes/{uuid.uuid4()}", 404)
    await to.get("axel", "/quotes/no-uuid", 422)


def _quote(shipper: str, destination: str, teu: int) -> dict[str, Any]:
    return {"shipper": shipper, "origin": "NLRTM", "destination": destination, "teu": teu}


async def shipments(to: Traffic) -> None:
    await to.get("paul", "/shipments")
    await to.get("paul", "/shipments", page=2, size=50)
    await to.get("axel", "/shipments", status="delivered")
    await to.get("bea", "/shipments", lane="SGSIN-USNYC", size=5)
    await to.get("paul", "/shipments", attribute="accepted_by:axel@acme.example")
    await to.get("paul", "/shipments", 422, status="lost")
    for limit in (1, 25, 40):
        await to.get("paul", "/shipments/board", limit=limit)
    await to.get("paul", "/shipments/customs", origin="DEHAM")
    await to.get("paul", "/shipments/customs", origin="BRSSZ")
    await to.get("paul", "/shipments/customs", 500, origin="SGSIN")  # bug: an entry without a broker
    for number in (3, 6, 30):
        await to.get("paul", f"/shipments/FRT-{number:06}")
    await to.get("axel", "/shipments/FRT-000003")
    await to.get("bea", "/shipments/FRT-000003", 403)
    await to.get("bea", "/shipments/FRT-999999", 404)
    for number in (3, 6):
        await to.get("axel", f"/shipments/FRT-{number:06}/eta")
    await to.get("axel", "/shipments/FRT-000007/eta", 500)  # bug: booked on nothing
    await to.get("axel", "/shipments/FRT-000002/label")
    await to.get("axel", "/shipments/FRT-000036/label", 500)  # bug: a column that wasn't loaded
    await to.get("axel", "/shipments/FRT-000006/manifest")
    await to.get("axel", "/shipments/FRT-000404/manifest")
    await to.get("paul", "/shipments/FRT-000006/load")


async def changes(to: Traffic) -> None:
    path = "/shipments/FRT-000008"
    await to.send(
        "paul", 200, "PATCH", path, json={"incoterm": "DAP", "delivery_address": "12  harbour street, new york"}
    )
    await to.send("paul", 200, "PATCH", path, json={"instructions": None, "status": "booked"})
    await to.send("paul", 422, "PATCH", path, json={"status": "lost"})
    await to.send("axel", 403, "PATCH", path, json={"incoterm": "EXW"})
    await to.send("paul", 409, "PATCH", "/shipments/FRT-000004", json={"incoterm": "EXW"})
    await to.while_held(
        "address",
        to.send("paul", 500, "PATCH", path, json={"delivery_address": "hold my berth"}),  # bug: a stale version
        lambda: to.send("ada", 200, "PATCH", path, json={"incoterm": "CIF"}),
    )
    await to.send("paul", 204, "DELETE", "/shipments/FRT-000010")
    await to.send("paul", 409, "DELETE", "/shipments/FRT-000011")
    await to.send("paul", 404, "DELETE", "/shipments/FRT-999999")
    legs = [named("leg", "ET-101E", "1"), named("leg", "ET-101E", "2")]
    await to.send("paul", 200, "PUT", "/shipments/FRT-000013/legs", json={"legs": legs, "teu": 2})
    await to.send("paul", 200, "PUT", "/shipments/FRT-000013/legs", json={"legs": legs[:1], "teu": 6})
    await to.send("paul", 200, "PUT", "/shipments/FRT-000018/legs", json={"legs": legs, "teu": 9})
    await to.send("paul", 409, "PUT", "/shipments/FRT-000013/legs", json={"legs": [named("nowhere")]})


async def cargo(to: Traffic) -> None:
    path = "/shipments/FRT-000070/cargo"
    good = {"description": "Anvils", "hs_code": "820500", "quantity": 3, "unit_weight_kg": "41.125"}
    await to.post("paul", path, json=[good, {**good, "un_numbers": ["UN1950"], "container": "FRTU0000037"}])
    await to.post("paul", path, json=[good, {**good, "quantity": 0}, {**good, "container": "NOSUCHBOX"}, good])
    await to.post("paul", path, 422, json=[{**good, "hs_code": "anvil"}])
    await to.post("paul", "/shipments/FRT-999999/cargo", 404, json=[good])
    await to.get("paul", "/shipments/FRT-000070/load")
    packing = "FRT-000070,1,FRTU0000074,2,S1\nFRT-000070,2,FRTU0000111,1,\n"
    await to.post("paul", "/exchange/packings", 200, content=packing, headers={"Content-Type": "text/csv"})
    await to.post("paul", "/exchange/packings", 200, content="FRT-999999,1,FRTU0000074,2,S1\n")
    await to.post("paul", "/exchange/packings", 422, content="a,b\n")
    await to.post(
        "paul", "/exchange/packings", 500, content="FRT-000071,1,FRTU0000000,2,S9\n"
    )  # bug: no such container
    for name, content in (("bill-of-lading.txt", b"carried\n" * 40), ("scan.bin", bytes(range(256)) * 9)):
        files = {"file": (name, content, "application/octet-stream")}
        made = await to.post("axel", "/shipments/FRT-000003/documents", files=files)
        await to.get("axel", f"/shipments/FRT-000003/documents/{made['id']}")
    await to.post("axel", "/shipments/FRT-999999/documents", 404, files=files)
    await to.post("axel", "/shipments/FRT-000003/documents", 422, data={"file": "no file"})
    await to.get("axel", "/shipments/FRT-000003")


async def tracking(to: Traffic) -> None:
    event = {"reference": "FRT-000003", "kind": "loaded", "port": "NLRTM", "occurred_at": "2025-03-04T05:06:07+01:00"}
    await to.event("oceanic", id="o-1", **event)
    await to.event("oceanic", id="o-1", **event)
    await to.event("oceanic", id="o-2", **{**event, "kind": "departed", "port": None})
    await to.event("oceanic", 401, forged=True, id="o-3", **event)
    await to.event("oceanic", 401, age_s=4000, id="o-4", **event)
    await to.event("oceanic", 422, id="o-5", **{**event, "occurred_at": "2098-01-01T00:00:00Z"})
    await to.event("oceanic", 404, id="o-6", **{**event, "reference": "FRT-999999"})
    await to.event(
        "polaris", 500, id="p-1", **{**event, "port": "SGSIN", "occurred_at": "2025-03-05T05:06:07"}
    )  # bug: no zone
    await to.event("polaris", id="p-2", **{**event, "reference": "FRT-000006", "kind": "delivered"})
    for number in (3, 6, 61):
        await to.get("axel", f"/shipments/FRT-{number:06}/events")
    await to.get("axel", "/shipments/FRT-000066/events", 500)  # bug: a kind that the code doesn't know
    await to.get("paul", "/tracking/dwell", 200, after=0)
    await to.get("paul", "/tracking/dwell", 200, after=150)
    cookie = f"freight_session={to.clients['axel'].cookies['freight_session']}"
    url = to.base_url.replace("http", "ws") + "/shipments/FRT-000003/live"
    async with websockets.connect(url, additional_headers={"Cookie": cookie}, open_timeout=10) as socket:
        for word in ("status", "recent", "status"):
            await socket.send(word)
            await socket.recv()
        await socket.send("bye")
        await socket.wait_closed()
    try:
        await websockets.connect(url, open_timeout=10)
    except websockets.InvalidStatus as refused:
        if refused.response.status_code != 403:
            to.surprises.append(f"{url} without a cookie: {refused}")


async def invoices(to: Traffic) -> None:
    made = await to.post("clara", "/shipments/FRT-000015/invoice")
    await to.post("clara", "/shipments/FRT-000015/invoice", 409)
    await to.post("clara", "/shipments/FRT-000001/invoice", 409)
    await to.post("clara", "/shipments/FRT-000012/invoice", 500)  # bug: a percentage is a float
    await to.post(
        "clara", "/shipments/FRT-000016/invoice"
    )  # its mail fails in the worker: a contact without an address
    await to.post("paul", "/shipments/FRT-000012/invoice", 403)
    await to.get("clara", "/invoices/INV-000001")
    await to.get("clara", f"/invoices/{made['number']}")
    await to.get("clara", "/invoices/INV-000004", 500)  # bug: payments are loaded lazily
    await to.get("clara", "/invoices/INV-999999", 404)
    pay = "/invoices/INV-000002/payments"
    await to.post("clara", pay, json={"amount": "22.22", "bank_reference": "SEPA-7"})
    await to.post("clara", pay, 409, json={"amount": "1", "bank_reference": "SEPA-7"})
    await to.post("clara", pay, 409, json={"amount": "1000000", "bank_reference": "SEPA-8"})
    await to.post("clara", pay, json={"amount": "200.00", "bank_reference": "SEPA-9"})
    await to.post("clara", "/invoices/INV-000002/remind", 409)
    await to.post("clara", "/invoices/INV-000003/remind", 202)
    await to.post("clara", "/invoices/INV-000003/remind", 409)
    await to.get("clara", "/receivables")
    await to.get("clara", "/receivables", as_of="2024-08-01")
    await to.get("axel", "/receivables", 403)


async def reports(to: Traffic) -> None:
    await to.get("paul", "/reports/lanes")
    await to.get("paul", "/reports/lanes", top=2)
    await to.get("paul", "/reports/statuses")
    await to.get("paul", "/reports/utilisation")
    await to.get("paul", "/reports/utilisation", since="2091-03-10")
    await to.get("paul", "/reports/route/NLRTM/ZADUR")
    await to.get("paul", "/reports/route/BRSSZ/ZADUR")
    await to.get("paul", "/reports/ports")
    await to.get("bea", "/reports/lanes", 403)
    await to.get("paul", "/exchange/shipments.csv")
    await to.get("paul", "/exchange/shipments.csv", status="cancelled")
    rates = [
        {"currency": "CHF", "day": "2025-01-02", "euros": "1.0634"},
        {"currency": "USD", "day": "2025-01-02", "euros": "0.97"},
    ]
    await to.post("clara", "/exchange/rates", 200, json=rates)


async def crowd(to: Traffic) -> None:
    """Many at once, on pools that are smaller."""
    paths = ("/shipments?size=5", "/shipments/FRT-000030", "/reports/utilisation", "/reports/ports", "/me", "/ports")
    await asyncio.gather(*(to.get("paul", path) for path in paths * 3))
    await asyncio.gather(*(to.get("axel", f"/shipments/FRT-{number:06}/manifest") for number in range(1, 9)))


async def operations(to: Traffic) -> None:
    await to.post("ada", "/jobs", json={"kind": "reindex", "payloads": [{"n": 1}, {"n": 2}], "priority": 9})
    claimed = await to.post("ada", "/jobs/claim", 200, params={"worker": "w1"})
    await to.post("ada", "/jobs/claim", 200, params={"worker": "w2", "count": 3})
    await to.post("ada", f"/jobs/{claimed[0]['id']}/done", 200)
    await to.post("ada", f"/jobs/{claimed[1]['id']}/failed", 200)
    await to.post("ada", f"/jobs/{claimed[0]['id']}/done", 409)
    await to.post("paul", "/jobs/claim", 403, params={"worker": "w1"})
    await to.get("nobody", "/ready")
    await to.post("ada", "/operations/refresh", 202)


async def boards(to: Traffic) -> None:
    """What the workers have written."""
    await to.get("axel", "/tracking/board")
    await to.get("bea", "/tracking/board")
    await to.get("ada", "/operations/statistics")
