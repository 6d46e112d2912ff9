"""What every JSON endpoint has in common: who may call it, how its body is read, how errors and pages look."""

import functools
import json
import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.core.paginator import EmptyPage, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse

logger = logging.getLogger("clinic.api")
View = Callable[..., HttpResponse]
PAGE_SIZE = 20


class ApiError(Exception):
    """An answer other than success, with its status."""

    def __init__(self, status: int, code: str, **details: Any) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.details = details


class JsonErrors:
    """Turns what the endpoints below `/api/` and `/webhooks/` raise into JSON; what nobody expected stays a 500."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not request.path.startswith(("/api/", "/webhooks/")):
            return None
        match error:
            case ApiError():
                return JsonResponse({"error": error.code, **error.details}, status=error.status)
            case ValidationError():
                return JsonResponse({"error": "invalid", "fields": _messages(error)}, status=422)
            case PermissionDenied():
                logger.warning("%s may not %s %s", request.user, request.method, request.path)
                return JsonResponse({"error": "forbidden"}, status=403)
            case _:
                return None


def endpoint(*methods: str, permission: str = "", public: bool = False) -> Callable[[View], View]:
    """Lets a view answer these methods, for callers who are signed in and have the permission."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def call(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in methods:
                return JsonResponse({"error": "method"}, status=405, headers={"Allow": ", ".join(methods)})
            if not public and not request.user.is_authenticated:
                return JsonResponse({"error": "unauthenticated"}, status=401)
            if permission and not request.user.has_perm(permission):
                raise PermissionDenied(permission)
            return view(request, *args, **kwargs)

        return call

    return decorate


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that was sent."""
    if request.content_type != "application/json":
        raise ApiError(415, "json-wanted", got=request.content_type)
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise ApiError(400, "no-json", at=getattr(error, "pos", 0)) from error
    if not isinstance(body, dict):
        raise ApiError(400, "no-object")
    return body


def required(body: dict[str, Any], *names: str) -> list[Any]:
    """The values of these fields."""
    missing = [name for name in names if body.get(name) in (None, "")]
    if missing:
        raise ApiError(422, "missing", fields=missing)
    return [body[name] for name in names]


def found(queryset: QuerySet[Any], **lookup: Any) -> Any:
    """The one object, or a 404."""
    try:
        return queryset.get(**lookup)
    except (ObjectDoesNotExist, ValidationError, ValueError) as error:
        raise ApiError(404, "not-found") from error


def page_of(request: HttpRequest, queryset: QuerySet[Any], shown: Callable[[Any], dict[str, Any]]) -> JsonResponse:
    """One page of a listing."""
    paginator = Paginator(queryset, PAGE_SIZE)
    try:
        page = paginator.page(int(request.GET.get("page", "1")))
    except (ValueError, EmptyPage) as error:
        raise ApiError(404, "no-such-page", pages=paginator.num_pages) from error
    return JsonResponse(
        {
            "count": paginator.count,
            "page": page.number,
            "pages": paginator.num_pages,
            "results": [shown(each) for each in page.object_list],
        }
    )


def _messages(error: ValidationError) -> Any:
    return error.message_dict if hasattr(error, "error_dict") else error.messages


@endpoint("GET", "HEAD", public=True)
def health(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "up"})
