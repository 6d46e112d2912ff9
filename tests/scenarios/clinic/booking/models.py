"""Appointments and what comes of them."""

import uuid
from datetime import timedelta

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now


class TsTzRange(Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class Service(models.Model):
    code = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    duration = models.DurationField(default=timedelta(minutes=20))
    price = models.DecimalField(max_digits=8, decimal_places=2)
    specialty = models.ForeignKey("care.Specialty", models.SET_NULL, null=True, blank=True, related_name="services")

    def __str__(self) -> str:
        return self.name


class Appointment(models.Model):
    class Status(models.TextChoices):
        BOOKED = "booked"
        ARRIVED = "arrived"
        DONE = "done"
        CANCELLED = "cancelled"
        MISSED = "missed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reference = models.CharField(max_length=12, unique=True)
    patient = models.ForeignKey("care.Patient", models.PROTECT, related_name="appointments")
    practitioner = models.ForeignKey("care.Practitioner", models.PROTECT, related_name="appointments")
    service = models.ForeignKey(Service, models.PROTECT, related_name="appointments")
    room = models.ForeignKey("care.Room", models.SET_NULL, null=True, blank=True, related_name="appointments")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    length = models.GeneratedField(
        expression=F("ends_at") - F("starts_at"), output_field=models.DurationField(), db_persist=True
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.BOOKED)
    note = models.TextField(blank=True)
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="appointment_takes_time"),
            ExclusionConstraint(
                name="practitioner_is_busy",
                expressions=(
                    (TsTzRange("starts_at", "ends_at", RangeBoundary()), RangeOperators.OVERLAPS),
                    ("practitioner", RangeOperators.EQUAL),
                ),
                condition=~Q(status="cancelled"),
            ),
        )
        indexes = (
            models.Index(fields=("practitioner", "starts_at"), name="appointment_by_day"),
            models.Index(fields=("starts_at",), condition=Q(status="booked"), name="appointment_open"),
        )
        permissions = (("see_day_sheet", "Can see the day sheet"),)

    def __str__(self) -> str:
        return self.reference


class WaitlistEntry(models.Model):
    patient = models.ForeignKey("care.Patient", models.CASCADE, related_name="waiting")
    service = models.ForeignKey(Service, models.CASCADE, related_name="waiting")
    practitioner = models.ForeignKey("care.Practitioner", models.CASCADE, null=True, blank=True)
    wanted_from = models.DateField()
    priority = models.PositiveSmallIntegerField(default=5)
    offered_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("patient", "service"), condition=Q(offered_at=None), name="waiting_once_for_service"
            ),
        )
        ordering = ("priority", "created_at", "id")

    def __str__(self) -> str:
        return f"{self.patient_id} for {self.service_id}"


class Reminder(models.Model):
    appointment = models.ForeignKey(Appointment, models.CASCADE, related_name="reminders")
    channel = models.CharField(max_length=10, default="mail")
    sent_at = models.DateTimeField(null=True, blank=True)
    message_id = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("appointment", "channel"), name="reminded_once"),)

    def __str__(self) -> str:
        return f"{self.channel} for {self.appointment_id}"


class Visit(models.Model):
    appointment = models.OneToOneField(Appointment, models.CASCADE, related_name="visit")
    arrived_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    vitals = models.JSONField(default=dict, blank=True)
    notes = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"visit of {self.appointment_id}"


class Prescription(models.Model):
    visit = models.ForeignKey(Visit, models.CASCADE, related_name="prescriptions")
    medication = models.CharField(max_length=80)
    dose = models.DecimalField(max_digits=8, decimal_places=3)
    unit = models.CharField(max_length=8, default="mg")
    repeats = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.medication} {self.dose} {self.unit}"
