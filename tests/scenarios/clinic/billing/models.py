"""Invoices, what insurers pay of them, and messages to and from other systems."""

import uuid
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField, DateRangeField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Insurer(models.Model):
    code = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    base_url = models.URLField()
    secret = models.CharField(max_length=64)
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class Policy(models.Model):
    patient = models.ForeignKey("care.Patient", models.CASCADE, related_name="policies")
    insurer = models.ForeignKey(Insurer, models.PROTECT, related_name="policies")
    number = models.CharField(max_length=30)
    copay_percent = models.DecimalField(
        max_digits=5, decimal_places=2, default=Decimal(10), validators=[MinValueValidator(0), MaxValueValidator(100)]
    )
    valid = DateRangeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("insurer", "number"), name="policy_once"),)
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return self.number


class Invoice(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft"
        SENT = "sent"
        PAID = "paid"
        VOID = "void"

    number = models.CharField(max_length=20, unique=True)
    patient = models.ForeignKey("care.Patient", models.PROTECT, related_name="invoices")
    visit = models.OneToOneField("booking.Visit", models.PROTECT, null=True, blank=True, related_name="invoice")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.DRAFT)
    discount_percent = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal(0))
    total = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    issued_on = models.DateField(null=True, blank=True)
    due_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(total__gte=0), name="invoice_total_not_negative"),)
        indexes = (models.Index(fields=("status", "due_on"), name="invoice_due"),)

    def __str__(self) -> str:
        return self.number


class InvoiceLine(models.Model):
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="lines")
    description = models.CharField(max_length=120)
    quantity = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal(1))
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    amount = models.GeneratedField(
        expression=F("quantity") * F("unit_price"),
        output_field=models.DecimalField(max_digits=14, decimal_places=4),
        db_persist=True,
    )

    def __str__(self) -> str:
        return self.description


class Claim(models.Model):
    class Status(models.TextChoices):
        NEW = "new"
        SUBMITTED = "submitted"
        APPROVED = "approved"
        REJECTED = "rejected"
        VOID = "void"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="claims")
    policy = models.ForeignKey(Policy, models.PROTECT, related_name="claims")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.NEW)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    approved_amount = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    external_reference = models.CharField(max_length=40, blank=True)
    answer = models.JSONField(default=dict, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    submitted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("invoice", "policy"), condition=~Q(status="void"), name="one_open_claim_per_policy"
            ),
        )
        permissions = (("void_claim", "Can void claims"),)

    def __str__(self) -> str:
        return f"claim {self.pk}"


class Payment(models.Model):
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="payments")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    method = models.CharField(max_length=12)
    reference = models.CharField(max_length=40, unique=True)
    received_at = models.DateTimeField(db_default=Now())
    metadata = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return self.reference


class InboundEvent(models.Model):
    """A webhook that an insurer sent; each counts once."""

    insurer = models.ForeignKey(Insurer, models.CASCADE, related_name="events")
    event_id = models.CharField(max_length=60)
    payload = models.JSONField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=("insurer", "event_id"), name="event_once"),)

    def __str__(self) -> str:
        return self.event_id


class WebhookEndpoint(models.Model):
    url = models.URLField()
    secret = models.CharField(max_length=64)
    events = ArrayField(models.CharField(max_length=40), default=list)
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=40)
    payload = models.JSONField()
    attempts = models.PositiveSmallIntegerField(default=0)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.event} to {self.endpoint_id}"
