"""Keys of other systems, limits of how often somebody may ask, and each user's time zone."""

import time
import zoneinfo
from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from accounts.models import ApiKey

Answer = Callable[[HttpRequest], HttpResponse]
_WINDOW_S = 60


class ApiKeyMiddleware:
    """Finds the key of `Authorization: Bearer`; such a request needs no CSRF token."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.api_key = None
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            valid = Q(expires_at=None) | Q(expires_at__gt=Now())
            request.api_key = ApiKey.objects.select_related("user").filter(valid, digest=ApiKey.digest_of(key)).first()
            if request.api_key is None:
                return JsonResponse({"error": "bad-key"}, status=401)
            request._dont_enforce_csrf_checks = True
        return self.get_response(request)


class KeyOwnerMiddleware:
    """A request with a key is its owner's."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.api_key is not None:
            request.user = request.api_key.user
            ApiKey.objects.filter(pk=request.api_key.pk).update(last_used_at=Now())
        return self.get_response(request)


class RateLimitMiddleware:
    """Counts the requests of a caller in a window, in the cache that all processes share."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        for prefix, limit in settings.RATE_LIMITS.items():
            if request.path.startswith(prefix):
                left = limit - self._count(request, prefix)
                if left < 0:
                    wait = str(_WINDOW_S - int(time.time()) % _WINDOW_S)
                    return JsonResponse({"error": "too-many"}, status=429, headers={"Retry-After": wait})
                response = self.get_response(request)
                response["X-RateLimit-Remaining"] = str(left)
                return response
        return self.get_response(request)

    @staticmethod
    def _count(request: HttpRequest, prefix: str) -> int:
        who = request.user.pk if request.user.is_authenticated else request.META["REMOTE_ADDR"]
        key = f"rate:{prefix}:{who}:{int(time.time()) // _WINDOW_S}"
        if cache.add(key, 1, timeout=2 * _WINDOW_S):
            return 1
        return cache.incr(key)


class TimeZoneMiddleware:
    """Dates are read and shown in the user's time zone."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            with timezone.override(zoneinfo.ZoneInfo(request.user.time_zone)):
                return self.get_response(request)
        return self.get_response(request)
