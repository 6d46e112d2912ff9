"""Claims: what an insurer is asked to pay, and what it answers."""

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import httpx
import requests
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from accounts.models import audit
from billing import tasks
from billing.models import Claim, InboundEvent, Insurer, Invoice, Policy
from care.models import Patient
from config.api import ApiError, body_of, endpoint, found, required


def _signed(insurer: Insurer, content: bytes) -> dict[str, str]:
    signature = hmac.new(insurer.secret.encode(), content, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Signature": f"sha256={signature}"}


@endpoint("GET", "POST", permission="billing.view_claim")
def claims(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        rows = Claim.objects.order_by("invoice__number", "pk").values("id", "status", "amount", "policy__insurer__code")
        if status := request.GET.get("status"):
            rows = rows.filter(status=status)
        return JsonResponse({"claims": [_listed(row) for row in rows]})
    if not request.user.has_perm("billing.add_claim"):
        raise PermissionDenied
    number, policy_number = required(body_of(request), "invoice", "policy")
    invoice = found(Invoice.objects.all(), number=number)
    policy = found(Policy.objects.select_related("insurer"), number=policy_number, patient=invoice.patient_id)
    amount = invoice.total * (100 - policy.copay_percent) / 100
    try:
        with transaction.atomic():
            claim = Claim.objects.create(invoice=invoice, policy=policy, amount=amount.quantize(Decimal("0.01")))
    except IntegrityError as error:
        raise ApiError(409, "open-claim") from error
    return JsonResponse({"id": str(claim.pk), "amount": claim.amount}, status=201)


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "id": str(row["id"]),
        "status": row["status"],
        "amount": row["amount"],
        "insurer": row["policy__insurer__code"],
    }
    if row["status"] == Claim.Status.APPROVED:
        shown["approved"] = row["approved_amount"]
    return shown


def _locked(pk: str) -> Claim:
    return found(
        Claim.objects.select_for_update(of=("self",)).select_related("policy__insurer", "invoice__patient"), pk=pk
    )


@endpoint("POST", permission="billing.change_claim")
def submit(request: HttpRequest, pk: str) -> HttpResponse:
    """Send a claim to its insurer, which gives it a reference."""
    with transaction.atomic():
        claim = _locked(pk)
        if claim.status != Claim.Status.NEW:
            raise ApiError(409, "already-submitted", status=claim.status)
        insurer = claim.policy.insurer
        content = json.dumps(
            {"claim": str(claim.pk), "policy": claim.policy.number, "amount": str(claim.amount)}
        ).encode()
        response = requests.post(
            f"{insurer.base_url}/claims",
            data=content,
            headers=_signed(insurer, content),
            timeout=settings.UPSTREAM_TIMEOUT_S,
        )
        response.raise_for_status()
        claim.external_reference = response.json()["reference"]
        claim.status, claim.submitted_at = Claim.Status.SUBMITTED, timezone.now()
        claim.attempts = F("attempts") + 1
        claim.save()
        audit(request.user, "submit-claim", claim, reference=claim.external_reference)
    claim.refresh_from_db(fields=["attempts"])
    return JsonResponse({"reference": claim.external_reference, "attempts": claim.attempts})


@endpoint("POST", permission="billing.change_claim")
def submit_later(request: HttpRequest, pk: str) -> HttpResponse:
    """Let the worker send it; a client asks for the task's state."""
    claim = found(Claim.objects.all(), pk=pk, status=Claim.Status.NEW)
    result = tasks.submit_claim.apply_async((str(claim.pk),), expires=3600, priority=3)
    return JsonResponse({"task": result.id}, status=202)


@endpoint("POST", permission="billing.change_claim")
def void(request: HttpRequest, pk: str) -> HttpResponse:
    if not request.user.has_perm("void_claim"):
        raise PermissionDenied("void_claim")
    with transaction.atomic():
        claim = _locked(pk)
        claim.status = Claim.Status.VOID
        claim.save(update_fields=["status"])
        audit(request.user, "void-claim", claim, amount=str(claim.amount))
    return JsonResponse({"status": claim.status})


@endpoint("GET", permission="billing.view_claim")
def eligibility(request: HttpRequest, pk: str) -> HttpResponse:
    """Whether each of a patient's insurers covers them today, as they say themselves."""
    patient = found(Patient.objects.all(), pk=pk)
    answers = {}
    with httpx.Client(timeout=settings.UPSTREAM_TIMEOUT_S) as client:
        for policy in patient.policies.select_related("insurer").order_by("pk"):
            try:
                response = client.get(f"{policy.insurer.base_url}/eligibility/{policy.number}")
                answers[policy.insurer.code] = response.json() if response.is_success else response.status_code
            except httpx.TransportError as error:
                answers[policy.insurer.code] = type(error).__name__
    return JsonResponse({"patient": patient.mrn, "answers": answers})


# -- what insurers tell us


@csrf_exempt
@endpoint("POST", public=True)
def insurer_webhook(request: HttpRequest, code: str) -> HttpResponse:
    """An insurer's decision; signed by it, and counted once."""
    insurer = found(Insurer.objects.filter(active=True), code=code)
    expected = _signed(insurer, request.body)["X-Signature"]
    if not hmac.compare_digest(expected, request.headers.get("X-Signature", "")):
        raise ApiError(401, "bad-signature")
    event = body_of(request)
    with transaction.atomic():
        _, new = InboundEvent.objects.get_or_create(insurer=insurer, event_id=event["id"], defaults={"payload": event})
        if not new:
            return JsonResponse({"status": "known"})
        claim = found(Claim.objects.select_for_update(), external_reference=event["reference"])
        claim.status = Claim.Status.APPROVED if event["decision"] == "approved" else Claim.Status.REJECTED
        claim.answer = event
        if claim.status == Claim.Status.APPROVED:
            claim.approved_amount = Decimal(event["amount"])
            note = event["note"]["text"]
        else:
            note = event.get("reason", "")
        claim.save(update_fields=["status", "answer", "approved_amount"])
        audit(None, "decision", claim, note=note)
    tasks.publish("claim.decided", {"claim": str(claim.pk), "status": claim.status})
    return JsonResponse({"status": claim.status})
