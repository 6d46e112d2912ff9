"""Tasks that staff start by hand, and how they fare."""

from celery.result import AsyncResult
from django.http import HttpRequest, HttpResponse, JsonResponse

from billing import tasks
from booking import tasks as booking_tasks
from config.api import ApiError, body_of, endpoint

_JOBS = {
    "mark-missed": booking_tasks.mark_missed,
    "refresh-statistics": booking_tasks.refresh_statistics,
    "send-reminders": booking_tasks.send_reminders,
    "statements": tasks.statements,
}


@endpoint("POST", permission="billing.change_invoice")
def start(request: HttpRequest, name: str) -> HttpResponse:
    if name not in _JOBS:
        raise ApiError(404, "no-such-job", jobs=sorted(_JOBS))
    arguments = body_of(request).get("arguments", [])
    result = _JOBS[name].delay(*arguments)
    return JsonResponse({"task": result.id}, status=202)


@endpoint("POST", permission="billing.change_invoice")
def run_now(request: HttpRequest, name: str) -> HttpResponse:
    """In the request itself, for the impatient."""
    result = _JOBS[name].apply(body_of(request).get("arguments", []))
    return JsonResponse({"state": result.state, "result": result.result if result.successful() else str(result.result)})


@endpoint("GET", permission="billing.view_invoice")
def state(request: HttpRequest, task_id: str) -> HttpResponse:
    result = AsyncResult(task_id)
    return JsonResponse({"state": result.state, "result": result.result if result.successful() else None})
