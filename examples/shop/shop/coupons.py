"""Coupons: looking one up, using one, drawing one at random."""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel

from shop.database import Coupon, open_session
from shop.problems import CouponExpired, UnknownCoupon

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

router = APIRouter(prefix="/coupons")


class CouponView(BaseModel):
    """A coupon as the client sees it."""

    code: str
    percent: int
    days_left: int


def redeem(code: str) -> int:
    """Use a coupon once.

    Args:
        code: What the customer typed.

    Returns:
        The discount in percent.

    Raises:
        UnknownCoupon: No such coupon was issued.
        CouponExpired: It is past the time that the shop honours it.

    """
    now = datetime.now(UTC)
    with open_session.begin() as session:
        coupon = _find(session, code)
        if not (now < coupon.expires_at or now < coupon.honoured_until):
            raise CouponExpired
        coupon.uses += 1
        return coupon.percent


@router.get("/{code}")
def read_coupon(code: str) -> CouponView:
    """Show a coupon."""
    with open_session() as session:
        return _view(_find(session, code))


@router.post("/draw", status_code=201)
def draw_coupon() -> CouponView:
    """Issue a coupon with a discount that chance decides."""
    now = datetime.now(UTC)
    coupon = Coupon(
        code=f"LUCK-{secrets.token_hex(4).upper()}",
        percent=random.choice([5, 10, 15, 25]),
        expires_at=now + timedelta(days=random.randint(7, 30)),
        honoured_until=now + timedelta(days=37),
    )
    with open_session.begin() as session:
        session.add(coupon)
    return _view(coupon)


def _find(session: Session, code: str) -> Coupon:
    coupon = session.get(Coupon, code.upper())
    if coupon is None:
        raise UnknownCoupon
    return coupon


def _view(coupon: Coupon) -> CouponView:
    left = coupon.expires_at - datetime.now(UTC)
    return CouponView(code=coupon.code, percent=coupon.percent, days_left=max(0, left.days))
