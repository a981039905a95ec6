"""The first tables."""

from django.db import migrations, models

ID = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    """Made by `manage.py makemigrations`."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Count",
            fields=[("id", ID), ("slot", models.DateTimeField()), ("orders", models.IntegerField())],
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", ID.clone()),
                ("item", models.CharField(max_length=100)),
                ("receipt_job", models.CharField(default="", max_length=100)),
                ("receipt", models.TextField(default="")),
            ],
        ),
    )
