"""The page on which people see what jobs do, and steer them: `dashboard` mounts it in an application."""

from __future__ import annotations

from .pages.page import LOOK, STEER, Visitor
from .site import Site, dashboard

__all__ = ["LOOK", "STEER", "Site", "Visitor", "dashboard"]
