"""Who follows whom, and what goes by mail. Old code can run beside it."""

import django.db.models.deletion
import django.db.models.manager
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import souk.eventlog.models
import souk.kit.entity


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_followers_count"),
    ]

    operations = [
        migrations.CreateModel(
            name="MailRequest",
            fields=[
                ("id", models.UUIDField(default=souk.kit.entity.new_id, primary_key=True, serialize=False)),
                (
                    "purpose",
                    models.CharField(
                        choices=[("password-reset", "Password Reset"), ("email-verification", "Email Verification")],
                        max_length=32,
                    ),
                ),
                ("address", models.CharField(max_length=254)),
                ("user_id", models.UUIDField(null=True)),
                ("attempts", models.SmallIntegerField(db_default=0)),
                ("due", models.DateTimeField(db_default=souk.eventlog.models.ClockTimestamp())),
            ],
            options={
                "indexes": [models.Index(fields=["due"], name="mail_request_due")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("purpose__in", ["password-reset", "email-verification"])),
                        name="mail_request_purpose",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Follow",
            fields=[
                (
                    "id",
                    models.UUIDField(default=souk.kit.entity.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("deleted", models.DateTimeField(editable=False, null=True)),
                (
                    "followed",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "follower",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "all_objects",
                "default_manager_name": "all_objects",
                "indexes": [
                    models.Index(
                        models.F("followed"),
                        models.OrderBy(models.F("id"), descending=True),
                        condition=models.Q(("deleted__isnull", True)),
                        name="follow_followers",
                    ),
                    models.Index(
                        models.F("follower"),
                        models.OrderBy(models.F("id"), descending=True),
                        condition=models.Q(("deleted__isnull", True)),
                        name="follow_following",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("deleted__isnull", True)),
                        fields=("follower", "followed"),
                        name="follow_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("follower", models.F("followed")), _negated=True),
                        name="follow_somebody_else",
                    ),
                ],
            },
            managers=[
                ("all_objects", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="MailedToken",
            fields=[
                ("checksum", models.CharField(max_length=64, primary_key=True, serialize=False)),
                (
                    "purpose",
                    models.CharField(
                        choices=[("password-reset", "Password Reset"), ("email-verification", "Email Verification")],
                        max_length=32,
                    ),
                ),
                ("address", models.CharField(max_length=254)),
                ("created", models.DateTimeField(db_default=souk.eventlog.models.ClockTimestamp())),
                ("expires", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["expires"], name="mailed_token_expires")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("purpose__in", ["password-reset", "email-verification"])),
                        name="mailed_token_purpose",
                    )
                ],
            },
        ),
    ]
