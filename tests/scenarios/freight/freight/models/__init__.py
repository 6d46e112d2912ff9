"""The tables."""

from freight.models.base import Base
from freight.models.billing import ExchangeRate, Invoice, InvoiceLine, InvoiceStatus, Payment
from freight.models.network import Port, Tariff, Vessel, Voyage, VoyageLeg
from freight.models.operations import Job, JobStatus, Subscription, WebhookDelivery
from freight.models.parties import AuditEntry, Contact, Organisation, OrganisationKind, Role, User
from freight.models.shipments import (
    Booking,
    CargoItem,
    Container,
    CustomsEntry,
    Document,
    EventKind,
    Packing,
    Quote,
    Shipment,
    ShipmentStatus,
    TrackingEvent,
)

__all__ = [
    "AuditEntry", "Base", "Booking", "CargoItem", "Contact", "Container", "CustomsEntry", "Document", "EventKind",
    "ExchangeRate", "Invoice", "InvoiceLine", "InvoiceStatus", "Job", "JobStatus", "Organisation", "OrganisationKind",
    "Packing", "Payment", "Port", "Quote", "Role", "Shipment", "ShipmentStatus", "Subscription", "Tariff",
    "TrackingEvent", "User", "Vessel", "Voyage", "VoyageLeg", "WebhookDelivery",
]  # fmt: skip
