"""The requests to the clinic while it is recorded: a few days' work of everybody there, and what goes wrong in it.

Each function is a part of it; they build upon each other, in the order of `PARTS`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import httpx

PASSWORD = "correct horse battery"
KEY = "lab-key-7Qx2mVd93KfLw0Zr"
SECRET = "whsec-clinic-5f8a1c77"
_NAMESPACE = uuid.UUID("5b1f1c9e-9a53-4a3e-8f0a-4b4f3c1d2e00")
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


def known(name: str) -> str:
    """The id that the seed gave to what bears this name."""
    return str(uuid.uuid5(_NAMESPACE, name))


@dataclass
class Member:
    """Somebody at a browser, or a machine with a key."""

    client: httpx.Client
    traffic: Traffic

    def send(self, expected: int, method: str, path: str, **extra: Any) -> httpx.Response:
        """Send a request, and note where the answer isn't the expected one."""
        headers = extra.pop("headers", {})
        if token := self.client.cookies.get("csrftoken"):
            headers = {"X-CSRFToken": token, **headers}
        response = self.client.request(method, path, headers=headers, **extra)
        self.traffic.sent += 1
        if response.status_code != expected:
            self.traffic.surprises.append(
                f"{method} {path}: {response.status_code}, not {expected}: {response.text[:200]}"
            )
        return response

    def get(self, path: str, expected: int = 200, **extra: Any) -> httpx.Response:
        return self.send(expected, "GET", path, **extra)

    def post(self, path: str, json: Any = None, expected: int = 200, **extra: Any) -> httpx.Response:
        return self.send(expected, "POST", path, **({} if json is None else {"json": json}), **extra)

    def sign_in(self, name: str, password: str = PASSWORD, expected: int = 302) -> Member:
        """By the form, with the token that it holds."""
        page = self.get("/login?next=/day/")
        form = {"username": name, "password": password, "csrfmiddlewaretoken": token_of(page), "next": "/api/me"}
        self.send(expected, "POST", "/login", data=form)
        return self


@dataclass
class Traffic:
    """All who use the clinic at `url`."""

    url: str
    settle: Callable[..., None]
    """Waits until the worker has done the tasks of these ids, then what else it has in its queue."""
    mails: Callable[[], list[bytes]]
    surprises: list[str] = field(default_factory=list)
    sent: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    clients: list[httpx.Client] = field(default_factory=list)

    def stranger(self, **headers: str) -> Member:
        client = httpx.Client(base_url=self.url, timeout=20, headers={"User-Agent": "clinic-test/1", **headers})
        self.clients.append(client)
        return Member(client, self)

    def __getitem__(self, name: str) -> Member:
        if name not in self.members:
            self.members[name] = self.stranger().sign_in(name)
        return self.members[name]


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def day(offset: int) -> str:
    return (date.today() + timedelta(days=offset)).isoformat()


def drive(traffic: Traffic) -> Traffic:
    """Everything, in order."""
    for part in PARTS:
        part(traffic)
    for client in traffic.clients:
        client.close()
    return traffic


def signing_in(t: Traffic) -> None:
    stranger = t.stranger()
    stranger.get("/health")
    stranger.send(200, "HEAD", "/health")
    stranger.get("/api/me", 401)
    stranger.get("/api/patients", 401, headers={"Authorization": "Bearer nonsense"})
    stranger.get("/day/", 302)
    stranger.get("/nowhere", 404)
    stranger.send(403, "DELETE", "/health")
    stranger.post("/api/me/password", {"old_password": "a", "new_password": "b"}, 403)
    for name in ("desk", "doctor", "books", "nobody"):
        t[name].get("/api/me")
        t[name].get("/api/me")
    t.stranger().sign_in("desk", "wrong", 200)
    t.stranger().sign_in("désk", "wrong again", 200)
    t["doctor"].send(200, "PATCH", "/api/me", json={"preferences": {"theme": "dark", "columns": [1, 2, 3]}})
    t["doctor"].send(422, "PATCH", "/api/me", json={"preferences": 7})
    t["doctor"].send(415, "PATCH", "/api/me", data={"preferences": "7"})
    t["doctor"].send(400, "PATCH", "/api/me", content=b"{", headers={"Content-Type": "application/json"})
    t["nobody"].post("/api/me/password", {"old_password": "not it", "new_password": "another password"}, 403)
    t["nobody"].post("/api/me/password", {"old_password": PASSWORD, "new_password": "short"}, 422)
    t["nobody"].post("/api/me/password", {"old_password": PASSWORD, "new_password": "a much longer one, 77"})
    t["nobody"].get("/api/me")
    t["nobody"].get("/api/patients", 403)
    t["nobody"].get("/day/", 403)


