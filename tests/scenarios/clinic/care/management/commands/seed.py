"""A clinic of three sites with staff, patients, appointments and debts; the same ones every time, around today."""

import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateRange
from django.utils import timezone

from accounts.models import ApiKey, User
from billing.models import Claim, Insurer, Invoice, InvoiceLine, Policy, WebhookEndpoint
from booking.models import Appointment, Service, Visit, WaitlistEntry
from care.models import Patient, Practitioner, Qualification, Room, Site, Specialty

NAMESPACE = uuid.UUID("5b1f1c9e-9a53-4a3e-8f0a-4b4f3c1d2e00")
STAFF = {"desk": "front desk", "doctor": "practitioners", "books": "billing", "nobody": None}
SPECIALTIES = ("general practice", "dermatology", "paediatrics", "physiotherapy")
FIRST = ("Ada", "Bo", "Chloé", "Dušan", "Emre", "Fatma", "Grete", "Håkon", "Ines", "Jörg")
LAST = ("Abel", "Brandt", "Çelik", "Dvořák", "Engel", "Fischer")
SERVICES = (("checkup", 20, "49.90"), ("skin", 30, "72.50"), ("vaccination", 10, "25.00"), ("physio", 30, "38.20"))
PATIENTS = 60
OPEN = {day: ["08:00", "18:00"] for day in ("mon", "tue", "wed", "thu", "fri")}


