"""What tests that start servers share."""

from __future__ import annotations

from ..support.postgresql.fixtures import fresh_postgres, postgres, postgres_server

__all__ = ["fresh_postgres", "postgres", "postgres_server"]