def resetting_a_password(t: Traffic) -> None:
    stranger = t.stranger()
    page = stranger.get("/password-reset/")
    stranger.send(
        302, "POST", "/password-reset/", data={"email": "doctor@clinic.example", "csrfmiddlewaretoken": token_of(page)}
    )
    stranger.get("/password-reset/sent")
    link = re.search(rb"/password-reset/[\w=-]+/[\w-]+/", t.mails()[-1])
    assert link is not None, t.mails()
    answer = stranger.get(link[0].decode(), 302)
    page = stranger.get(answer.headers["location"])
    new = {"new_password1": PASSWORD, "new_password2": PASSWORD, "csrfmiddlewaretoken": token_of(page)}
    stranger.send(302, "POST", answer.headers["location"], data=new)
    stranger.get("/password-reset/done")
    t.members.pop("doctor").get("/api/me", 401)


def keys(t: Traffic) -> None:
    root = t["root"]
    made = root.post("/api/keys", {"name": "nightly", "scopes": ["read", "write"], "days": 30}, 201).json()
    root.get("/api/keys")
    machine = t.stranger(Authorization=f"Bearer {made['key']}")
    machine.get("/api/me")
    machine.post("/api/keys", {"name": ""}, 422)
    t.members["lab"] = t.stranger(Authorization=f"Bearer {KEY}")
    t["lab"].get("/api/patients?q=ada")
    t["lab"].send(200, "PATCH", "/api/me", json={"preferences": {"lab": True}})


def patients(t: Traffic) -> None:
    desk = t["desk"]
    for query in ("", "?page=3", "?q=jörg", "?q=M0001", "?site=north", "?allergy=nuts&site=south", "?language=fr"):
        desk.get(f"/api/patients{query}")
    desk.get("/api/patients?page=99", 404)
    desk.get("/api/patients?page=x", 404)
    new = {"mrn": "N00001", "first_name": "Zoë", "last_name": "Neu", "born_on": "1990-02-03", "site": "north"}
    made = desk.post("/api/patients", new | {"phone": "+49 40  7777", "email": "Zoe@Mail.Example"}, 201).json()
    desk.post("/api/patients", {"mrn": "N00002"}, 422)
    desk.post("/api/patients", new | {"mrn": "N00003", "email": "no address"}, 422)
    desk.post("/api/patients", new | {"mrn": "N00003", "site": "west"}, 404)
    t["doctor"].post("/api/patients", new | {"mrn": "N00004"}, 403)
    for _ in range(2):
        desk.get(f"/api/patients/{made['id']}")
    desk.send(
        200,
        "PATCH",
        f"/api/patients/{made['id']}",
        json={"details": {"contact": {"language": "de"}}, "allergies": ["cats"]},
    )
    desk.get(f"/api/patients/{made['id']}")
    desk.get(f"/api/patients/{known('patient-7')}/timeline")
    desk.get(f"/api/patients/{known('somebody')}", 404)
    desk.send(409, "DELETE", f"/api/patients/{known('patient-1')}")
    spare = desk.post("/api/patients", new | {"mrn": "N00009"}, 201).json()
    desk.send(204, "DELETE", f"/api/patients/{spare['id']}")
    desk.get("/api/lookup?phone=%2B49 30 155")
    desk.get("/api/lookup?phone=0", 404)
    desk.get("/api/lookup", 422)
    for site in ("north", "south"):
        desk.get(f"/api/sites/{site}/staff")
        desk.get(f"/api/sites/{site}/hours?on=2026-11-30")
    desk.get("/api/sites/west/hours", 404)
    desk.get("/api/languages?language=fr&language=en")


