"""Who is asking, with which rights; keys for other systems."""

import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth import password_validation, update_session_auth_hash
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from accounts.models import ApiKey, AuditEntry, User, audit
from config.api import ApiError, body_of, endpoint, page_of, required


def profile_of(user: User) -> dict[str, Any]:
    """What a client needs to know of its user; cached, as every page asks for it."""
    return {
        "id": str(user.pk),
        "username": user.username,
        "email": user.email,
        "site": user.site.code if user.site else None,
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "permissions": sorted(user.get_all_permissions()),
        "preferences": user.preferences,
    }


@endpoint("GET", "PATCH")
def me(request: HttpRequest) -> HttpResponse:
    user = request.user
    if request.method == "PATCH":
        preferences = body_of(request).get("preferences")
        if not isinstance(preferences, dict):
            raise ApiError(422, "missing", fields=["preferences"])
        user.preferences = {**user.preferences, **preferences}
        user.save(update_fields=["preferences"])
    profile = cache.get_or_set(f"profile:{user.pk}", lambda: profile_of(user), timeout=600)
    request.session["last_profile"] = timezone.now().isoformat()
    return JsonResponse(profile)


@endpoint("POST")
def change_password(request: HttpRequest) -> HttpResponse:
    old, new = required(body_of(request), "old_password", "new_password")
    if not request.user.check_password(old):
        raise ApiError(403, "wrong-password")
    password_validation.validate_password(new, request.user)
    request.user.set_password(new)
    request.user.save()
    update_session_auth_hash(request, request.user)
    audit(request.user, "password", request.user)
    return JsonResponse({"changed": True})


@endpoint("GET", "POST", permission="accounts.add_apikey")
def api_keys(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        keys = request.user.api_keys.order_by("created_at", "id")
        return JsonResponse({"keys": [{"name": key.name, "scopes": key.scopes} for key in keys]})
    body = body_of(request)
    (name,) = required(body, "name")
    secret = secrets.token_urlsafe(24)
    key = ApiKey.objects.create(
        user=request.user,
        name=name,
        digest=ApiKey.digest_of(secret),
        scopes=body.get("scopes", []),
        expires_at=timezone.now() + timedelta(days=int(body.get("days", 90))),
    )
    audit(request.user, "new-key", key, name=name)
    return JsonResponse({"id": key.pk, "key": secret, "created_at": key.created_at}, status=201)


@endpoint("GET", permission="accounts.view_auditentry")
def audit_trail(request: HttpRequest) -> HttpResponse:
    entries = AuditEntry.objects.select_related("actor", "content_type")
    if model := request.GET.get("model"):
        app_label, _, name = model.partition(".")
        entries = entries.filter(content_type=ContentType.objects.get_by_natural_key(app_label, name))
    return page_of(request, entries, _entry)


def _entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "actor": entry.actor.username if entry.actor else None,
        "action": entry.action,
        "model": f"{entry.content_type.app_label}.{entry.content_type.model}",
        "object": entry.object_id,
        "changes": entry.changes,
    }
