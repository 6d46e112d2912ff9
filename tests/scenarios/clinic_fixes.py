"""The clinic's bugs: the request that meets each, its fix as a replacement, and what the fixed code newly asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["BUGS", "Bug", "apply"]


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug.

    Attributes:
        request: method and a piece of the path, or the task, of the run that fails for it.
        status: of that request; 0 for a task.
        error: the recorded error's class name; "" where the wrong answer is a status.
        file: that is mended.
        old: what stands there.
        new: what mends it.
        asks: what the fixed code asks beyond the recording; "" where nothing.
        fixed: the guard's table [fix]: what a developer who mends it knows of the right outcome.
        replaces: whether it asks it in the place of what was recorded, which then isn't asked.
        leaves_out: whether the fixed code doesn't make an effect that the recorded run made.
        replies: by a pattern of the call, what the outside answers that nobody can make up.
        stock: SQL of what production has and the development environment lacks.
    """

    name: str
    request: str
    status: int
    error: str
    file: str
    old: str
    new: str
    asks: str
    fixed: Mapping[str, Any]
    replaces: bool = False
    leaves_out: bool = False
    replies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stock: str = ""

    @property
    def verdict(self) -> str:
        """Of the recorded run on the fixed code, as long as nobody has helped its guard."""
        if not self.asks:
            return "regressed" if self.leaves_out else "fixed"
        return "diverged" if self.replaces else "beyond"