def files(t: Traffic) -> None:
    desk, path = t["desk"], f"/api/patients/{known('patient-2')}/documents"
    made = [
        desk.send(201, "POST", path, files={"file": (name, content, kind)}, data={"title": title}).json()
        for name, content, kind, title in (
            ("scan.png", _PNG, "image/png", "Scan"),
            ("letter.txt", "Grüße\n".encode() * 300, "text/plain", ""),
            ("large.pdf", b"%PDF" + bytes(60_000), "application/pdf", "Large"),
        )
    ]
    desk.send(415, "POST", path, files={"file": ("x.exe", b"MZ", "application/x-msdownload")})
    desk.send(422, "POST", path, data={"title": "nothing"})
    desk.get(path)
    for each in made:
        desk.get(f"/api/documents/{each['id']}")
        desk.get(f"/api/documents/{each['id']}/thumbnail")
    desk.get(f"/api/documents/{known('none')}", 404)
    t["books"].get("/api/patients/export.csv")
    t["books"].get("/api/patients/export.csv?site=harbour")
    desk.get("/api/patients/export.csv", 403)
    rows = "".join(f"I{number:04d},Imp{number},Örted,1970-01-{number % 28 + 1:02d}\n" for number in range(130))
    table = ("mrn,first name,last name,born on\n" + rows).encode()
    for _ in range(2):
        desk.send(
            201, "POST", "/api/patients/import", files={"file": ("new.csv", table, "text/csv")}, data={"site": "south"}
        )
    desk.send(422, "POST", "/api/patients/import", data={"site": "south"})


def booking(t: Traffic) -> None:
    desk = t["desk"]
    for _ in range(2):
        desk.get(f"/api/slots?practitioner=1&days=3&after={day(3)}T09:00:00%2B01:00")
    desk.get("/api/slots?practitioner=99", 404)
    desk.get("/api/slots?practitioner=1&after=2020-01-01T09:00:00Z", 422)
    new = {
        "patient": known("patient-1"),
        "practitioner": 1,
        "service": "checkup",
        "starts_at": f"{day(3)}T09:00:00+01:00",
    }
    made = desk.post("/api/appointments", new | {"note": "bring X-rays"}, 201).json()
    desk.post("/api/appointments", new | {"patient": known("patient-2")}, 409)
    desk.post("/api/appointments", new | {"service": "surgery"}, 404)
    desk.post("/api/appointments", {"patient": known("patient-1")}, 422)
    t["books"].post("/api/appointments", new, 403)
    others = [
        desk.post(
            "/api/appointments",
            new
            | {
                "patient": known(f"patient-{n}"),
                "starts_at": f"{day(3)}T{9 + n}:30",
                "service": ("skin", "physio")[n % 2],
            },
            201,
        ).json()
        for n in range(3, 8)
    ]
    t.settle()
    for each in (made, others[0]):
        desk.get(f"/api/appointments/{each['id']}")
    desk.get(f"/api/appointments?day={day(3)}")
    desk.get("/api/appointments?status=booked,arrived&page=2")
    desk.send(200, "PATCH", f"/api/appointments/{made['id']}", json={"starts_at": f"{day(3)}T17:00:00+01:00"})
    desk.send(422, "PATCH", f"/api/appointments/{made['id']}", json={"note": "?"})
    desk.send(200, "PATCH", f"/api/appointments/{others[0]['id']}", json={"status": "cancelled"})
    desk.send(200, "PATCH", f"/api/appointments/{others[1]['id']}", json={"status": "cancelled"})
    desk.send(409, "PATCH", f"/api/appointments/{others[0]['id']}", json={"status": "cancelled"})
    t.settle()
    desk.get("/api/waitlist")
    desk.post("/api/waitlist", {"patient": known("patient-20"), "service": "physio", "priority": 1}, 201)
    desk.post("/api/waitlist", {"patient": known("patient-20"), "service": "physio", "priority": 2})
    for number in (60, 61, 62):
        desk.post(f"/api/appointments/{known(f'appointment-{number}')}/arrive", expected=201)
    desk.post(f"/api/appointments/{known('appointment-60')}/arrive")
    doctor = t["doctor"]
    pills = [{"medication": "Ibuprofen", "dose": "0.400"}, {"medication": "Zinc", "dose": "12.5"}]
    for number, given in ((60, pills), (61, [])):
        finished = {"vitals": {"pulse": 71, "pressure": [120, 80.5]}, "prescriptions": given}
        doctor.post(f"/api/appointments/{known(f'appointment-{number}')}/finish", finished)
        doctor.get(f"/api/appointments/{known(f'appointment-{number}')}/summary")
    doctor.post(f"/api/appointments/{known('appointment-66')}/finish", {}, 404)


