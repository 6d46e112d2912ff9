"""Sign-ins and failed ones are noted; what is cached of a user goes when the user changes."""

import logging
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.cache import cache
from django.db.models.signals import m2m_changed, post_save
from django.dispatch import receiver

from accounts.models import User, audit

logger = logging.getLogger("clinic.accounts")


@receiver(user_logged_in)
def note_login(sender: type, request: Any, user: User, **_: Any) -> None:
    audit(user, "login", user, agent=request.headers.get("User-Agent", ""))


@receiver(user_login_failed)
def note_failure(sender: type, credentials: dict[str, Any], **_: Any) -> None:
    key = f"failed-logins:{credentials.get('username', '')}"
    cache.add(key, 0, timeout=3600)
    logger.warning("failed login number %d", cache.incr(key))


@receiver(post_save, sender=User)
@receiver(m2m_changed, sender=User.groups.through)
def forget_profile(sender: type, instance: Any, **_: Any) -> None:
    if isinstance(instance, User):
        cache.delete(f"profile:{instance.pk}")
