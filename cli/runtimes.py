"""`lamplighter runtimes`: who works on a store, what each is doing, and to have one be quiet or go on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial

from ..admin.runtimes import Runtimes
from ..environment.clock import SystemClock
from ..errors import LamplighterError, UsageError, check_seconds
from ..messages.controls import ANSWER_SECONDS, Verb
from ..messages.jobs import Attribution
from ..messages.views import QuietAnswer, QuietView, RuntimeView, StacksView
from ..rules.control_lines import plain
from ..rules.printable import visible
from ..rules.wording import attributed, many, span
from ..stores.control_client import BootView, ControlClient
from ..stores.opening import place_of
from .options import (
    Subcommand,
    Times,
    add_dry_run,
    add_output,
    add_store,
    add_watch,
    add_who,
    argument,
    declare_group,
    seconds,
    store_of,
    watched,
    who_of,
)
from .page import Page, listed, note, print_json
from .runtime_pages import ACTOR_HEADS, HEADS, LANE_HEADS, NUMBERS, actor_row, condition, fields, lane_row, row

NOBODY = "lamplighter: no runtime lives on this store"
DOES = {"quiet": "claim no more jobs", "go": "claim jobs again"}

_boot = partial(argument, metavar="BOOT", help="its id, the beginning of it, or its number")
BOOT, ANY_BOOT, BOOTS = _boot("boot"), _boot("boot", nargs="?"), _boot("boots", nargs="*")
ASKING = (
    add_store,
    argument(
        "--timeout", type=seconds, default=ANSWER_SECONDS, metavar="SECONDS", help="for each to answer (%(default)g)"
    ),
    add_output,
)
ACT = (BOOTS, argument("--all", action="store_true", help="all that live"), add_dry_run, *ASKING, add_who)


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return declare_group(
        parser,
        "Who works on a store, and what each is doing, also while it hangs.",
        {
            "list": Subcommand("list the runtimes on a store", (*ASKING, add_watch), _list),
            "show": Subcommand("show one: its health, its jobs, hung threads, what it uses", (BOOT, *ASKING), _show),
            "tree": Subcommand("show the actors of one, or of all that live", (ANY_BOOT, *ASKING, add_watch), _tree),
            "stacks": Subcommand("show where every job, task and thread of one is", (BOOT, *ASKING), _stacks),
            "quiet": Subcommand(
                "have runtimes claim no more jobs; those that run go on", ACT, partial(_act, verb="quiet")
            ),
            "go": Subcommand("have runtimes that are quiet claim jobs again", ACT, partial(_act, verb="go")),
        },
    )


def _list(arguments: argparse.Namespace) -> int:
    runtimes, _ = _open(arguments)

    def show() -> int:
        found, now = runtimes.all(), SystemClock().now()
        if not found:
            note(NOBODY)
        return listed(arguments, found, HEADS, partial(row, now=now), NUMBERS)

    return watched(arguments, show)


def _show(arguments: argparse.Namespace) -> int:
    found = _named(_open(arguments)[0], arguments.boot)
    if found is None:
        return 1
    if arguments.json:
        print_json(found)
        return 0
    page, times = Page(arguments.color), Times(is_utc=arguments.utc)
    page.fields(fields(found, times))
    if found.view is not None:
        _show_jobs(page, found.view, times)
    return 0


def _show_jobs(page: Page, view: RuntimeView, times: Times) -> None:
    if view.lanes:
        page.line("")
        page.table(LANE_HEADS, [lane_row(one, times) for one in view.lanes])
    if view.lanes_open > len(view.lanes):
        page.line(f"and {many(view.lanes_open - len(view.lanes), 'more job')}", "quiet")
    for hung in view.health.abandoned:
        page.line("")
        page.line(f"hung thread: job {hung.job_id} ({hung.job_name}), {hung.why}, runs for {span(hung.seconds)}", "bad")
        _print_stack(page, hung.stack)


def _tree(arguments: argparse.Namespace) -> int:
    runtimes, _ = _open(arguments)

    def show() -> int:
        if arguments.boot is None:
            found = [one for one in runtimes.all() if one.is_alive is not False]
            if not found:
                note(NOBODY)
        else:
            found = [one for one in (_named(runtimes, arguments.boot),) if one is not None]
        if arguments.json:
            actors = [(one.boot, one.view.actors) for one in found if one.view is not None]
            for boot, some in actors:
                for actor in some:
                    print_json({"boot": boot, **plain(actor)})
        else:
            _show_trees(Page(arguments.color), found, Times(is_utc=arguments.utc))
        return 0 if found else 1

    return watched(arguments, show)


def _show_trees(page: Page, found: list[BootView], times: Times) -> None:
    for number, one in enumerate(found):
        if number:
            page.line("")
        words, tone = condition(one)
        page.line(f"{one.words}: {words}", tone)
        if one.view is None:
            page.line(one.unheard or "", "quiet")
        else:
            page.table(ACTOR_HEADS, [actor_row(actor, times) for actor in one.view.actors], right=("life", "mail"))


def _stacks(arguments: argparse.Namespace) -> int:
    runtimes, client = _open(arguments)
    found = _named(runtimes, arguments.boot)
    if found is None:
        return 1
    answer = client.ask(found.boot, "stacks", StacksView)
    if arguments.json:
        for one in answer.stacks:
            print_json({"boot": answer.boot, "pid": answer.pid, **plain(one)})
        return 0
    page = Page(arguments.color)
    for number, one in enumerate(answer.stacks):
        if number:
            page.line("")
        page.line(f"{one.what} {one.name}", "warning" if one.what == "job" else "plain")
        _print_stack(page, one.stack)
    return 0


def _says(quiet: QuietView | None) -> str:
    if quiet is None:
        return "claims jobs"
    return f"claims no more jobs: quiet{attributed(quiet.since, by=quiet.by)}"


def _act(arguments: argparse.Namespace, verb: Verb) -> int:
    """Have runtimes do something; 1 if one of them is not there, or does not answer."""
    if bool(arguments.boots) == arguments.all:
        raise UsageError("expected the ids of runtimes, or --all")
    runtimes, client = _open(arguments)
    by, reason = who_of(arguments)
    who = Attribution(by, "cli", reason)
    if arguments.all:
        found = [one for one in runtimes.all() if one.is_alive is not False]
    else:
        found = [one for one in (_named(runtimes, boot) for boot in arguments.boots) if one is not None]
    done = 0
    for boot in [one.boot for one in found]:
        if arguments.dry_run:
            done += 1
            print(visible(f"would have {boot} {DOES[verb]}"))
            continue
        try:
            answer = client.ask(boot, verb, QuietAnswer, who)
        except LamplighterError as error:
            note(f"lamplighter: {error}")
            continue
        done += 1
        if arguments.json:
            print_json(answer)
        else:
            Page(arguments.color).line(f"{boot} {_says(answer.quiet)}")
    return 0 if done and done >= max(len(found), len(arguments.boots)) else 1


def _open(arguments: argparse.Namespace) -> tuple[Runtimes, ControlClient]:
    """Who lists the runtimes on a store, and who asks them."""
    place = place_of(store_of(arguments))
    client = place.client(check_seconds(arguments.timeout, "--timeout"))
    return Runtimes(None if place.tables is None else place.tables(), client), client


def _named(runtimes: Runtimes, boot: str) -> BootView | None:
    found = runtimes.one(boot)
    if found is None:
        note(f"lamplighter: no runtime instance {boot} is on this store")
    return found


def _print_stack(page: Page, stack: str) -> None:
    for line in stack.splitlines() or ["it does not run now"]:
        page.line(f"  {line}", "quiet")
