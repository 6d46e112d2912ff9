"""A freight forwarder's back office: quotes, shipments, voyages, tracking and invoices."""
