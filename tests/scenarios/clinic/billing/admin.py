from django.contrib import admin

from billing.models import Claim, Insurer, Invoice, InvoiceLine, Payment, Policy, WebhookDelivery, WebhookEndpoint


class LineInline(admin.TabularInline):
    model = InvoiceLine
    extra = 0
    readonly_fields = ("amount",)


class PaymentInline(admin.TabularInline):
    model = Payment
    extra = 0


@admin.register(Invoice)
class InvoiceAdmin(admin.ModelAdmin):
    list_display = ("number", "patient", "status", "total", "due_on")
    list_filter = ("status",)
    raw_id_fields = ("patient", "visit")
    inlines = (LineInline, PaymentInline)


@admin.register(Claim)
class ClaimAdmin(admin.ModelAdmin):
    list_display = ("id", "status", "amount", "approved_amount")
    list_filter = ("status",)


admin.site.register([Insurer, Policy, WebhookEndpoint, WebhookDelivery])
