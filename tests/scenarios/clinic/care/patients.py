"""Patients: listing, record, lookup, import and export."""

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.db.models import Count, F, Max, OuterRef, Q, Subquery, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils import timezone

from accounts.models import audit
from billing.models import Policy
from booking.models import Appointment
from care.models import Patient, Practitioner, Site
from config.api import ApiError, body_of, endpoint, found, page_of, required

_EDITABLE = ("first_name", "last_name", "email", "phone", "allergies", "details")


def shown(patient: Patient) -> dict[str, Any]:
    return {
        "id": str(patient.pk),
        "mrn": patient.mrn,
        "name": str(patient),
        "born_on": patient.born_on,
        "email": patient.email,
        "phone": patient.phone,
        "site": patient.site.code,
        "allergies": patient.allergies,
        "details": patient.details,
        "updated_at": patient.updated_at,
    }


@endpoint("GET", "POST", permission="care.view_patient")
def patients(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _create(request)
    queryset = Patient.objects.select_related("site").annotate(
        appointments_count=Count("appointments", filter=~Q(appointments__status=Appointment.Status.CANCELLED)),
        last_visit=Max("appointments__visit__arrived_at"),
        next_at=Subquery(
            Appointment.objects.filter(patient=OuterRef("pk"), starts_at__gt=timezone.now())
            .order_by("starts_at")
            .values("starts_at")[:1]
        ),
    )
    queryset = _filtered(request, queryset)
    if request.GET.get("sort") == "last_visit":
        rows = sorted(queryset, key=lambda patient: patient.last_visit, reverse=True)
        return JsonResponse({"count": len(rows), "results": [_listed(row) for row in rows[:20]]})
    return page_of(request, queryset.order_by("last_name", "first_name", "mrn"), _listed)


def _filtered(request: HttpRequest, queryset: Any) -> Any:
    if word := request.GET.get("q"):
        queryset = queryset.annotate(name=Concat("first_name", Value(" "), "last_name")).filter(
            Q(name__icontains=word) | Q(mrn__startswith=word)
        )
    if site := request.GET.get("site"):
        queryset = queryset.filter(site__code=site)
    if allergy := request.GET.get("allergy"):
        queryset = queryset.filter(allergies__contains=[allergy])
    if language := request.GET.get("language"):
        queryset = queryset.filter(details__contact__language=language)
    return queryset


def _listed(patient: Any) -> dict[str, Any]:
    return shown(patient) | {
        "appointments": patient.appointments_count,
        "last_visit": patient.last_visit,
        "next_at": patient.next_at,
    }


def _create(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("care.add_patient"):
        raise ApiError(403, "forbidden")
    body = body_of(request)
    mrn, first_name, last_name, born_on, site = required(body, "mrn", "first_name", "last_name", "born_on", "site")
    patient = Patient(
        mrn=mrn,
        first_name=first_name,
        last_name=last_name,
        born_on=date.fromisoformat(born_on),
        site=found(Site.objects.all(), code=site),
        email=body.get("email", ""),
        phone=body.get("phone", ""),
        allergies=body.get("allergies", []),
        details=body.get("details", {}),
    )
    patient.full_clean(exclude=["site"], validate_unique=False, validate_constraints=False)
    patient.save(force_insert=True)
    audit(request.user, "new-patient", patient, mrn=mrn)
    return JsonResponse(shown(patient), status=201)


@endpoint("GET", "PATCH", "DELETE", permission="care.view_patient")
def patient(request: HttpRequest, pk: str) -> HttpResponse:
    if request.method == "GET":
        return JsonResponse(cache.get_or_set(f"patient:{pk}", lambda: shown(_patient(pk)), timeout=120))
    if not request.user.has_perm("care.change_patient"):
        raise ApiError(403, "forbidden")
    with transaction.atomic():
        record = found(Patient.objects.select_for_update(of=("self",)).select_related("site"), pk=pk)
        if request.method == "DELETE":
            if record.appointments.exists():
                raise ApiError(409, "has-appointments")
            record.delete()
            return HttpResponse(status=204)
        changes = {name: value for name, value in body_of(request).items() if name in _EDITABLE}
        for name, value in changes.items():
            setattr(record, name, value)
        record.save(update_fields=[*changes, "updated_at"])
        audit(request.user, "change-patient", record, fields=sorted(changes))
    return JsonResponse(shown(record))


def _patient(pk: str) -> Patient:
    return found(Patient.objects.select_related("site"), pk=pk)


@endpoint("GET", permission="care.view_patient")
def lookup(request: HttpRequest) -> HttpResponse:
    """Who is calling? By the number that the telephone shows."""
    number = request.GET.get("phone", "").strip()
    if not number:
        raise ApiError(422, "missing", fields=["phone"])
    try:
        record = Patient.objects.select_related("site").get(phone=number)
    except Patient.DoesNotExist:
        raise ApiError(404, "unknown-number") from None
    policies = Policy.objects.filter(patient=record, valid__contains=timezone.localdate()).select_related("insurer")
    return JsonResponse(shown(record) | {"insurers": [policy.insurer.name for policy in policies]})


@endpoint("GET", permission="care.view_patient")
def timeline(request: HttpRequest, pk: str) -> HttpResponse:
    """Appointments, documents and invoices of a patient, newest first."""
    record = _patient(pk)
    appointments = record.appointments.values_list("starts_at", Value("appointment"), "reference")
    documents = record.documents.values_list("uploaded_at", Value("document"), "title")
    invoices = record.invoices.values_list("created_at", Value("invoice"), "number")
    rows = appointments.union(documents, invoices, all=True).order_by("-starts_at")[:50]
    return JsonResponse({"events": [{"at": at, "what": what, "name": name} for at, what, name in rows]})


@endpoint("GET", permission="care.view_patient")
def colleagues(request: HttpRequest, code: str) -> HttpResponse:
    """Who works at a site, with what they are qualified for."""
    staff = (
        Practitioner.objects.filter(sites__code=code, active=True)
        .select_related("user")
        .prefetch_related("specialties", "sites")
        .annotate(load=Count("appointments", filter=Q(appointments__starts_at__date=timezone.localdate())))
        .order_by(F("hourly_rate").desc(nulls_last=True), "pk")
    )
    return JsonResponse(
        {
            "staff": [
                {
                    "name": str(each),
                    "rate": each.hourly_rate,
                    "languages": each.languages,
                    "specialties": [specialty.name for specialty in each.specialties.all()],
                    "sites": [site.code for site in each.sites.all()],
                    "today": each.load,
                }
                for each in staff
            ]
        }
    )


@endpoint("GET")
def opening_hours(request: HttpRequest, code: str) -> HttpResponse:
    site = found(Site.objects.all(), code=code)
    day = datetime.fromisoformat(request.GET["on"]).date() if "on" in request.GET else timezone.localdate()
    hours = site.opening_hours.get(day.strftime("%a").lower())
    return JsonResponse({"site": site.name, "day": day, "hours": hours, "rooms": site.rooms.count()})


# -- import and export


class _Echo:
    def write(self, text: str) -> str:
        return text


@endpoint("GET", permission="care.export_patient")
def export(request: HttpRequest) -> HttpResponse:
    """All patients as CSV, streamed."""
    rows = _filtered(request, Patient.objects.order_by("mrn")).values_list("mrn", "last_name", "first_name", "born_on")
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield writer.writerow(("mrn", "last name", "first name", "born on"))
        for row in rows.iterator(chunk_size=25):
            yield writer.writerow(row)

    disposition = 'attachment; filename="patients.csv"'
    return StreamingHttpResponse(lines(), content_type="text/csv", headers={"Content-Disposition": disposition})


@endpoint("POST", permission="care.add_patient")
def import_file(request: HttpRequest) -> HttpResponse:
    """New patients from a CSV file; known record numbers are left as they are."""
    uploaded = request.FILES.get("file")
    if uploaded is None:
        raise ApiError(422, "missing", fields=["file"])
    site = found(Site.objects.all(), code=request.POST.get("site", ""))
    text = uploaded.read().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    before = Patient.objects.count()
    with transaction.atomic():
        Patient.objects.bulk_create(
            [
                Patient(
                    mrn=row["mrn"],
                    first_name=row["first name"],
                    last_name=row["last name"],
                    born_on=date.fromisoformat(row["born on"]),
                    site=site,
                )
                for row in rows
            ],
            batch_size=100,
            ignore_conflicts=True,
        )
        audit(request.user, "import", site, rows=len(rows), name=uploaded.name)
    return JsonResponse({"rows": len(rows), "new": Patient.objects.count() - before}, status=201)
