"""What the worker does for appointments: confirmations, offers, reminders, nightly figures."""

import logging
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.core.cache import cache
from django.core.mail import EmailMultiAlternatives, get_connection, send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from booking.models import Appointment, Reminder, WaitlistEntry
from care.models import Site

logger = logging.getLogger("clinic.booking")


@shared_task(bind=True, max_retries=2)
def send_confirmation(self: Any, pk: str) -> str:
    """Mail a patient what was booked."""
    appointment = Appointment.objects.select_related("patient", "service", "practitioner__user").get(pk=pk)
    if not appointment.patient.email:
        return "no address"
    context = {"appointment": appointment, "starts_at": timezone.localtime(appointment.starts_at)}
    message = EmailMultiAlternatives(
        subject=f"Your appointment {appointment.reference}",
        body=render_to_string("mails/confirmation.txt", context),
        to=[appointment.patient.email],
        headers={"X-Reference": appointment.reference},
    )
    message.attach_alternative(render_to_string("mails/confirmation.html", context), "text/html")
    message.attach("appointment.ics", f"DTSTART:{appointment.starts_at:%Y%m%dT%H%M%SZ}\r\n", "text/calendar")
    message.send()
    cache.add("counter:mails", 0, timeout=None)
    cache.incr("counter:mails")
    return appointment.reference


@shared_task
def offer_slot(pk: str) -> int | None:
    """Offer a slot that became free to whoever has waited longest for that service."""
    appointment = Appointment.objects.get(pk=pk)
    with transaction.atomic():
        entry = (
            WaitlistEntry.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("patient")
            .filter(offered_at=None, service=appointment.service_id)
            .first()
        )
        if entry is None:
            return None
        entry.offered_at = timezone.now()
        entry.save(update_fields=["offered_at"])
    when = timezone.localtime(appointment.starts_at)
    send_mail("A slot is free", f"On {when:%d %B at %H:%M}. Call us.", None, [entry.patient.email])
    return entry.pk


@shared_task
def send_reminders(day: str) -> dict[str, int]:
    """Remind everybody who comes on a day, by one connection to the mail server."""
    due = (
        Appointment.objects.filter(starts_at__date=day, status=Appointment.Status.BOOKED)
        .exclude(reminders__channel="mail")
        .select_related("patient", "service")
        .order_by("starts_at", "reference")
    )
    sent, skipped = [], 0
    with get_connection() as connection:
        for appointment in due[:5]:
            language = appointment.patient.details["contact"]["language"]
            greeting = {"de": "Guten Tag", "fr": "Bonjour"}.get(language, "Hello")
            if not appointment.patient.email:
                skipped += 1
                continue
            text = f"{greeting} {appointment.patient.first_name}: {appointment.service.name}, {appointment.starts_at}"
            send_mail("Reminder", text, None, [appointment.patient.email], connection=connection)
            sent.append(Reminder(appointment=appointment, sent_at=timezone.now()))
    Reminder.objects.bulk_create(sent, ignore_conflicts=True)
    return {"sent": len(sent), "skipped": skipped}


@shared_task
def mark_missed() -> int:
    """Whoever didn't come until yesterday's end has missed the appointment."""
    end = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    late = Appointment.objects.filter(
        status=Appointment.Status.BOOKED, ends_at__lt=end, ends_at__gte=end - timedelta(days=2)
    )
    return late.update(status=Appointment.Status.MISSED)


@shared_task
def refresh_statistics() -> list[str]:
    """Nightly figures of each site, for the day's first visitors."""
    figures = {}
    for site in Site.objects.prefetch_related("patients"):
        done = Appointment.objects.filter(patient__site=site, status=Appointment.Status.DONE).count()
        missed = Appointment.objects.filter(patient__site=site, status=Appointment.Status.MISSED).count()
        figures[f"statistics:{site.code}"] = {"done": done, "missed": missed}
    failed = cache.set_many(figures, timeout=86_400)
    logger.info("figures of %d sites", len(figures))
    return failed


@shared_task
def ping(number: int) -> int:
    """Answers; what was sent before has been done by then."""
    return number
