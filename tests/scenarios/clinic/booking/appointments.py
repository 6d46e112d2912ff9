"""Appointments: free slots, booking, moving, cancelling, arrival and the waiting list."""

import secrets
from datetime import date, datetime, time, timedelta
from typing import Any

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Avg, F, Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from accounts.models import audit
from booking import tasks
from booking.models import Appointment, Prescription, Service, Visit, WaitlistEntry
from care.models import Patient, Practitioner, Room
from config.api import ApiError, body_of, endpoint, found, page_of, required

_DAY_STARTS = time(8)
_DAY_ENDS = time(18)


def shown(appointment: Appointment) -> dict[str, Any]:
    return {
        "id": str(appointment.pk),
        "reference": appointment.reference,
        "patient": str(appointment.patient),
        "practitioner": str(appointment.practitioner),
        "service": appointment.service.code,
        "room": appointment.room.name if appointment.room else None,
        "starts_at": timezone.localtime(appointment.starts_at),
        "minutes": int((appointment.ends_at - appointment.starts_at).total_seconds() // 60),
        "status": appointment.status,
    }


def _all() -> Any:
    return Appointment.objects.select_related("patient", "practitioner__user", "service", "room")


def _day_version(practitioner_id: int, day: date) -> str:
    return f"slots:{practitioner_id}:{day}"


def free_slots(practitioner: Practitioner, day: date) -> list[datetime]:
    """Starts of the free half hours of a day; cached until an appointment of that day changes."""

    def compute() -> list[datetime]:
        zone = timezone.get_current_timezone()
        start = datetime.combine(day, _DAY_STARTS, zone)
        end = datetime.combine(day, _DAY_ENDS, zone)
        taken = list(
            practitioner.appointments.filter(starts_at__lt=end, ends_at__gt=start)
            .exclude(status=Appointment.Status.CANCELLED)
            .values_list("starts_at", "ends_at")
        )
        slots = [start + timedelta(minutes=30 * number) for number in range(20)]
        return [
            slot
            for slot in slots
            if not any(slot < ends and slot + timedelta(minutes=30) > starts for starts, ends in taken)
        ]

    return cache.get_or_set(_day_version(practitioner.pk, day), compute, timeout=900)


@endpoint("GET")
def slots(request: HttpRequest) -> HttpResponse:
    practitioner = found(Practitioner.objects.all(), pk=request.GET.get("practitioner"))
    after = timezone.now()
    if given := request.GET.get("after"):
        after = datetime.fromisoformat(given)
    if after < timezone.now() - timedelta(days=1):
        raise ApiError(422, "in-the-past")
    days = [timezone.localdate(after) + timedelta(days=number) for number in range(int(request.GET.get("days", "1")))]
    free = [slot for day in days for slot in free_slots(practitioner, day) if slot >= after]
    return JsonResponse({"practitioner": practitioner.pk, "slots": free})


@endpoint("GET", "POST")
def appointments(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _book(request)
    queryset = _all().order_by("starts_at", "reference")
    if day := request.GET.get("day"):
        queryset = queryset.filter(starts_at__date=day)
    if status := request.GET.get("status"):
        queryset = queryset.filter(status__in=status.split(","))
    return page_of(request, queryset, shown)


def _book(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("booking.add_appointment"):
        raise ApiError(403, "forbidden")
    body = body_of(request)
    patient_id, practitioner_id, service_code, starts = required(
        body, "patient", "practitioner", "service", "starts_at"
    )
    service = found(Service.objects.all(), code=service_code)
    starts_at = datetime.fromisoformat(starts)
    if timezone.is_naive(starts_at):
        starts_at = timezone.make_aware(starts_at)
    with transaction.atomic():
        practitioner = found(
            Practitioner.objects.select_for_update(of=("self",)).select_related("user"), pk=practitioner_id
        )
        patient = found(Patient.objects.all(), pk=patient_id)
        appointment = Appointment(
            reference=f"A-{secrets.token_hex(4)}",
            patient=patient,
            practitioner=practitioner,
            service=service,
            room=_free_room(patient.site_id, starts_at, starts_at + service.duration),
            starts_at=starts_at,
            ends_at=starts_at + service.duration,
            note=body.get("note", ""),
            created_by=request.user,
        )
        try:
            with transaction.atomic():
                appointment.save(force_insert=True)
        except IntegrityError as error:
            if "practitioner_is_busy" not in str(error):
                raise
            raise ApiError(409, "busy", free=free_slots(practitioner, timezone.localdate(starts_at))[:3]) from error
        audit(request.user, "book", appointment, reference=appointment.reference)
        transaction.on_commit(lambda: _changed(appointment))
        transaction.on_commit(lambda: tasks.send_confirmation.delay(str(appointment.pk)))
    return JsonResponse(shown(appointment) | {"created_at": appointment.created_at}, status=201)


def _free_room(site_id: int, starts_at: datetime, ends_at: datetime) -> Room | None:
    taken = Appointment.objects.filter(starts_at__lt=ends_at, ends_at__gt=starts_at, room__site_id=site_id)
    rooms = Room.objects.filter(site_id=site_id).exclude(pk__in=taken.values("room"))
    return rooms.select_for_update(skip_locked=True).order_by("name").first()


def _changed(appointment: Appointment) -> None:
    """Forget what is cached of the day, and count the change for those who poll."""
    day = timezone.localdate(appointment.starts_at)
    cache.delete(_day_version(appointment.practitioner_id, day))
    key = f"changes:{day}"
    cache.add(key, 0, timeout=86_400)
    cache.incr(key)


@endpoint("GET", "PATCH")
def appointment(request: HttpRequest, pk: str) -> HttpResponse:
    if request.method == "GET":
        return JsonResponse(shown(found(_all(), pk=pk)))
    if not request.user.has_perm("booking.change_appointment"):
        raise ApiError(403, "forbidden")
    body = body_of(request)
    with transaction.atomic():
        record = found(_all().select_for_update(of=("self",)), pk=pk)
        if record.status != Appointment.Status.BOOKED:
            raise ApiError(409, "not-booked", now=record.status)
        if body.get("status") == "cancelled":
            record.status = Appointment.Status.CANCELLED
            transaction.on_commit(lambda: tasks.offer_slot.delay(str(record.pk)))
        elif "starts_at" in body:
            moved = datetime.fromisoformat(body["starts_at"])
            record.ends_at += moved - record.starts_at
            record.starts_at = moved
        else:
            raise ApiError(422, "nothing-to-do")
        record.save(update_fields=["status", "starts_at", "ends_at", "updated_at"])
        audit(request.user, "change-appointment", record, status=record.status)
        transaction.on_commit(lambda: _changed(record))
    return JsonResponse(shown(record))


@endpoint("POST", permission="booking.add_visit")
def arrive(request: HttpRequest, pk: str) -> HttpResponse:
    with transaction.atomic():
        record = found(_all().select_for_update(of=("self",)), pk=pk)
        visit, new = Visit.objects.get_or_create(appointment=record)
        if new:
            Appointment.objects.filter(pk=pk).update(status=Appointment.Status.ARRIVED, updated_at=Now())
            visit.refresh_from_db(fields=["arrived_at"])
    waiting = Appointment.objects.filter(
        practitioner=record.practitioner_id, status=Appointment.Status.ARRIVED, starts_at__lt=record.starts_at
    ).count()
    return JsonResponse({"arrived_at": visit.arrived_at, "before": waiting}, status=201 if new else 200)


@endpoint("GET", permission="booking.view_visit")
def summary(request: HttpRequest, pk: str) -> HttpResponse:
    """What the front desk prints."""
    record = found(_all(), pk=pk)
    visit = record.visit
    prescriptions = visit.prescriptions.order_by("medication")
    return JsonResponse(
        shown(record)
        | {
            "arrived_at": visit.arrived_at,
            "prescriptions": [str(each) for each in prescriptions],
            "reminded": record.reminders.filter(sent_at__isnull=False).exists(),
        }
    )


@endpoint("POST", permission="booking.change_visit")
def finish(request: HttpRequest, pk: str) -> HttpResponse:
    """End a visit with its vitals and prescriptions, all or nothing."""
    body = body_of(request)
    with transaction.atomic():
        visit = found(Visit.objects.select_for_update(of=("self",)).select_related("appointment"), appointment=pk)
        visit.vitals = body.get("vitals", {})
        visit.ended_at = timezone.now()
        visit.save()
        Prescription.objects.bulk_create(
            Prescription(visit=visit, medication=each["medication"], dose=each["dose"])
            for each in body.get("prescriptions", [])
        )
        visit.appointment.status = Appointment.Status.DONE
        visit.appointment.save(update_fields=["status", "updated_at"])
    average = Visit.objects.filter(ended_at__isnull=False).aggregate(took=Avg(F("ended_at") - F("arrived_at")))["took"]
    return JsonResponse({"prescriptions": visit.prescriptions.count(), "known_average": average is not None})


# -- the waiting list


@endpoint("GET", "POST", permission="booking.view_waitlistentry")
def waitlist(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        entries = WaitlistEntry.objects.filter(offered_at=None).select_related("patient", "service")
        return page_of(
            request, entries, lambda entry: {"id": entry.pk, "who": str(entry.patient), "priority": entry.priority}
        )
    body = body_of(request)
    patient_id, service_code = required(body, "patient", "service")
    entry, new = WaitlistEntry.objects.update_or_create(
        patient=found(Patient.objects.all(), pk=patient_id),
        service=found(Service.objects.all(), code=service_code),
        offered_at=None,
        defaults={"priority": body.get("priority", 5), "wanted_from": timezone.localdate()},
    )
    before = WaitlistEntry.objects.filter(
        Q(priority__lt=entry.priority), service=entry.service, offered_at=None
    ).count()
    return JsonResponse({"id": entry.pk, "before": before}, status=201 if new else 200)


@endpoint("POST", permission="booking.change_waitlistentry")
def promote(request: HttpRequest, pk: int) -> HttpResponse:
    """Offer this patient the next free slot."""
    entry = WaitlistEntry.objects.select_for_update().select_related("patient", "service").get(pk=pk)
    entry.offered_at = timezone.now()
    entry.save(update_fields=["offered_at"])
    audit(request.user, "promote", entry)
    return JsonResponse({"offered": str(entry.patient), "service": entry.service.name})