def known(name: str) -> uuid.UUID:
    """The id of what bears this name in every clinic that was seeded."""
    return uuid.uuid5(NAMESPACE, name)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--upstream", required=True, help="address of the insurers and other systems")
        parser.add_argument("--password", required=True, help="of every member of staff")
        parser.add_argument("--key", required=True, help="of the API")
        parser.add_argument("--secret", required=True, help="that signs messages")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        self._sites()
        self._staff(options["password"], options["key"])
        self._patients()
        self._insurers(options["upstream"], options["secret"])
        self._appointments()
        self._debts()

    def _sites(self) -> None:
        self.sites = [
            Site.objects.create(code=code, name=f"Clinic {code.title()}", opening_hours=OPEN)
            for code in ("north", "south", "harbour")
        ]
        self.rooms = [Room.objects.create(site=site, name=f"Room {n}") for site in self.sites for n in range(1, 5)]
        self.specialties = [Specialty.objects.create(slug=name.replace(" ", "-"), name=name) for name in SPECIALTIES]

    def _staff(self, password: str, key: str) -> None:
        root = User.objects.create_superuser(
            "root", "root@clinic.example", password, id=known("root"), first_name="Rita", last_name="Root"
        )
        ApiKey.objects.create(user=root, name="lab", digest=ApiKey.digest_of(key), scopes=["read"])
        for name, group in STAFF.items():
            user = User(
                id=known(name), username=name, email=f"{name}@clinic.example", site=self.sites[0],
                password=root.password, first_name=name.title(), last_name="Müller", is_staff=name == "books",
            )  # fmt: skip
            user.save(force_insert=True)
            if group:
                user.groups.add(Group.objects.get(name=group))
        self.practitioners = []
        for number in range(8):
            user = User.objects.create(
                id=known(f"practitioner-{number}"), username=f"dr{number}", email=f"dr{number}@clinic.example",
                last_name=f"Doctor{number}",
            )  # fmt: skip
            practitioner = Practitioner.objects.create(
                user=user, title="Dr.", languages=["de", "en", "fr"][: number % 3 + 1],
                hourly_rate=None if number % 4 == 3 else Decimal(60 + number),
            )  # fmt: skip
            practitioner.sites.add(self.sites[number % 3], self.sites[(number + 1) % 3])
            for specialty in self.specialties[number % 4 : number % 4 + 2]:
                Qualification.objects.create(practitioner=practitioner, specialty=specialty, since=date(2010, 1, 1))
            self.practitioners.append(practitioner)

    def _patients(self) -> None:
        self.patients = Patient.objects.bulk_create(
            Patient(
                id=known(f"patient-{number}"),
                mrn=f"M{number:05d}",
                first_name=FIRST[number % 10],
                last_name=LAST[number // 10],
                born_on=date(1940 + number, 1 + number % 12, 1 + number % 28),
                email="" if number % 9 == 8 else f"patient{number}@mail.example",
                phone=f"+49 30 {100 + (number if number > 49 else number // 2)}",
                site=self.sites[number % 3],
                general_practitioner=self.practitioners[number % 8],
                allergies=["pollen", "nuts", "latex"][: number % 4],
                details={"contact": {"language": ("de", "fr", "en")[number % 3]}} if number % 7 else {},
            )
            for number in range(PATIENTS)
        )

    def _insurers(self, upstream: str, secret: str) -> None:
        insurers = [
            Insurer.objects.create(code=code, name=name, base_url=f"{upstream}/{code}", secret=secret)
            for code, name in (("aok", "AOK"), ("tk", "Techniker"), ("flaky", "Flaky Mutual"))
        ]
        for number, patient in enumerate(self.patients):
            for insurer in insurers[: number % 4 and number % 3 + 1]:
                Policy.objects.create(
                    patient=patient, insurer=insurer, number=f"P-{insurer.code}-{number}",
                    copay_percent=Decimal("12.50"), valid=DateRange(date(2020, 1, 1), date(2099, 1, 1)),
                )  # fmt: skip
        events = ["invoice.sent", "payment.received", "claim.decided"]
        WebhookEndpoint.objects.create(url=f"{upstream}/hooks/ledger", secret=secret, events=events)
        WebhookEndpoint.objects.create(url=f"{upstream}/hooks/shaky", secret=secret, events=events[1:2])

    def _appointments(self) -> None:
        self.services = [
            Service.objects.create(
                code=code, name=code.title(), duration=timedelta(minutes=minutes), price=Decimal(price),
                specialty=self.specialties[number],
            )
            for number, (code, minutes, price) in enumerate(SERVICES)
        ]  # fmt: skip
        numbers = count()
        zone = timezone.get_current_timezone()
        rows = []
        for offset in (-40, -1, 0, 1, 2):
            first = datetime.combine(timezone.localdate() + timedelta(days=offset), time(8), zone)
            for _ in range(30):
                number = next(numbers)
                service = self.services[number % 4]
                starts_at = first + timedelta(minutes=30 * (number % 30 // 8) + (0 if number % 30 < 24 else 60))
                status = ("done", "missed", "booked", "booked")[number % 4] if offset < 0 else "booked"
                rows.append(
                    Appointment(
                        id=known(f"appointment-{number}"),
                        reference=f"S-{number:04d}",
                        patient=self.patients[number % 60],
                        practitioner=self.practitioners[number % 30 % 8],
                        service=service,
                        room=self.rooms[number % 12],
                        starts_at=starts_at,
                        ends_at=starts_at + service.duration,
                        status=status,
                    )
                )
        self.appointments = Appointment.objects.bulk_create(rows)
        done = [appointment for appointment in self.appointments if appointment.status == "done"]
        self.visits = Visit.objects.bulk_create(
            Visit(appointment=each, arrived_at=each.starts_at, ended_at=each.ends_at, vitals={"pulse": 70})
            for each in done
        )
        for number in (3, 11, 12):
            WaitlistEntry.objects.create(
                patient=self.patients[number], service=self.services[number % 4], wanted_from=timezone.localdate()
            )

    def _debts(self) -> None:
        for number, visit in enumerate(self.visits[:12]):
            patient, service = visit.appointment.patient, visit.appointment.service
            invoice = Invoice.objects.create(
                number=f"OLD-{number:04d}", patient=patient, visit=visit, total=service.price,
                status=("draft", "sent", "sent", "paid")[number % 4],
                due_on=timezone.localdate() + timedelta(days=7 * (number % 3) - 7),
            )  # fmt: skip
            InvoiceLine.objects.create(invoice=invoice, description=service.name, unit_price=service.price)
        for number, policy in enumerate(Policy.objects.select_related("insurer").order_by("number")[:14]):
            invoice = Invoice.objects.create(
                number=f"CLM-{number:04d}", patient_id=policy.patient_id, total=Decimal(100)
            )
            Claim.objects.create(
                id=known(f"claim-{number}"), invoice=invoice, policy=policy, amount=Decimal("87.50"),
                status="submitted" if number % 2 else "new", external_reference=f"REF-{number}" if number % 2 else "",
            )  # fmt: skip
        flaky = Policy.objects.filter(insurer__code="flaky").order_by("pk")[:3]
        for number, policy in enumerate(flaky):
            invoice = Invoice.objects.create(
                number=f"FLK-{number:04d}", patient_id=policy.patient_id, total=Decimal(40)
            )
            Claim.objects.create(id=known(f"flaky-{number}"), invoice=invoice, policy=policy, amount=Decimal(35))
