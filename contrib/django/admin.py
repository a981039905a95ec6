"""A line in the index of Django's admin that leads to the page, where a project has both."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse

from .models import PageRights


@admin.register(PageRights)
class PageLink(admin.ModelAdmin):  # type: ignore[type-arg]
    """Listed for everybody who may see the page, which are the staff."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        try:
            reverse("lamplighter:page", kwargs={"rest": ""})
        except NoReverseMatch:
            return False
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    has_change_permission = has_delete_permission = lambda self, request, obj=None: False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("lamplighter:page", rest="")
