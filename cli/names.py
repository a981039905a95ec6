"""`lamplighter names`: the job names of a store, what waits under each, who takes it; and to pause or limit one."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from functools import partial

from ..admin.inspector import Inspector
from ..admin.query import read_moment
from ..admin.views import NameView
from ..environment.clock import SystemClock
from ..errors import UsageError, alike, shown
from ..rules.validation import check_limit, check_name
from ..rules.wording import many
from .acting import Act, acting, declare_acting
from .inspecting import declare_inspecting, inspecting
from .name_pages import HEADS, NUMBERS, amount_of, row
from .options import Subcommand, Times, add_paging, argument, declare_group, limit_of
from .page import Cell, ago, listed, note, print_one

NAME = argument("name", metavar="NAME")
UNTIL = argument("--until", metavar="TIME", help="resume it then: +2h is in two hours; or ISO 8601")
MOST = argument("most", metavar="N", help="over the whole store; none ends the limit")

ALIKE_MAX = 200
"""Among so many names that begin with the same letter, or come after these, one is looked for that may be meant."""


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return declare_group(
        parser,
        "The job names of a store: what waits under each, and who takes it.",
        {
            "list": Subcommand("list the job names, in order", (add_paging, declare_inspecting), _list),
            "show": Subcommand("show one", (NAME, declare_inspecting), _show),
            "pause": Subcommand(
                "start no more jobs of a name, until it is resumed", (NAME, declare_acting, UNTIL), _pause
            ),
            "resume": Subcommand("start the jobs of a name again", (NAME, declare_acting), _resume),
            "limit": Subcommand("let at most so many jobs of a name run at once", (NAME, MOST, declare_acting), _limit),
        },
    )


@inspecting
def _list(arguments: argparse.Namespace, inspector: Inspector) -> int:
    limit = limit_of(arguments)
    found, now = inspector.names(limit=limit + 1, after=arguments.after), SystemClock().now()
    names = found[:limit]
    code = listed(arguments, names, HEADS, partial(row, now=now), NUMBERS)
    if len(found) > limit:
        note(f"more: --after {shlex.quote(names[-1].name)}")
    return code


@inspecting
def _show(arguments: argparse.Namespace, inspector: Inspector) -> int:
    name = inspector.name(arguments.name)
    if name is None:
        _note_unknown(arguments.name, inspector)
        return 1
    return print_one(arguments, name, lambda page: page.fields(_fields(name, Times(is_utc=arguments.utc))))


def _note_unknown(name: str, inspector: Inspector) -> None:
    known = [one.name for one in inspector.names(limit=ALIKE_MAX, after=name[:1])]
    hint = "".join(f"; did you mean {close!r}?" for close in alike(name, known))
    note(f"no job, handler or pause of the name {name!r} is known{hint}")


@acting
def _pause(act: Act) -> int:
    arguments, name = act.arguments, check_name(act.arguments.name)
    until = None if arguments.until is None else read_moment(arguments.until, "--until", SystemClock().now())
    _look_for(act, name)
    if not act.is_dry:
        act.operator.pause(name, until=until, reason=act.reason)
    ends = "until it is resumed" if until is None else f"until {Times(is_utc=arguments.utc).at(until)}"
    told = f"no job of {name} {'would be' if act.is_dry else 'is'} started {ends}"
    act.done("pause", told, name=name, until=None if until is None else until.timestamp())
    return 0


@acting
def _resume(act: Act) -> int:
    name = check_name(act.arguments.name)
    known = _look_for(act, name)
    if act.can_look and (known is None or known.pause is None):
        note(f"{name} is not paused; nothing was done")
        return 1
    if not act.is_dry:
        act.operator.resume(name, reason=act.reason)
    act.done("resume", f"jobs of {name} {'would be' if act.is_dry else 'are'} started again", name=name)
    return 0


@acting
def _limit(act: Act) -> int:
    name, most = check_name(act.arguments.name), _most(act.arguments.most)
    _look_for(act, name)
    if not act.is_dry:
        act.operator.limit(name, most, reason=act.reason)
    count = "as many jobs as its handlers take" if most is None else f"at most {many(most, 'job')}"
    act.done("limit", f"{count} of {name} {'would' if act.is_dry else 'may'} run at once", name=name, most=most)
    return 0


def _most(text: str) -> int | None:
    """How many may run at once; None for `none`: as many as there are places."""
    if text == "none":
        return None
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"expected N to be a whole number from 1 on, or none, got: {shown(text)}")
    return check_limit(int(text))


def _look_for(act: Act, name: str) -> NameView | None:
    """The facts about a name, where they can be seen. A person is warned of an unknown name, which may be a typo;
    it is no error, because a name may be paused before its first job."""
    if not act.can_look:
        return None
    inspector = act.inspector()
    if (found := inspector.name(name)) is None:
        _note_unknown(name, inspector)
    return found


def _fields(name: NameView, times: Times) -> list[tuple[str, Cell]]:
    now, pause = SystemClock().now(), name.pause
    paused = "" if pause is None else "yes" if pause.since is None else f"since {times.of(pause.since)}"
    if pause is not None:
        paused += "" if pause.by is None else f", by {pause.by}"
        paused += "" if pause.until is None else f", until {times.of(pause.until)}"
        paused += "" if pause.reason is None else f": {pause.reason}"
    return [
        ("name", name.name),
        ("ready", amount_of(name.ready)),
        ("oldest", "" if name.oldest_ready is None else f"due {ago(now, name.oldest_ready)}"),
        ("running", amount_of(name.running)),
        ("scheduled", amount_of(name.scheduled)),
        ("lanes", "not all of them have said" if name.lanes is None else f"{name.busy} of {name.lanes} busy"),
        ("paused", (paused, "warning")),
        ("limit", "" if name.limit is None else f"{name.limit} at once over the whole store"),
        ("handled by", ("no process that lives", "warning") if name.is_parked else ", ".join(name.boots)),
    ]
