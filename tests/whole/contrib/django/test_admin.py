"""The index of Django's admin leads to the page."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("django")

PROJECT = """
import sys, types
import django
from django.conf import settings

urls = types.ModuleType("urls")
sys.modules["urls"] = urls
APPS = "admin auth contenttypes sessions messages".split()
settings.configure(
    ROOT_URLCONF="urls", SECRET_KEY="x", ALLOWED_HOSTS=["testserver"], LAMPLIGHTER={"STORE": ":memory:"},
    INSTALLED_APPS=[*(f"django.contrib.{app}" for app in APPS), "lamplighter.contrib.django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
)
django.setup()
from django.contrib import admin
from django.urls import include, path

has_page = sys.argv[1] == "page"
page = [path("admin/jobs/", include("lamplighter.contrib.django.urls"))] if has_page else []
urls.urlpatterns = [*page, path("admin/", admin.site.urls)]
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
client = Client()
client.force_login(User.objects.create_user("clerk", is_staff=True))
index = client.get("/admin/").content.decode()
link = "/admin/lamplighter/pagerights/"
assert (link in index) is has_page, index
assert "/add/" not in index
if has_page:
    assert client.get(link).headers["location"] == "/admin/jobs/"
print("seen")
"""


@pytest.mark.parametrize("project", ["page", "no page"])
def test_the_admin_has_a_line_that_leads_to_the_page_if_there_is_one(project):
    command = [sys.executable, "-c", PROJECT, project]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert said.stdout == "seen\n", said.stderr
