"""What the worker does for billing: claims, webhooks to other systems, statements."""

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import httpx
import requests
from celery import chord, group, shared_task
from django.conf import settings
from django.core.mail import mail_admins, send_mail
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from billing.models import Claim, Invoice, WebhookDelivery, WebhookEndpoint
from care.models import Patient


def publish(event: str, payload: dict[str, Any]) -> None:
    """Tell those who want to know, once the transaction is committed."""
    for endpoint in WebhookEndpoint.objects.filter(active=True, events__contains=[event]).order_by("pk"):
        delivery = WebhookDelivery.objects.create(endpoint=endpoint, event=event, payload=payload)
        transaction.on_commit(lambda pk=delivery.pk: deliver.delay(pk))


@shared_task(bind=True, max_retries=1, default_retry_delay=0)
def deliver(self: Any, pk: int) -> int:
    """POST a webhook, signed; once more if the other side has trouble."""
    delivery = WebhookDelivery.objects.select_related("endpoint").get(pk=pk)
    content = json.dumps({"event": delivery.event, "data": delivery.payload}, sort_keys=True).encode()
    signature = hmac.new(delivery.endpoint.secret.encode(), content, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Clinic-Signature": signature}
    response = httpx.post(delivery.endpoint.url, content=content, headers=headers, timeout=settings.UPSTREAM_TIMEOUT_S)
    delivered_at = timezone.now() if response.is_success else None
    WebhookDelivery.objects.filter(pk=pk).update(
        attempts=F("attempts") + 1, last_status=response.status_code, delivered_at=delivered_at
    )
    if response.is_server_error:
        raise self.retry()
    return response.status_code


@shared_task(
    autoretry_for=(requests.ConnectionError, requests.HTTPError),
    max_retries=2,
    default_retry_delay=0,
    retry_backoff=False,
)
def submit_claim(pk: str) -> str:
    """Send a claim to its insurer; once more if that fails."""
    claim = Claim.objects.select_related("policy__insurer").get(pk=pk)
    insurer = claim.policy.insurer
    body = {"claim": str(claim.pk), "policy": claim.policy.number, "amount": str(claim.amount)}
    response = requests.post(f"{insurer.base_url}/claims", json=body, timeout=settings.UPSTREAM_TIMEOUT_S)
    response.raise_for_status()
    with transaction.atomic():
        Claim.objects.filter(pk=pk, status=Claim.Status.NEW).update(
            status=Claim.Status.SUBMITTED,
            external_reference=response.json()["reference"],
            submitted_at=timezone.now(),
            attempts=F("attempts") + 1,
        )
    return response.json()["reference"]


@shared_task
def statement(patient_id: str) -> str:
    """What a patient owes."""
    patient = Patient.objects.get(pk=patient_id)
    owed = patient.invoices.exclude(status=Invoice.Status.PAID).aggregate(sum=Sum("total"))["sum"]
    if owed is None:
        return "0"
    send_mail(
        "Statement", f"You owe {owed.quantize(Decimal('0.01'))} EUR.", None, [patient.email or "post@clinic.example"]
    )
    return str(owed)


@shared_task
def statements(patient_ids: list[str]) -> int:
    """A statement for each of these patients, and a report when all are done."""
    chord(group(statement.s(each) for each in patient_ids))(report.s())
    return len(patient_ids)


@shared_task
def report(amounts: list[str]) -> str:
    """The sum of all statements."""
    total = sum(map(Decimal, amounts), Decimal(0))
    mail_admins("Statements", f"{len(amounts)} statements, {total} EUR")
    return str(total)
