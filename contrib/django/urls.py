"""The page in a Django project: `path("admin/jobs/", include("lamplighter.contrib.django.urls"))`."""

from __future__ import annotations

from django.urls import re_path

from .page import page

app_name = "lamplighter"

urlpatterns = [re_path(r"^(?P<rest>.*)$", page, name="page")]
