"""The model of the page's permissions. Without this module, Django would not tell us of the end of `migrate` either."""

from __future__ import annotations

from django.db import models


class _NoRows(models.Manager["PageRights"]):
    """Asks no table: `dumpdata` reads every model, also one that Django does not manage."""

    def get_queryset(self) -> models.QuerySet[PageRights]:
        return super().get_queryset().none()


class PageRights(models.Model):
    """No table, and so no migration: the model exists for its permissions, which `migrate` creates for the admin."""

    objects = _NoRows()

    class Meta:
        managed = False
        verbose_name, verbose_name_plural = "page", "jobs"
        base_manager_name = "objects"
        default_permissions = ()
        permissions = (("steer", "Can act on jobs"), ("see_data", "Can see what jobs carry"))
