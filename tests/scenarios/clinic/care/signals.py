"""What is cached of a patient or of a site's staff goes when either changes."""

from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.dispatch import receiver

from care.models import Patient, Practitioner


@receiver(pre_save, sender=Patient)
def tidy(sender: type, instance: Patient, **_: Any) -> None:
    instance.email = instance.email.strip().lower()
    instance.phone = " ".join(instance.phone.split())


@receiver(post_save, sender=Patient)
@receiver(post_delete, sender=Patient)
def forget_patient(sender: type, instance: Patient, **_: Any) -> None:
    transaction.on_commit(lambda: cache.delete_many([f"patient:{instance.pk}", f"site:{instance.site_id}:patients"]))


@receiver(m2m_changed, sender=Practitioner.sites.through)
def forget_staff(sender: type, pk_set: set[int] | None, **_: Any) -> None:
    cache.delete_many([f"site:{pk}:staff" for pk in sorted(pk_set or ())])
