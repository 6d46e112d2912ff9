"""Where care is given, by whom, and to whom."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower

from care.storage import BlobStorage


class Site(models.Model):
    code = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    time_zone = models.CharField(max_length=40, default="Europe/Berlin")
    opening_hours = models.JSONField(default=dict)
    open_since = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ("code",)

    def __str__(self) -> str:
        return self.name


class Room(models.Model):
    site = models.ForeignKey(Site, models.CASCADE, related_name="rooms")
    name = models.CharField(max_length=40)
    equipment = ArrayField(models.CharField(max_length=30), default=list, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("site", "name"), name="room_once_in_site"),)
        ordering = ("site", "name")

    def __str__(self) -> str:
        return self.name


class Specialty(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)

    class Meta:
        verbose_name_plural = "specialties"

    def __str__(self) -> str:
        return self.name


class Practitioner(models.Model):
    user = models.OneToOneField("accounts.User", models.PROTECT, related_name="practitioner")
    title = models.CharField(max_length=20, blank=True)
    sites = models.ManyToManyField(Site, related_name="practitioners")
    specialties = models.ManyToManyField(Specialty, through="Qualification", related_name="practitioners")
    languages = ArrayField(models.CharField(max_length=5), default=list)
    hourly_rate = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"{self.title} {self.user.last_name}".strip()


class Qualification(models.Model):
    practitioner = models.ForeignKey(Practitioner, models.CASCADE)
    specialty = models.ForeignKey(Specialty, models.CASCADE)
    since = models.DateField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("practitioner", "specialty"), name="qualified_once"),)

    def __str__(self) -> str:
        return f"{self.practitioner_id} in {self.specialty_id} since {self.since}"


class Patient(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    mrn = models.CharField("medical record number", max_length=12, unique=True)
    first_name = models.CharField(max_length=60)
    last_name = models.CharField(max_length=60)
    born_on = models.DateField()
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=20, blank=True, validators=[RegexValidator(r"^[+\d][\d ]*$")])
    site = models.ForeignKey(Site, models.PROTECT, related_name="patients")
    general_practitioner = models.ForeignKey(
        Practitioner, models.SET_NULL, null=True, blank=True, related_name="registered"
    )
    allergies = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    details = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(born_on__gte="1890-01-01"), name="born_in_living_memory"),
        )
        indexes = (
            GinIndex(fields=("details",), name="patient_details"),
            models.Index(Lower("last_name"), "first_name", name="patient_by_name"),
        )
        permissions = (("export_patient", "Can export patients"),)

    def __str__(self) -> str:
        return f"{self.last_name}, {self.first_name}"


class Document(models.Model):
    """A file of a patient's record; its content lies in the blob store."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, models.CASCADE, related_name="documents")
    title = models.CharField(max_length=120)
    file = models.FileField(storage=BlobStorage(), upload_to="documents")
    content_type = models.CharField(max_length=80)
    size = models.PositiveIntegerField()
    thumbnail = models.BinaryField(null=True)
    uploaded_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    uploaded_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.title
