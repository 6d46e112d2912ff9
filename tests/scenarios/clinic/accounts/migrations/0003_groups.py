"""The groups of staff, with what each may do."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUPS = {
    "front desk": (
        "care.view_patient", "care.add_patient", "care.change_patient", "care.view_document", "care.add_document",
        "booking.add_appointment", "booking.change_appointment", "booking.add_visit", "booking.view_visit",
        "booking.view_waitlistentry", "booking.change_waitlistentry", "booking.see_day_sheet",
    ),
    "practitioners": (
        "care.view_patient", "care.view_document", "booking.change_visit", "booking.view_visit", "booking.see_day_sheet",
    ),
    "billing": (
        "care.view_patient", "care.export_patient", "billing.view_invoice", "billing.add_invoice",
        "billing.change_invoice", "billing.add_payment", "billing.view_claim", "billing.add_claim",
        "billing.change_claim", "billing.void_claim",
    ),
}  # fmt: skip


def make_groups(apps, schema_editor):
    for name in ("care", "booking", "billing"):
        config = apps.get_app_config(name)
        config.models_module = True
        create_permissions(config, apps=apps, verbosity=0)
        config.models_module = None
    permission = apps.get_model("auth", "Permission")
    for name, wanted in GROUPS.items():
        group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=name)
        for each in wanted:
            app_label, _, codename = each.partition(".")
            group.permissions.add(permission.objects.get(content_type__app_label=app_label, codename=codename))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_initial"),
        ("care", "0001_initial"),
        ("booking", "0001_initial"),
        ("billing", "0002_invoice_number"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
