"""Parts that the acting subcommands share: the acting person's name, the confirmation, the message, and a new job.

Each act is one turn of an `Operator`: it needs no runtime, and the runtime that runs or starts next logs it. A command
opens the store once, however much it reads before it acts, and however many jobs it acts on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from ..admin.inspector import Inspector, inspector_at, inspector_of, readable_table
from ..admin.matching import TYPED_ABOVE, actionable, matching
from ..admin.views import Amount
from ..environment.clock import SystemClock
from ..errors import KeyTaken, LamplighterError, UnknownJob, UsageError
from ..messages.jobs import ENDED, JobState, Seconds
from ..rules.printable import visible
from ..rules.validation import check_who
from ..rules.wording import many
from ..stores.opening import place_of
from .options import add_delay, add_dry_run, add_output, add_store, add_who, argument, delay_of, store_of, who_of
from .page import note, page_of, print_json

if TYPE_CHECKING:
    from ..admin.operator import Operator
    from ..admin.sweeping import Sweep, Swept
    from ..api.job import Job
    from ..stores.ports import Readable

VIA = "cli"
PAST = {"requeue": "requeued", "cancel": "cancelled"}


def declare_acting(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    add_who(parser)
    add_dry_run(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do it without asking")
    parser.add_argument("--no-input", action="store_true", help="never ask; without --yes, refuse what would be asked")
    add_output(parser)


add_expect = argument("--expect", type=int, metavar="N", help="do it only if it is this many, as --dry-run has told")


def acting(run: Callable[[Act], int]) -> Callable[[argparse.Namespace], int]:
    """A subcommand of an act, which is over when the subcommand is."""

    def run_it(arguments: argparse.Namespace) -> int:
        with ExitStack() as opened:
            return run(Act(arguments, opened))

    return run_it


class Act:
    """One command that acts. `arguments` are those of a subcommand that `declare_acting` has prepared."""

    def __init__(self, arguments: argparse.Namespace, opened: ExitStack) -> None:
        self.address = store_of(arguments)
        self.is_dry = bool(arguments.dry_run)
        by, self.reason = who_of(arguments)
        # Check this first: `each` counts a later refusal as one of a job.
        check_who(by, self.reason, VIA)
        self._by = by
        self.arguments = arguments
        self._opened = opened

    @cached_property
    def operator(self) -> Operator:
        # Imported only here: commands that only read need no turns.
        from ..admin.operator import Operator

        try:
            return self._opened.enter_context(Operator(self.address, by=self._by, via=VIA))
        except LamplighterError:
            if self.can_look:
                with closing(readable_table(self.address, "list")) as store, store.snapshot():
                    # Where there is no store, or none that can be read, the error of a reader tells so.
                    pass
            raise

    @property
    def can_look(self) -> bool:
        return place_of(self.address).has_table

    @cached_property
    def store(self) -> Readable:
        """The store's file, for looks at it."""
        if self.can_look and not self.is_dry:
            return self.operator.store
        return self._opened.enter_context(closing(readable_table(self.address, "sweep")))

    def inspector(self) -> Inspector:
        if not self.can_look:
            return self._opened.enter_context(inspector_at(self.address))
        return inspector_of(self.store, now=SystemClock().now)

    def done(self, action: str, told: str, **view: Any) -> None:
        try:
            if self.arguments.json:
                print_json({"action": action, **view, "is_done": not self.is_dry})
            else:
                page_of(self.arguments).line(told)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self.is_dry:
                note(f"lamplighter: {action} was done, but the output cannot be written ({error}): {told}")
            # For whoever started the command, this is an output that nobody reads.
            raise BrokenPipeError from error

    def is_sure(self, question: str, count: int = 1) -> bool:
        """Ask for confirmation. Where an act is on many jobs, the person must type how many."""
        if self.arguments.yes:
            return True
        if self.arguments.no_input or not sys.stdin.isatty():
            raise UsageError(f"expected --yes to {question}: nobody can be asked")
        typed = count > TYPED_ABOVE
        how = "Type how many to go on:" if typed else "[y/N]"
        print(visible(f"{question[0].upper()}{question[1:]}? {how} "), end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip().lower()
        if answer.replace(",", "") == str(count) if typed else answer in ("y", "yes"):
            return True
        note("nothing was done")
        return False

    def sweep(self, action: Sweep, text: str, delay: Seconds, *, afresh: bool = False) -> int:
        """Requeue or cancel all jobs that match a query, which must name their states; the exit code."""
        # Imported only here, as below: most commands are given ids, or only read.
        from ..admin.query import parse_query

        now = SystemClock().now()
        query = actionable(parse_query(text, now), action, now)
        store = self.store
        return self.sweep_found(
            action,
            lambda: [job_id for ids in matching(store, query) for job_id in ids],
            query.states,
            delay,
            afresh=afresh,
        )

    def sweep_found(
        self,
        action: Sweep,
        find: Callable[[], Sequence[str]],
        states: Collection[JobState],
        delay: Seconds,
        *,
        afresh: bool = False,
    ) -> int:
        """Find jobs in these states, ask, and act on those that were found, in several turns; the exit code."""
        asked_at = datetime.fromtimestamp(SystemClock().now(), UTC)
        found, expected = find(), self.arguments.expect
        amount, jobs = Amount(count=len(found)), many(len(found), "job")
        if expected is not None and expected != len(found):
            note(f"expected {many(expected, 'job')}, got: {amount}; nothing was done")
            return 1
        if not found:
            note(f"no such job to {action}")
            return 1
        if self.is_dry:
            self.done(action, f"would {action} {jobs}", matching=amount, done=0, changed=0, refused=0)
            return 0
        operator = self.operator
        if not self.is_sure(f"{action} {jobs}", len(found)):
            return 1
        # With --yes nobody was asked, so no time has passed since the jobs were found.
        gone = () if self.arguments.yes else set(found).difference(find())
        if gone:
            left = len(found) - len(gone)
            note(f"expected {jobs}, as you were shown, got: {left:,} of them; nothing was done, look again")
            return 1
        steps = operator.sweep(
            [found], action, delay=delay, afresh=afresh, states=states, until=asked_at, reason=self.reason
        )
        return self._swept(action, amount, steps)

    def _swept(self, action: Sweep, found: Amount, steps: Iterator[Swept]) -> int:
        """Act, and report the progress, also when Ctrl-C ends it."""
        so_far = None
        try:
            for step in steps:
                if so_far is not None:
                    note(f"{so_far.done:,} of {found}")
                so_far = step
        finally:
            if so_far is not None:
                told = f"{PAST[action]} {many(so_far.done, 'job')}"
                told += f"; {many(so_far.changed, 'job')} had changed meanwhile" if so_far.changed else ""
                told += f"; of {many(so_far.refused, 'job')} another one holds the unique key" if so_far.refused else ""
                self.done(action, told, matching=found, **so_far._asdict())
        return 0 if so_far is not None and so_far.done else 1

    def each(self, job_ids: Sequence[str], act: Callable[[str], int]) -> int:
        """Act on one job after the other; 1 if one of them was refused."""
        code = 0
        for job_id in job_ids:
            try:
                code = max(code, act(job_id))
            except (KeyTaken, UnknownJob, UsageError) as error:
                note(f"lamplighter: {error}")
                code = 1
        return code


def declare_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", metavar="ID", help="its id; one that is known adds nothing")
    add_delay(parser)
    parser.add_argument("--at", metavar="TIME", help="due at this instant: +2h, or ISO 8601")


class NewKeywords(TypedDict, total=False):
    """Which id a new job has, and when it is due, as `Operator.queue` and `copy` take it."""

    id: str
    delay: Seconds
    at: datetime


def new_of(arguments: argparse.Namespace) -> NewKeywords:
    options: NewKeywords = {}
    if arguments.id is not None:
        options["id"] = arguments.id
    if arguments.delay is not None:
        options["delay"] = delay_of(arguments)
    if arguments.at is not None:
        from ..admin.query import read_moment

        options["at"] = read_moment(arguments.at, "--at", SystemClock().now())
    return options


def told(act: Act, action: str, job: Job[Any]) -> bool:
    """Say which job was added: its id, and nothing besides; whether it is new."""
    act.done(action, job.id, id=job.id, name=job.name, state=job.state, is_new=not job.deduplicated)
    if job.deduplicated:
        note(f"{job.id} was there already, and is {job.state}; nothing was queued")
    elif job.state in ENDED:
        note(f"{job.id} is {job.state}: {job.reason}")
    return not job.deduplicated
