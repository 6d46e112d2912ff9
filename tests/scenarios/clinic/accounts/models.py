"""Who may use the back office, by which keys, and who did what."""

import hashlib
import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class User(AbstractUser):
    """A member of staff."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    site = models.ForeignKey("care.Site", models.SET_NULL, null=True, blank=True, related_name="staff")
    time_zone = models.CharField(max_length=40, default="Europe/Berlin")
    preferences = models.JSONField(default=dict, blank=True)


class ApiKey(models.Model):
    """Lets another system act for a user. Only a digest of the key is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=40), default=list)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def digest_of(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()


class AuditEntry(models.Model):
    """One change of one object, by whom."""

    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=40)
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.CharField(max_length=64)
    target = GenericForeignKey("content_type", "object_id")
    changes = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = (models.Index(fields=("content_type", "object_id", "-at"), name="audit_of_object"),)
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return f"{self.action} {self.object_id}"


def audit(actor: User | None, action: str, target: models.Model, **changes: object) -> AuditEntry:
    """Note a change."""
    known = actor if actor is not None and actor.is_authenticated else None
    return AuditEntry.objects.create(actor=known, action=action, target=target, changes=changes)