def overviews(t: Traffic) -> None:
    for offset in (0, 1, 20):
        t["desk"].get(f"/day/?on={day(offset)}")
    for _ in range(3):
        t["desk"].get("/api/dashboard")
    t["desk"].get("/api/sites/north/statistics")
    t["desk"].get("/api/sites/north/statistics")
    t["desk"].get("/api/reports/utilisation")
    t["desk"].get(f"/api/reports/utilisation?month={day(-40)[:7]}")
    t["books"].get("/api/reports/utilisation", 403)
    t["desk"].get(f"/api/sites/south/board?on={day(20)}")


def billing(t: Traffic) -> None:
    books = t["books"]
    made = books.post("/api/invoices", {"appointment": known("appointment-60")}, 201).json()
    books.post("/api/invoices", {"appointment": known("appointment-70")}, 404)
    path = f"/api/invoices/{made['number']}"
    books.post(f"{path}/lines", {"what": "Plaster", "price": "3.333", "quantity": 3}, 201)
    books.post(f"{path}/lines", {"what": "Bandage", "price": 4.1, "quantity": "0.5"}, 201)
    books.post(f"{path}/lines", {"what": "Bandage", "price": "four"}, 422)
    books.post(f"{path}/discount", {"percent": "12.5"})
    books.get(path)
    books.post(f"{path}/send")
    books.post(f"{path}/send", expected=409)
    books.post(f"{path}/lines", {"what": "Late", "price": 1}, 409)
    for number, amount in enumerate(("20", "100.005")):
        paid = {"invoice": made["number"], "amount": amount, "reference": f"PAY-{number}"}
        books.post("/api/payments", paid, 201)
    books.post("/api/payments", paid, 409)
    t.settle()
    books.get(path)
    books.get("/api/invoices")
    books.get("/api/invoices?status=sent")
    books.get("/api/invoices/none", 404)
    books.get("/api/invoices/export.csv")
    books.get("/api/reports/ageing")
    books.get("/api/reports/revenue")
    t["desk"].get("/api/invoices", 403)


def event(number: str, reference: str, **more: Any) -> bytes:
    return json.dumps({"id": number, "reference": reference} | more).encode()


