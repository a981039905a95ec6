"""The page in a Django project: who sees it, and what they may do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WITH_ADMIN = """
import django
from django.conf import settings
from django.core.management import call_command
from django.urls import path

CONTRIB = ["admin", "auth", "contenttypes", "messages", "sessions"]
settings.configure(
    INSTALLED_APPS=[*(f"django.contrib.{name}" for name in CONTRIB), "lamplighter.contrib.django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    LAMPLIGHTER={"STORE": "jobs.db"},
    ROOT_URLCONF=__name__,
    SECRET_KEY="-" * 50,
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
)
django.setup()
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.test.utils import setup_test_environment
from lamplighter.contrib.django.page import DATA_PERMISSION, STEER_PERMISSION

urlpatterns = [path("admin/", admin.site.urls)]
call_command("check", fail_level="WARNING")
call_command("makemigrations", check_changes=True, verbosity=0)
call_command("migrate", verbosity=0)

setup_test_environment()
client = Client()
client.force_login(User.objects.create_superuser("root"))
form = client.get("/admin/auth/group/add/").context["adminform"].form
offered = {text: value for value, text in form.fields["permissions"].choices if "Lamplighter" in text}
print(sorted(offered))
client.post("/admin/auth/group/add/", {"name": "drivers", "permissions": [str(value) for value in offered.values()]})
driver = User.objects.create_user("driver", is_staff=True)
driver.groups.add(Group.objects.get(name="drivers"))
print(driver.has_perm(STEER_PERMISSION), driver.has_perm(DATA_PERMISSION))

call_command("dumpdata", "lamplighter")
call_command("dumpdata", "lamplighter", use_base_manager=True)
"""


def test_the_admin_grants_both_permissions_and_no_command_looks_for_a_table(tmp_path: Path) -> None:
    program = tmp_path / "project.py"
    program.write_text(WITH_ADMIN, encoding="utf-8")

    ran = subprocess.run([sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    *said, rows = ran.stdout.split("\n", 3)
    assert said == [
        "System check identified no issues (0 silenced).",
        "['Lamplighter | page | Can act on jobs', 'Lamplighter | page | Can see what jobs carry']",
        "True True",
    ]
    # Newer versions of Django end each dump with a line break.
    assert rows.split() in (["[][]"], ["[]", "[]"])
