from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL("CREATE SEQUENCE invoice_number START 1001", "DROP SEQUENCE invoice_number"),
    ]