BUGS = (
    Bug(
        "missing related row",
        "GET /summary", 500, "Appointment.visit.RelatedObjectDoesNotExist", "booking/appointments.py",
        """\
    visit = record.visit
    prescriptions = visit.prescriptions.order_by("medication")
""",
        """\
    visit = Visit.objects.filter(appointment=record).first() or Visit(appointment=record, arrived_at=None)
    prescriptions = Prescription.objects.filter(visit__appointment=record).order_by("medication")
""",
        "the look-up of the visit in other words, then its prescriptions, and whether a reminder was sent",
        {"status": 200, "body": {"prescriptions": [], "reminded": False}},
        replaces=True,
    ),
    Bug(
        "naive and aware",
        "GET /api/slots", 500, "TypeError", "booking/appointments.py",
        """\
        after = datetime.fromisoformat(given)
""",
        """\
        after = datetime.fromisoformat(given)
        after = timezone.make_aware(after) if timezone.is_naive(after) else after
""",
        "the cached slots of the day (GET), where they are missing the appointments of the day, and SET",
        {"status": 200},
    ),
    Bug(
        "quantize beyond the precision",
        "POST /lines", 500, "InvalidOperation", "billing/invoices.py",
        """\
        line = InvoiceLine(
""",
        """\
        if max(quantity, unit_price) >= Decimal(10) ** 6:
            raise ApiError(422, "too-much")
        line = InvoiceLine(
""",
        "",
        {"status": 422, "body": {"error": "too-much"}},
    ),
    Bug(
        "duplicate record number",
        "POST /api/patients", 500, "IntegrityError", "care/patients.py",
        '''\
    patient.save(force_insert=True)
    audit(request.user, "new-patient"''',
        '''\
    try:
        with transaction.atomic():
            patient.save(force_insert=True)
    except IntegrityError as error:
        raise ApiError(409, "known-number", id=str(Patient.objects.get(mrn=mrn).pk)) from error
    audit(request.user, "new-patient"''',
        "a SELECT of the patient with that number, after the recorded error",
        {"status": 409, "body": {"error": "known-number"}},
    ),
    Bug(
        "optional JSON key",
        "POST /webhooks/insurers/aok", 500, "KeyError", "billing/claims.py",
        """event["note"]["text"]""",
        """event.get("note", {}).get("text", "")""",
        "UPDATE of the claim, the audit entry, COMMIT, the webhooks to tell and their deliveries",
        {"status": 200, "body": {"status": "approved"}},
    ),
    Bug(
        "permission without its app",
        "POST /void", 403, "", "billing/claims.py",
        """\
    if not request.user.has_perm("void_claim"):
""",
        """\
    if not request.user.has_perm("billing.void_claim"):
""",
        "BEGIN, the locked claim, its UPDATE, the audit entry, COMMIT",
        {"status": 200, "body": {"status": "void"}},
    ),
    Bug(
        "stale shape in the cache",
        "GET /statistics", 500, "KeyError", "booking/overviews.py",
        """\
    if figures is None:
""",
        """\
    if figures is None or not figures.keys() >= {"done", "arrived", "missed"}:
""",
        "the figures of the site anew (SELECT), and SET of them",
        {"status": 200},
    ),
    Bug(
        "division by zero",
        "GET /api/reports/utilisation", 500, "ZeroDivisionError", "booking/overviews.py",
        """\
    missed_percent = round(100 * totals["missed"] / totals["all"], 1)
""",
        """\
    if not totals["all"]:
        latest = Appointment.objects.order_by("-starts_at").values_list("starts_at", flat=True).first()
        return JsonResponse({"missed_percent": None, "latest": latest})
    missed_percent = round(100 * totals["missed"] / totals["all"], 1)
""",
        "a SELECT of the latest appointment",
        {"status": 200},
    ),
    Bug(
        "two of one number",
        "GET /api/lookup", 500, "Patient.MultipleObjectsReturned", "care/patients.py",
        """\
        record = Patient.objects.select_related("site").get(phone=number)
    except Patient.DoesNotExist:
""",
        """\
        record = Patient.objects.select_related("site").filter(phone=number).order_by("born_on")[:1].get()
    except Patient.DoesNotExist:
""",
        "the patients in another order and number, then the policies of the first",
        {"status": 200},
        replaces=True,
    ),
    Bug(
        "upstream's 502",
        "POST /submit", 500, "HTTPError", "billing/claims.py",
        """\
        response = requests.post(
            f"{insurer.base_url}/claims",
            data=content,
            headers=_signed(insurer, content),
            timeout=settings.UPSTREAM_TIMEOUT_S,
        )
        response.raise_for_status()
""",
        """\
        for _ in range(2):
            response = requests.post(
                f"{insurer.base_url}/claims",
                data=content,
                headers=_signed(insurer, content),
                timeout=settings.UPSTREAM_TIMEOUT_S,
            )
            if response.status_code != requests.codes.bad_gateway:
                break
        response.raise_for_status()
""",
        "the same POST once more, then UPDATE, the audit entry, COMMIT and a SELECT",
        {"status": 200, "body": {"reference": "FLAKY-1"}},
        replies={"http_client POST */flaky/claims": {"status": 201, "json": {"reference": "FLAKY-1"}}},
    ),
    Bug(
        "a patient without a policy, and a statement for each row",
        "GET /board", 500, "AttributeError", "booking/overviews.py",
        """\
    for appointment in Appointment.objects.filter(starts_at__date=_day(request), patient__site=site).order_by(
        "reference"
    ):
        policy = appointment.patient.policies.order_by("pk").first()
""",
        """\
    listed = Appointment.objects.filter(starts_at__date=_day(request), patient__site=site).order_by("reference")
    for appointment in listed.select_related("patient").prefetch_related("patient__policies__insurer"):
        policy = next(iter(appointment.patient.policies.all()), None)
        if policy is None:
            continue
""",
        "three SELECTs in the place of three for each row",
        {"status": 200},
        replaces=True,
    ),
    Bug(
        "a column that isn't selected",
        "GET /api/claims", 500, "KeyError", "billing/claims.py",
        """.values("id", "status", "amount", "policy__insurer__code")""",
        """.values("id", "status", "amount", "approved_amount", "policy__insurer__code")""",
        "the same SELECT with one column more",
        {"status": 200},
        replaces=True,
    ),
    Bug(
        "lock outside of a transaction",
        "POST /promote", 500, "TransactionManagementError", "booking/appointments.py",
        """\
    entry = WaitlistEntry.objects.select_for_update().select_related("patient", "service").get(pk=pk)
    entry.offered_at = timezone.now()
    entry.save(update_fields=["offered_at"])
    audit(request.user, "promote", entry)
""",
        """\
    with transaction.atomic():
        entry = WaitlistEntry.objects.select_for_update(of=("self",)).select_related("patient", "service").get(pk=pk)
        entry.offered_at = timezone.now()
        entry.save(update_fields=["offered_at"])
        audit(request.user, "promote", entry)
""",
        "BEGIN, the locked entry, UPDATE, the audit entry, COMMIT",
        {"status": 200, "body": {"service": "Physio"}},
        stock="INSERT INTO booking_waitlistentry (id, patient_id, service_id, wanted_from, priority, created_at)"
        " SELECT 4, care_patient.id, booking_service.id, current_date, 2, now() FROM care_patient, booking_service"
        " WHERE care_patient.mrn = 'M00020' AND booking_service.code = 'physio'",
    ),
    Bug(
        "a file in Latin-1",
        "POST /api/patients/import", 500, "UnicodeDecodeError", "care/patients.py",
        """\
    text = uploaded.read().decode("utf-8-sig")
""",
        """\
    content = uploaded.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252")
""",
        "a count, BEGIN, INSERT of the patients, the audit entry, COMMIT, and the count again",
        {"status": 201},
    ),
    Bug(
        "a value too long for its column",
        "PATCH /api/patients/", 500, "DataError", "care/patients.py",
        """\
            setattr(record, name, value)
""",
        """\
            setattr(record, name, value)
        record.clean_fields(exclude=set(_field_names()) - changes.keys())
""",
        "",
        {"status": 422},
        leaves_out=True,
    ),
    Bug(
        "never seen before",
        "GET /api/patients", 500, "TypeError", "care/patients.py",
        """\
        rows = sorted(queryset, key=lambda patient: patient.last_visit, reverse=True)
        return JsonResponse({"count": len(rows), "results": [_listed(row) for row in rows[:20]]})
""",
        """\
        rows = queryset.order_by(F("last_visit").desc(nulls_last=True), "mrn")
        return JsonResponse({"count": rows.count(), "results": [_listed(row) for row in rows[:20]]})
""",
        "a count, and the listing in another order and cut",
        {"status": 200},
        replaces=True,
    ),
    Bug(
        "a discount of more than everything",
        "POST /discount", 500, "IntegrityError", "billing/invoices.py",
        """\
        record.discount_percent = Decimal(str(percent))
""",
        """\
        record.discount_percent = Decimal(str(percent))
        if not 0 <= record.discount_percent <= 100:
            raise ApiError(422, "percent")
""",
        "",
        {"status": 422, "body": {"error": "percent"}},
        leaves_out=True,
    ),
    Bug(
        "an argument given twice",
        "POST /submit", 500, "TypeError", "billing/claims.py",
        """"already-submitted", status=claim.status""",
        """"already-submitted", now=claim.status""",
        "",
        {"status": 409, "body": {"error": "already-submitted"}},
    ),
    Bug(
        "optional JSON key in a task",
        "booking.tasks.send_reminders", 0, "KeyError", "booking/tasks.py",
        """appointment.patient.details["contact"]["language"]""",
        """appointment.patient.details.get("contact", {}).get("language")""",
        "the mails to those who come, by one connection, and the INSERT of the reminders",
        {"returns": {"skipped": 0}},
    ),
)  # fmt: skip
"""Some of a request's runs succeed: a run is the bug's where its error is."""

_IMPORTS = (
    ("care/patients.py", "from django.db import transaction\n", "from django.db import IntegrityError, transaction\n"),
    (
        "care/patients.py",
        "def _patient(pk: str) -> Patient:\n",
        """\
def _field_names() -> list[str]:
    return [field.name for field in Patient._meta.fields]


def _patient(pk: str) -> Patient:
""",
    ),
)


def apply(root: Path) -> None:
    """Mend every bug in a copy of the clinic."""
    for file, old, new in (*_IMPORTS, *((bug.file, bug.old, bug.new) for bug in BUGS)):
        path = root / file
        text = path.read_text()
        assert old in text, (file, old)
        path.write_text(text.replace(old, new, 1))
