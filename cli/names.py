"""`lamplighter names`: the job names of a store, what waits under each, and who takes it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from ..environment.clock import SystemClock
from ..errors import alike
from ..messages.jobs import Instant
from ..operating.look import Look
from ..operating.views import NameView
from ..rules.wording import brief, span
from .groups import Subcommand, declare_group
from .looking import ago, declare_looking, looked, note, page_of, print_json
from .options import Times
from .page import Cell

HEADS = ("name", "ready", "oldest", "running", "lanes", "scheduled", "boots", "what")
NUMBERS = ("ready", "running", "lanes", "scheduled", "boots")


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Declare what the subcommand takes."""
    parser.description = "The job names of a store: what waits under each, and who takes it."
    return declare_group(
        parser,
        {
            "list": Subcommand("list the job names", declare_looking, _list),
            "show": Subcommand("show one", _declare_one, _show),
        },
    )


def _declare_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    declare_looking(parser)


def _list(arguments: argparse.Namespace) -> int:
    def show(look: Look) -> int:
        names, now = look.names(), SystemClock().now()
        if arguments.json:
            for name in names:
                print_json(name)
        elif names:
            page_of(arguments).table(HEADS, [_row(name, now) for name in names], right=NUMBERS)
        return 0 if names else 1

    return looked(arguments, show)


def _row(name: NameView, now: Instant) -> list[Cell]:
    oldest = "" if name.oldest_ready is None else span(max(0.0, now - name.oldest_ready))
    lanes = "" if name.is_parked else "?" if name.lanes is None else f"{name.busy}/{name.lanes}"
    amounts = [_amount(name.ready), oldest, _amount(name.running), lanes, _amount(name.scheduled)]
    return [name.name, *amounts, str(len(name.boots)), _what(name)]


def _amount(amount: object) -> str:
    return "?" if amount is None else str(amount)


def _what(name: NameView) -> Cell:
    """What somebody may have to do something about."""
    told = []
    if name.pause is not None:
        whom = "" if name.pause.by is None else f" by {name.pause.by}"
        because = "" if name.pause.reason is None else f": {brief(name.pause.reason)}"
        told.append(f"paused{whom}{because}")
    if name.is_parked:
        told.append("no handler")
    if name.limit is not None:
        told.append(f"at most {name.limit} at once")
    return "; ".join(told), "warning" if name.pause is not None or name.is_parked else "plain"


def _show(arguments: argparse.Namespace) -> int:
    def show(look: Look) -> int:
        names = {one.name: one for one in look.names()}
        name = names.get(arguments.name)
        if name is None:
            hint = "".join(f"; did you mean {close!r}?" for close in alike(arguments.name, names))
            note(f"no job, handler or pause of the name {arguments.name!r} is known{hint}")
            return 1
        if arguments.json:
            print_json(name)
            return 0
        page_of(arguments).fields(_fields(name, Times(is_utc=arguments.utc)))
        return 0

    return looked(arguments, show)


def _fields(name: NameView, times: Times) -> list[tuple[str, Cell]]:
    now, pause = SystemClock().now(), name.pause
    paused = "" if pause is None else "yes" if pause.since is None else f"since {times.of(pause.since)}"
    if pause is not None:
        paused += "" if pause.by is None else f", by {pause.by}"
        paused += "" if pause.until is None else f", until {times.of(pause.until)}"
        paused += "" if pause.reason is None else f": {pause.reason}"
    return [
        ("name", name.name),
        ("ready", _amount(name.ready)),
        ("oldest", "" if name.oldest_ready is None else f"due {ago(now, name.oldest_ready)}"),
        ("running", _amount(name.running)),
        ("scheduled", _amount(name.scheduled)),
        ("lanes", "not all of them have said" if name.lanes is None else f"{name.busy} of {name.lanes} busy"),
        ("paused", (paused, "warning")),
        ("limit", "" if name.limit is None else f"{name.limit} at once over the whole store"),
        ("handled by", ("no process that lives", "warning") if name.is_parked else ", ".join(name.boots)),
    ]
