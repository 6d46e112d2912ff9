"""What seats cost, and what a cancelled booking gets back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

_CHILD_SHARE = Decimal("0.6")
_MATINEE_SHARE = Decimal("0.8")
_MATINEE_ENDS_HOUR = 17
_GROUP = 10
_FEE_CENTS = 50
_MOST_FEE_CENTS = 200
_LAST_SALE = timedelta(minutes=30)
_FULL_REFUND = timedelta(hours=24)
_HALF_REFUND = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Price:
    """What a booking costs, in cents."""

    tickets_cents: int
    discount_cents: int
    fee_cents: int

    @property
    def total_cents(self) -> int:
        """What is charged."""
        return self.tickets_cents - self.discount_cents + self.fee_cents


def price(price_cents: int, starts_at: datetime, *, seats: int, children: int, voucher_percent: int) -> Price:
    """Price some seats, of which so many are children's; of ten seats one is free."""
    each = Decimal(price_cents)
    if starts_at.hour < _MATINEE_ENDS_HOUR:
        each = each * _MATINEE_SHARE
    adults = seats - children
    free = min(adults, seats // _GROUP)
    tickets_cents = _round(each * (adults - free) + each * _CHILD_SHARE * children)
    discount_cents = _round(Decimal(tickets_cents * voucher_percent) / 100)
    return Price(tickets_cents, discount_cents, min(_FEE_CENTS * seats, _MOST_FEE_CENTS))


def is_on_sale(starts_at: datetime, now: datetime) -> bool:
    """Whether seats are still sold."""
    return starts_at - now >= _LAST_SALE


def refund_cents(total_cents: int, starts_at: datetime, now: datetime) -> int:
    """What is given back: all of it a day before, half of it two hours before, else nothing."""
    left = starts_at - now
    if left >= _FULL_REFUND:
        return total_cents
    if left >= _HALF_REFUND:
        return total_cents // 2
    return 0


def _round(cents: Decimal) -> int:
    return int(cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))
