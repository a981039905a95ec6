"""Lamplighter in a Flask application: `from lamplighter.contrib.flask import Lamplighter`."""

from ...errors import missing_extra

try:
    import flask  # noqa: F401 (whether it is there)
except ImportError as error:
    raise missing_extra("Flask", "`lamplighter.contrib.flask`", "flask") from error

from .extension import Lamplighter

__all__ = ["Lamplighter"]
