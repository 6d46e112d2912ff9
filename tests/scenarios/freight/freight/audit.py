"""What changed, by whom: an entry for each changed row, written with the change itself."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session

from freight.models import AuditEntry, Base, Invoice, Organisation, Payment, Shipment, Voyage

__all__ = ["actor"]

actor: ContextVar[tuple[str, str | None]] = ContextVar("actor", default=("system", None))
"""Who acts, and from which address."""

_AUDITED = (Shipment, Invoice, Payment, Organisation, Voyage)


@event.listens_for(Session, "before_flush")
def _note(session: Session, _context: Any, _instances: Any) -> None:
    for action, rows in (("insert", session.new), ("update", session.dirty), ("delete", session.deleted)):
        for row in list(rows):
            if isinstance(row, _AUDITED) and (action != "update" or session.is_modified(row)):
                session.add(_entry(action, row))


def _entry(action: str, row: Base) -> AuditEntry:
    state = inspect(row)
    changes = {}
    for attribute in state.mapper.column_attrs:
        history = state.attrs[attribute.key].history
        if history.has_changes():
            changes[attribute.key] = [_plain(history.deleted), _plain(history.added)]
    name, address = actor.get()
    label = getattr(row, "reference", None) or getattr(row, "number", None) or getattr(row, "code", None) or ""
    return AuditEntry(
        actor=name, address=address, action=action, subject=f"{type(row).__name__} {label}".rstrip(), changes=changes
    )


def _plain(values: Any) -> str | None:
    return str(values[0]) if values and values[0] is not None else None
