"""What a request can be refused for, and how that is answered."""

from __future__ import annotations

from flask import Response, jsonify


class Problem(Exception):
    """A request that the box office refuses; `code` and `status` are what the client gets."""

    status = 400
    code = "bad_request"


class NotFound(Problem):
    """No such screening or booking."""

    status = 404
    code = "not_found"


class SoldOut(Problem):
    """Fewer seats are free than were asked for."""

    status = 409
    code = "sold_out"


class TooLate(Problem):
    """The screening begins too soon."""

    status = 409
    code = "too_late"


class NotPaid(Problem):
    """The booking isn't in a state in which it can be cancelled."""

    status = 409
    code = "not_paid"


class Forged(Problem):
    """The webhook wasn't signed by the provider, or too long ago."""

    status = 403
    code = "forged"


class CardDeclined(Problem):
    """The customer's bank said no."""

    status = 402
    code = "card_declined"


class ProviderFailed(Problem):
    """The provider answered with an error, not understandably, or not at all."""

    status = 502
    code = "provider_failed"


def answer(problem: Problem) -> tuple[Response, int]:
    """Answer a refused request."""
    return jsonify(error=problem.code), problem.status
