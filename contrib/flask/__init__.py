"""Lamplighter in a Flask application: `from lamplighter.contrib.flask import Lamplighter`."""

from .extension import Lamplighter

__all__ = ["Lamplighter"]
