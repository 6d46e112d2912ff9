"""Invoices: making them from visits, lines, discounts, payments, lists."""

import csv
import io
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, CharField, Count, DecimalField, F, Min, Prefetch, Sum, Value, When, Window
from django.db.models.functions import Coalesce, DenseRank, ExtractDay, Now, TruncMonth
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from accounts.models import audit
from billing import tasks
from billing.models import Invoice, InvoiceLine, Payment
from booking.models import Visit
from config.api import ApiError, body_of, endpoint, found, page_of, required

CENT = Decimal("0.01")
MONEY = DecimalField(max_digits=14, decimal_places=2)


def shown(invoice: Invoice) -> dict[str, Any]:
    return {
        "number": invoice.number,
        "patient": str(invoice.patient),
        "status": invoice.status,
        "discount": invoice.discount_percent,
        "total": invoice.total,
        "due_on": invoice.due_on,
        "lines": [
            {"what": line.description, "quantity": line.quantity, "price": line.unit_price, "amount": line.amount}
            for line in invoice.lines.all()
        ],
    }


def _all() -> Any:
    lines = Prefetch("lines", InvoiceLine.objects.order_by("pk"))
    return Invoice.objects.select_related("patient").prefetch_related(lines)


def next_number() -> str:
    """The next number of the year, from a sequence of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('invoice_number'), extract(year FROM now())::int")
        number, year = cursor.fetchone()
    return f"{year}-{number:06d}"


def retotal(invoice: Invoice) -> None:
    """Sum up the lines, less the discount, to the cent."""
    amount = invoice.lines.aggregate(sum=Coalesce(Sum("amount"), Decimal(0)))["sum"]
    invoice.total = (amount * (100 - invoice.discount_percent) / 100).quantize(CENT)
    invoice.save(update_fields=["total", "discount_percent", "updated_at"])


@endpoint("GET", "POST", permission="billing.view_invoice")
def invoices(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        queryset = _all().order_by("number")
        if status := request.GET.get("status"):
            queryset = queryset.filter(status=status)
        return page_of(request, queryset, shown)
    if not request.user.has_perm("billing.add_invoice"):
        raise ApiError(403, "forbidden")
    (appointment_id,) = required(body_of(request), "appointment")
    with transaction.atomic():
        visit = found(
            Visit.objects.select_related("appointment__service", "appointment__patient"), appointment=appointment_id
        )
        service = visit.appointment.service
        invoice = Invoice.objects.create(
            number=next_number(),
            patient=visit.appointment.patient,
            visit=visit,
            due_on=timezone.localdate() + timedelta(14),
        )
        InvoiceLine.objects.create(invoice=invoice, description=service.name, unit_price=service.price)
        retotal(invoice)
    return JsonResponse(shown(found(_all(), pk=invoice.pk)), status=201)


@endpoint("GET", permission="billing.view_invoice")
def invoice(request: HttpRequest, number: str) -> HttpResponse:
    record = found(_all(), number=number)
    paid = record.payments.aggregate(sum=Sum("amount", default=Decimal(0)))["sum"]
    return JsonResponse(shown(record) | {"paid": paid, "open": record.total - paid})


@endpoint("POST", permission="billing.change_invoice")
def add_line(request: HttpRequest, number: str) -> HttpResponse:
    body = body_of(request)
    what, price = required(body, "what", "price")
    with transaction.atomic():
        record = found(Invoice.objects.select_for_update(), number=number)
        if record.status != Invoice.Status.DRAFT:
            raise ApiError(409, "not-a-draft")
        try:
            quantity, unit_price = Decimal(str(body.get("quantity", 1))), Decimal(str(price))
        except InvalidOperation as error:
            raise ApiError(422, "no-number") from error
        line = InvoiceLine(
            invoice=record, description=what, quantity=quantity.quantize(CENT), unit_price=unit_price.quantize(CENT)
        )
        line.save()
        retotal(record)
    return JsonResponse({"amount": line.amount, "total": record.total}, status=201)


@endpoint("POST", permission="billing.change_invoice")
def discount(request: HttpRequest, number: str) -> HttpResponse:
    (percent,) = required(body_of(request), "percent")
    with transaction.atomic():
        record = found(Invoice.objects.select_for_update(), number=number)
        record.discount_percent = Decimal(str(percent))
        retotal(record)
        audit(request.user, "discount", record, percent=str(percent))
    return JsonResponse({"total": record.total})


@endpoint("POST", permission="billing.change_invoice")
def send(request: HttpRequest, number: str) -> HttpResponse:
    with transaction.atomic():
        record = found(Invoice.objects.select_for_update(nowait=True), number=number)
        if record.status != Invoice.Status.DRAFT:
            raise ApiError(409, "not-a-draft")
        record.status, record.issued_on = Invoice.Status.SENT, timezone.localdate()
        record.save()
        tasks.publish("invoice.sent", {"number": record.number, "total": str(record.total)})
    return JsonResponse({"status": record.status, "issued_on": record.issued_on})


@endpoint("POST", permission="billing.add_payment")
def payments(request: HttpRequest) -> HttpResponse:
    body = body_of(request)
    number, amount, reference = required(body, "invoice", "amount", "reference")
    with transaction.atomic():
        record = found(Invoice.objects.select_for_update(), number=number)
        payment, new = Payment.objects.get_or_create(
            reference=reference,
            defaults={
                "invoice": record,
                "amount": Decimal(amount).quantize(CENT),
                "method": body.get("method", "card"),
            },
        )
        if not new:
            raise ApiError(409, "known-payment", received_at=payment.received_at)
        paid = record.payments.aggregate(sum=Sum("amount"))["sum"]
        if paid >= record.total:
            record.status = Invoice.Status.PAID
            record.save(update_fields=["status", "updated_at"])
        tasks.publish("payment.received", {"number": number, "amount": str(payment.amount)})
    return JsonResponse({"paid": paid, "status": record.status, "received_at": payment.received_at}, status=201)


# -- lists


@endpoint("GET", permission="billing.view_invoice")
def export(request: HttpRequest) -> HttpResponse:
    """All invoices as CSV, with how old each debt is."""
    rows = Invoice.objects.annotate(paid=Coalesce(Sum("payments__amount"), Decimal(0), output_field=MONEY)).order_by(
        "number"
    )
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(("number", "patient", "total", "open", "status"))
    for row in rows.values_list("number", "patient__mrn", "total", F("total") - F("paid"), "status"):
        writer.writerow(row)
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")


@endpoint("GET", permission="billing.view_invoice")
def ageing(request: HttpRequest) -> HttpResponse:
    """Open debt by age; the largest debtors first."""
    age = ExtractDay(Now() - F("created_at"))
    bucket = Case(
        When(status=Invoice.Status.PAID, then=Value("paid")),
        When(due_on__lt=timezone.localdate(), then=Value("overdue")),
        default=Value("open"),
        output_field=CharField(),
    )
    buckets = (
        Invoice.objects.annotate(bucket=bucket, age=age)
        .values("bucket")
        .annotate(number=Count("pk"), sum=Sum("total"), youngest=Min("age"))
        .order_by("bucket")
    )
    debtors = (
        Invoice.objects.exclude(status=Invoice.Status.PAID)
        .values("patient__mrn")
        .annotate(debt=Sum("total"))
        .annotate(rank=Window(DenseRank(), order_by=F("debt").desc()))
        .order_by("rank", "patient__mrn")[:5]
    )
    return JsonResponse({"buckets": list(buckets), "debtors": list(debtors)})


@endpoint("GET", permission="billing.view_invoice")
def revenue(request: HttpRequest) -> HttpResponse:
    """By month and site, from raw SQL for the grand totals that the ORM can't say."""
    months = (
        Invoice.objects.annotate(month=TruncMonth("created_at"))
        .values("month", "patient__site__code")
        .annotate(sum=Sum("total"), number=Count("pk", distinct=True))
        .order_by("month", "patient__site__code")
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.code, sum(i.total) FROM billing_invoice i JOIN care_patient p ON p.id = i.patient_id"
            " JOIN care_site s ON s.id = p.site_id WHERE i.status = ANY(%s) GROUP BY ROLLUP (s.code)"
            " ORDER BY 1 NULLS LAST",
            [["draft", "sent", "paid"]],
        )
        columns = [column.name for column in cursor.description]
        rollup = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return JsonResponse({"months": list(months), "rollup": rollup})
