"""What a request can be refused for, and how that is answered. Holds no rule that decides it."""

from __future__ import annotations

from fastapi import Request, status
from fastapi.responses import JSONResponse


class Problem(Exception):
    """A request that the shop refuses; `code` and `status` are what the client gets."""

    status = status.HTTP_400_BAD_REQUEST
    code = "bad_request"


class UnknownProduct(Problem):
    """No such product is for sale."""

    status = status.HTTP_404_NOT_FOUND
    code = "product_unknown"


class UnknownOrder(Problem):
    """No such order exists."""

    status = status.HTTP_404_NOT_FOUND
    code = "order_unknown"


class UnknownCurrency(Problem):
    """The payment provider has no rate for the currency."""

    code = "currency_unknown"


class UnknownCoupon(Problem):
    """No such coupon was ever issued."""

    status = status.HTTP_404_NOT_FOUND
    code = "coupon_unknown"


class CouponExpired(Problem):
    """The coupon can't be used any more."""

    status = status.HTTP_409_CONFLICT
    code = "coupon_expired"


class NotRefundable(Problem):
    """The order was refunded before."""

    status = status.HTTP_409_CONFLICT
    code = "not_refundable"


class NoReceipt(Problem):
    """The receipt wasn't sent in time."""

    status = status.HTTP_404_NOT_FOUND
    code = "receipt_missing"


class BadSignature(Problem):
    """The webhook wasn't signed by the payment provider, or too long ago."""

    code = "bad_signature"


class CardDeclined(Problem):
    """The customer's bank said no."""

    status = status.HTTP_402_PAYMENT_REQUIRED
    code = "card_declined"


class PaymentsFailed(Problem):
    """The payment provider answered with an error or not understandably."""

    status = status.HTTP_502_BAD_GATEWAY
    code = "payments_failed"


class PaymentsTimedOut(Problem):
    """The payment provider didn't answer in time."""

    status = status.HTTP_504_GATEWAY_TIMEOUT
    code = "payments_timed_out"


async def answer(request: Request, problem: Exception) -> JSONResponse:
    """Answer a refused request."""
    del request
    if not isinstance(problem, Problem):
        raise problem
    return JSONResponse({"error": problem.code}, status_code=problem.status)
