"""Finds the place of a store by its address. An `Environment` can replace each part of what is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Unpack

from ..errors import UsageError, shown

if TYPE_CHECKING:
    from ..environment.environment import Environment
    from .controls import Controls
    from .hints import Hints
    from .places import StoreOptions, StorePlace
    from .ports import Store
    from .presence import Presence

Durability = Literal["full", "os"]
"""What a commit survives: a power cut, or a killed process."""

STORES = (
    'a path, "sqlite:///path", ":memory:", "postgresql://user:password@host/database" or '
    '"amqp://user:password@host/vhost"'
)


def _sqlite(address: str, folder: str) -> StorePlace | None:
    from .sqlite.place import place_at

    return place_at(address, folder)


def _rabbitmq(address: str, folder: str) -> StorePlace | None:
    # Imported only here: an application on SQLite has no pika, and starts faster without the rest.
    from .rabbitmq.place import RabbitPlace

    return RabbitPlace(address)


def _postgresql(address: str, folder: str) -> StorePlace | None:
    from .postgresql.place import PostgresPlace

    return PostgresPlace(address)


PLACES: Mapping[str, Callable[[str, str], StorePlace | None]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "postgres": _postgresql,
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
}
"""By the scheme of an address, finds the place; None if the rest of the address cannot be. A path has no scheme."""


def place_of(store: Any, folder: str = "") -> StorePlace:
    """The place of a store, whose address people give. A relative path leads from the folder, or the current one.

    Raises:
        UsageError: it cannot be one.
    """
    text = os.fspath(store) if isinstance(store, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or not _is_path(text):
        raise UsageError(f"expected a store: {STORES}, got: {shown(store)}")
    scheme, found, _ = text.partition("://")
    find = PLACES.get(scheme) if found else _sqlite
    place = None if find is None else find(text, folder)
    if place is None:
        # The rest of a URL is not shown: it may hold a password.
        raise UsageError(f"expected a store: {STORES}, got: {scheme}://...")
    return place


def address_in(vendor: str, settings: Mapping[str, Any]) -> str | None:
    """The address of a store in a database of the application, as Django's settings describe it; None where it is the
    application's choice.
    """
    if vendor != "postgresql":
        return None
    from .postgresql.address import url_of

    return url_of(settings)


def _is_path(text: str) -> bool:
    """Whether the operating system could take it, and logs and answers could say it: it is UTF-8."""
    try:
        return b"\0" not in os.path.abspath(text).encode() + os.fsencode(text)
    except UnicodeEncodeError:
        return False
    except FileNotFoundError:
        raise UsageError(f"expected a whole path, as the current folder was removed, got: {shown(text)}") from None


def open_store(environment: Environment, place: StorePlace, **options: Unpack[StoreOptions]) -> Store:
    how = place.store if environment.store is None else partial(environment.store, place.address)
    return how(failpoints=environment.failpoints, new_id=environment.new_id, **options)


def meet(environment: Environment, store: Store, boot: str) -> tuple[Presence, Hints, Controls]:
    presence, hints, controls = store.place.meet(store, boot)
    if environment.neighbours is not None:
        presence, hints = environment.neighbours(store, boot)
    return presence, hints, controls if environment.controls is None else environment.controls(store, boot)
