"""What these tests share with those that start nothing."""

from __future__ import annotations

from ....contrib.django.conftest import elsewhere, shop, worker

__all__ = ["elsewhere", "shop", "worker"]