def signature(content: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    return {"X-Signature": f"sha256={digest}", "Content-Type": "application/json"}


def claims(t: Traffic) -> None:
    books = t["books"]
    books.get("/api/claims")
    books.get("/api/claims?status=submitted")
    for number in (0, 2):
        books.post(f"/api/claims/{known(f'claim-{number}')}/submit")
    books.post(f"/api/claims/{known('claim-0')}/submit", expected=500)
    books.post("/api/claims", {"invoice": "CLM-0001", "policy": "P-none"}, 404)
    task = books.post(f"/api/claims/{known('claim-4')}/submit-later", expected=202).json()["task"]
    other = books.post(f"/api/claims/{known('flaky-0')}/submit-later", expected=202).json()["task"]
    t.settle(task, other)
    books.get(f"/api/tasks/{task}")
    books.get(f"/api/tasks/{known('no task')}")
    for number in (2, 8):
        books.get(f"/api/patients/{known(f'patient-{number}')}/eligibility")
    insurer = t.stranger()
    approved = event("e-1", "REF-1", decision="approved", amount="80.00", note={"text": "as agreed"})
    rejected = event("e-2", "REF-3", decision="rejected", reason="Ärzteliste", extra=[1, None, 2.5])
    for content in (approved, approved, rejected):
        insurer.send(200, "POST", "/webhooks/insurers/aok", content=content, headers=signature(content))
    insurer.send(401, "POST", "/webhooks/insurers/aok", content=approved, headers=signature(approved, "other"))
    insurer.send(401, "POST", "/webhooks/insurers/aok", content=rejected + b" ", headers=signature(rejected))
    insurer.send(401, "POST", "/webhooks/insurers/aok", content=rejected)
    insurer.send(404, "POST", "/webhooks/insurers/none", content=approved, headers=signature(approved))
    unknown = event("e-3", "REF-99", decision="approved")
    insurer.send(404, "POST", "/webhooks/insurers/aok", content=unknown, headers=signature(unknown))
    t.settle()


def jobs(t: Traffic) -> None:
    books = t["books"]
    books.post("/api/jobs/mark-missed", {}, 202)
    books.post("/api/jobs/send-reminders", {"arguments": [day(1)]}, 202)
    books.post(
        "/api/jobs/statements", {"arguments": [[known("patient-2"), known("patient-9"), known("patient-50")]]}, 202
    )
    books.post("/api/jobs/none", {}, 404)
    books.post("/api/jobs/mark-missed/now", {})
    books.post("/api/jobs/send-reminders/now", {"arguments": [day(3)]})
    t.settle()


def administration(t: Traffic) -> None:
    root = t["root"]
    for path in (
        "",
        "care/patient/?q=abel",
        "care/patient/?site__id__exact=1&p=2",
        "accounts/user/",
        "accounts/auditentry/",
    ):
        root.get(f"/admin/{path}")
    page = root.get("/admin/care/site/1/change/")
    form = dict(re.findall(r'<input type="(?:text|hidden)" name="([^"]+)" value="([^"]*)"', page.text))
    form |= {
        "name": "Clinic Nord",
        "opening_hours": '{"mon": ["09:00", "17:00"]}',
        "csrfmiddlewaretoken": token_of(page),
    }
    form |= {f"rooms-{n}-equipment": "scale" for n in range(4)}
    root.send(302, "POST", "/admin/care/site/1/change/", data=form)
    root.get("/admin/care/site/")
    root.get("/admin/care/site/1/history/")
    page = root.get("/admin/care/specialty/add/")
    token = token_of(page)
    root.send(
        302,
        "POST",
        "/admin/care/specialty/add/",
        data={"name": "Dentistry", "slug": "dentistry", "csrfmiddlewaretoken": token},
    )
    root.send(
        200,
        "POST",
        "/admin/care/specialty/add/",
        data={"name": "Again", "slug": "dentistry", "csrfmiddlewaretoken": token},
    )
    page = root.get("/admin/booking/appointment/?status__exact=booked")
    action = {"action": "cancel", "_selected_action": known("appointment-149"), "csrfmiddlewaretoken": token_of(page)}
    root.send(302, "POST", "/admin/booking/appointment/?status__exact=booked", data=action)
    root.get("/admin/booking/appointment/")
    root.get(f"/admin/booking/appointment/{known('appointment-100')}/change/")
    root.get(f"/admin/care/patient/{known('patient-1')}/delete/")
    t["books"].get("/admin/care/patient/")
    t["books"].get("/admin/care/site/", 403)
    t["desk"].get("/admin/", 302)
    root.get("/api/audit")
    root.get("/api/audit?model=booking.appointment")


def at_once(t: Traffic) -> None:
    """Several people at the same time, some asking for the same."""
    wanted = [
        ("desk", "/api/dashboard"), ("desk", f"/day/?on={day(2)}"), ("books", "/api/invoices/export.csv"),
        ("doctor", "/api/patients?page=2"), ("lab", "/api/patients?q=bo"), ("lab", "/api/sites/harbour/staff"),
        ("desk", "/api/patients?site=south"), ("books", "/api/claims?status=new"),
        ("root", "/admin/care/practitioner/"),
    ]  # fmt: skip
    for name, _ in wanted:
        t[name].get("/api/me")
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda pair: t[pair[0]].get(pair[1]), wanted * 2):
            pass


def failing(t: Traffic) -> None:
    """What nobody has thought of yet: see `clinic_fixes`."""
    desk, books = t["desk"], t["books"]
    desk.get(f"/api/appointments/{known('appointment-63')}/summary", 500)
    desk.get(f"/api/slots?practitioner=2&after={day(5)}T10:00", 500)
    books.post("/api/invoices/CLM-0001/lines", {"what": "Gold", "price": "9", "quantity": "1e28"}, 500)
    again = {"mrn": "M00001", "first_name": "Bo", "last_name": "Abel", "born_on": "1941-02-02", "site": "north"}
    desk.post("/api/patients", again, 500)
    noteless = event("e-9", "REF-5", decision="approved", amount="70.00")
    t.stranger().send(500, "POST", "/webhooks/insurers/aok", content=noteless, headers=signature(noteless))
    books.post(f"/api/claims/{known('claim-6')}/void", expected=403)
    t.settle(books.post("/api/jobs/refresh-statistics", {}, 202).json()["task"])
    desk.get("/api/sites/harbour/statistics", 500)
    desk.get("/api/reports/utilisation?month=2031-01", 500)
    desk.get("/api/lookup?phone=%2B49 30 104", 500)
    books.post(f"/api/claims/{known('flaky-1')}/submit", expected=500)
    desk.get(f"/api/sites/north/board?on={day(1)}", 500)
    books.get("/api/claims?status=approved", 500)
    t.settle(books.post("/api/jobs/send-reminders", {"arguments": [day(2)]}, 202).json()["task"])
    waiting = desk.get("/api/waitlist").json()["results"][0]["id"]
    desk.post(f"/api/waitlist/{waiting}/promote", expected=500)
    table = "mrn,first name,last name,born on\nL0001,Jörg,Weiß,1980-01-01\n".encode("latin-1")
    desk.send(
        500, "POST", "/api/patients/import", files={"file": ("old.csv", table, "text/csv")}, data={"site": "north"}
    )
    desk.send(500, "PATCH", f"/api/patients/{known('patient-3')}", json={"phone": "+49 30 1234567 ext. 8901"})
    desk.get("/api/patients?sort=last_visit", 500)
    books.post("/api/invoices/OLD-0001/discount", {"percent": "150"}, 500)


def leaving(t: Traffic) -> None:
    desk = t["desk"]
    while desk.client.get("/api/lookup?phone=0").status_code == 404:
        pass  # a window of the limit may have ended meanwhile
    desk.get("/api/lookup?phone=0", 429)
    page = desk.get("/day/")
    desk.send(302, "POST", "/logout", data={"csrfmiddlewaretoken": token_of(page)})
    desk.get("/api/me", 401)


PARTS = (
    signing_in, resetting_a_password, keys, patients, files, booking, overviews, billing, claims, jobs, administration,
    at_once, failing, leaving,
)  # fmt: skip
