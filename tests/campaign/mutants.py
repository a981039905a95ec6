"""Bugs that would break a promise, planted one at a time; and how many seeds of a campaign, or which test, notice.

    python mutants.py            every mutant; writes docs/mutants.md
    python mutants.py WORD...    those whose name has one of the words; writes their rows of docs/mutants.md

Each is planted in a copy of the package. A mutant that neither 500 seeds nor its test catch fails the run: its promise
is not tested. So does one for which these could not run: nobody knows whether they would catch it.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "mutants.md"

SEEDS_MAX = 500
SEED_SECONDS_MAX = 120
"""A seed that takes longer has caught its mutant too: something turns in circles."""

SURVIVED = "SURVIVED"
"""What a process says whose seeds have noticed nothing."""

TEST_SECONDS_MAX = 300
"""The same for a test."""

TESTS_PASSED, TESTS_FAILED = 0, 1
"""pytest's exit codes for tests that ran. With any other nobody knows what they would have noticed."""

FILE, RABBITMQ, STEPS = "workload:scenario", "rabbit_workload:scenario", "steps_workload:scenario"
"""The campaigns: hosts on a SQLite file, hosts on the model of a RabbitMQ."""


@dataclass(frozen=True)
class Mutant:
    """One planted bug: in a file, one text in the place of another.

    Attributes:
        also: (file, old, new) of what would else make up for it.
        scenario: the campaign whose seeds look for it, as `lamplighter simulate` takes it.
        test: for a bug that no seed can show, the node id of the test that notices; or several, with spaces between.
    """

    promise: str
    name: str
    file: str
    old: str
    new: str
    also: tuple[tuple[str, str, str], ...] = ()
    scenario: str = FILE
    test: str = ""

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """In which files what is put in the place of what."""
        return [(self.file, self.old, self.new), *self.also]


FENCE, RECOVERY, TURN, SLOTS, LOG, ROAD, LIMITS, SUPERVISION = (
    "the fence",
    "recovery",
    "a turn is a transaction",
    "slots",
    "the log",
    "the one road",
    "limits and order",
    "supervision",
)
MESSAGES = "the messages of RabbitMQ"
ACTS = "whoever acts from outside is told"
LEDGER, LANES = "the ledger of RabbitMQ", "lanes, children, start and stop"
SIGHT = "what hangs can be seen"
FLOW = "what follows is stored with the end"
KEPT = "a step is kept once, and not taken again"
LINKS = "what waits for others is judged once, by what is stored"
RATES = "rates"
TURNS = "groups take turns"
CALLS = "no call with a debounce key is lost"
PEOPLE = "what people do"

MUTANTS = (
    Mutant(
        TURN,
        "two threads take turns at once",
        "environment/mailbox.py",
        "            if is_lent:",
        "            if is_lent := True:",
        test="tests/actors/test_standing_in.py::test_a_mailbox_is_lent_only_while_its_reader_waits",
    ),
    Mutant(
        TURN,
        "a caller's message comes before mail that waits",
        "actors/base.py",
        "                self.actor_ref.tell(new)\n            for _ in",
        "                self._own_context.run(self.on_receive, new)\n            for _ in",
        test="tests/actors/test_standing_in.py::test_who_stands_in_takes_along_what_the_broker_has_not_begun_to_read",
    ),
    Mutant(
        TURN,
        "the end of a lane comes behind what the next job queues",
        "actors/base.py",
        "                self.hear_first()\n",
        "",
        test="tests/actors/test_standing_in.py::"
        "test_what_a_lane_has_told_its_actor_comes_before_what_the_next_job_queues",
    ),
    Mutant(
        TURN,
        "what is left when somebody has stood in waits for the next message",
        "environment/mailbox.py",
        "                    self._reading.clear()\n                finally:\n                    if self._mail:",
        "                    self._reading.clear()\n                finally:\n                    if False:",
        test="tests/actors/test_standing_in.py::"
        "test_a_reader_that_is_woken_while_another_has_its_place_does_not_wait_for_it",
    ),
    Mutant(
        TURN,
        "of several that are left when somebody has stood in, only the first is read",
        "environment/mailbox.py",
        "        if (envelope := self.take()) is not None:\n            return envelope\n",
        "",
        test="tests/actors/test_standing_in.py::test_all_that_is_left_when_somebody_has_stood_in_is_read",
    ),
    Mutant(
        ROAD,
        "an error from outside does not say which jobs it leaves uncertain",
        "rules/new_jobs.py",
        "        if error is not None and not isinstance(error, LamplighterError):",
        "        if error is None:",
        test="tests/boot/test_unavailable.py::test_an_error_that_comes_when_a_job_is_stored_names_it",
    ),
    Mutant(
        SUPERVISION,
        "the watchdog gives up when the next supervisor cannot be started",
        "supervisor.py",
        "                self._context.clock.after(WATCH_AGAIN_SECONDS, lambda: self._deaths.put(True))",
        "                return",
        test="tests/test_supervisor.py::test_a_supervisor_that_could_not_be_started_is_started_later",
    ),
    Mutant(
        SUPERVISION,
        "a thread that a tracer has ended at once is taken for one that runs",
        "environment/threads.py",
        "        while not thread.has_begun:",
        "        while False:",
        test="tests/test_supervisor.py::test_a_part_that_a_tracer_ends_at_once_has_died",
    ),
    Mutant(
        SUPERVISION,
        "health is green though the thread of a part has ended without a word",
        "boot/views.py",
        "unheard=self._supervision.unheard(),",
        "unheard=(),",
        test="tests/test_supervisor.py::test_a_part_whose_thread_has_ended_without_a_word_is_told_by_health",
    ),
    Mutant(
        SUPERVISION,
        "an error from outside, as a place is taken, leaves it taken for ever",
        "environment/mailbox.py",
        "        try:\n            is_lent = self._reading.setdefault(READER, here[READER]) == here[READER]\n",
        "        is_lent = self._reading.setdefault(READER, here[READER]) == here[READER]\n        try:\n",
        test="tests/actors/test_standing_in.py::test_an_error_from_outside_finds_the_place_given_back[setdefault]",
    ),
    Mutant(
        SUPERVISION,
        "an error from outside, as a turn begins, leaves its transaction open for ever",
        "stores/sqlite/store.py",
        "            try:\n                writelock.begin(writer, self._busy_ms)\n",
        "            writelock.begin(writer, self._busy_ms)\n            try:\n",
        test="tests/stores/sqlite/test_store.py::"
        "test_an_error_from_outside_as_a_turn_begins_leaves_no_transaction_open",
    ),
    Mutant(
        SUPERVISION,
        "what a turn has begun on a caller's thread is not left before the actor is forgotten",
        "actors/base.py",
        "            traceback.clear_frames(error.__traceback__)\n",
        "",
        test="tests/actors/test_standing_in.py::"
        "test_what_a_turn_has_begun_and_not_left_is_left_on_the_thread_that_it_dies_on",
    ),
    Mutant(
        SUPERVISION,
        "an actor that is about to die is stood in for",
        "actors/base.py",
        "return self._fatal is None and self.may",
        "return self.may",
        test="tests/actors/test_standing_in.py::test_an_actor_that_is_about_to_die_is_not_stood_in_for",
    ),
    Mutant(
        LANES,
        "what may wait for a child process is handled in the midst of a turn",
        "actors/handler_actor.py",
        '(getattr(first.message, "body", None), (Run, LanesEnded))',
        "(first.message, Mail)",
        test="tests/actors/test_standing_in.py::test_what_may_wait_for_a_child_is_for_an_actors_own_thread",
    ),
    Mutant(
        LANES,
        "what waits behind a claim is handled in the midst of a turn, whatever it may have to wait for",
        "actors/base.py",
        "                if self.may_be_stood_in_for:",
        "                if True:",
        test="tests/actors/test_standing_in.py::test_what_may_wait_for_a_child_is_for_an_actors_own_thread",
    ),
    Mutant(
        TURN,
        "on RabbitMQ a caller takes a turn that may last longer than it can wait",
        "stores/rabbitmq/store.py",
        "waits_seconds_max: Seconds = ANSWER_SECONDS_MAX",
        "waits_seconds_max: Seconds = 0.0",
        test="tests/stores/rabbitmq/test_standing_in.py"
        "::test_who_would_give_up_before_the_server_must_have_confirmed_takes_no_turn",
    ),
    Mutant(
        SUPERVISION,
        "nobody hears that a turn has died on a caller's thread",
        "actors/base.py",
        "            self._fatal = error\n            if over is not None:\n                self.actor_ref.tell(over)",
        "            self._note_death(error)",
        test="tests/actors/test_standing_in.py::test_a_turn_that_dies_on_a_callers_thread_is_the_brokers_death",
    ),
    Mutant(
        SUPERVISION,
        "whoever was read as a turn died on a caller's thread waits in vain",
        "actors/base.py",
        "            if message is not self.in_hand:",
        "            if False:",
        test="tests/actors/test_standing_in.py::test_who_waits_behind_a_turn_that_dies_asks_the_next_broker",
    ),
    Mutant(
        SUPERVISION,
        "a caller whose thread has killed a broker takes the next one's turn too",
        "boot/requests.py",
        "here=here and not self._deaths",
        "here=here",
        test="tests/actors/test_standing_in.py::test_what_a_broker_has_died_of_is_for_the_next_ones_own_thread",
    ),
    Mutant(
        TURN,
        "what a host raises into a turn is held against its messages",
        "actors/job_broker.py",
        "            if self.is_lent:\n",
        "            if False:\n",
        test="tests/actors/test_standing_in.py::"
        "test_whatever_a_host_raises_into_a_turn_nothing_is_refused_or_left_untold[store.turn.begin-2]",
    ),
    Mutant(
        TURN,
        "what fails behind a commit has its turn tried again",
        "stores/sqlite/store.py",
        "                elif (\n                    is_sealed\n",
        "                elif (\n                    False\n",
        test="tests/actors/test_standing_in.py::"
        "test_memory_that_is_short_after_a_commit_loses_nothing_of_the_turn[store.turn.committed]",
    ),
    Mutant(
        TURN,
        "what fails behind the store has a turn tried again that it has stored",
        "actors/job_broker.py",
        "            elif isinstance(error, Exception):",
        "            elif False:",
        test="tests/actors/test_standing_in.py::"
        "test_memory_that_is_short_after_a_commit_loses_nothing_of_the_turn[turn.ended]",
    ),
    Mutant(
        SUPERVISION,
        "what hosts raise into their threads spends the broker's budget",
        "supervisor.py",
        "        if not death.is_anothers:\n",
        "        if True:\n",
        test="tests/actors/test_standing_in.py::"
        "test_what_a_host_raises_into_its_threads_spends_no_budget_of_the_brokers",
    ),
    Mutant(
        SUPERVISION,
        "what a HandlerActor dies of on the broker's thread spends no budget",
        "actors/base.py",
        "is_anothers=self._fatal is not None and self.is_lent_to_hosts,",
        "is_anothers=self._fatal is not None,",
        test="tests/actors/test_standing_in.py::"
        "test_what_a_handler_actor_dies_of_on_the_brokers_thread_spends_its_budget",
    ),
    Mutant(
        LANES,
        "the application's code sees lines in a turn on a caller's thread",
        "actors/job_broker.py",
        "self.turn_times.are_quick and self.context.log.is_ours",
        "self.turn_times.are_quick",
        test="tests/actors/test_standing_in.py::test_nobody_stands_in_where_the_applications_code_sees_lines[filter]",
    ),
    Mutant(
        LANES,
        "an object of the application's at standard error is taken for Python's own",
        "log/sinks.py",
        "    return sys.stderr is sys.__stderr__\n",
        "    return True\n",
        test="tests/actors/test_standing_in.py::test_nobody_stands_in_where_the_applications_code_sees_lines[stderr]",
    ),
    Mutant(
        LANES,
        "the application's factory of records is called in a turn on a caller's thread",
        "log/outlets.py",
        "logging.getLogRecordFactory() is logging.LogRecord",
        "True",
        test="tests/actors/test_standing_in.py::test_nobody_stands_in_where_the_applications_code_sees_lines[factory]",
    ),
    Mutant(
        LANES,
        "a call in the midst of a turn waits for itself",
        "boot/requests.py",
        "        if broker is not None and broker.is_busy_here:\n",
        "        if False:\n",
        test="tests/actors/test_standing_in.py::"
        "test_a_call_in_the_midst_of_a_turn_is_refused_at_once[caller-log.write]",
    ),
    Mutant(
        LANES,
        "a finalizer at the end of the interpreter waits for threads that are no more",
        "environment/replies.py",
        "        if sys.is_finalizing() and not self._is_over:\n",
        "        if False:\n",
        test="tests/faults/test_exits.py::test_a_finalizer_at_the_end_of_python_is_told_that_nobody_answers",
    ),
    Mutant(
        LANES,
        "a finalizer at the end of the interpreter waits for another broker",
        "boot/requests.py",
        "                if sys.is_finalizing():\n",
        "                if False:\n",
        test="tests/faults/test_exits.py::test_a_finalizer_at_the_end_of_python_is_told_that_nobody_answers",
    ),
    Mutant(
        LOG,
        "a line that a host has raised into is lost",
        "log/emitter.py",
        "            lost = self._lost(lines)\n        if lost is not None:\n            # The disk",
        "            pass\n        if lost is not None:\n            # The disk",
        test="tests/actors/test_standing_in.py::"
        "test_whatever_a_host_raises_into_a_turn_nothing_is_refused_or_left_untold[log.write-1]",
    ),
    Mutant(
        LOG,
        "the lines of a turn carry what a caller has bound",
        "actors/base.py",
        "self._own_context.run(self.on_receive, over)",
        "self.on_receive(over)",
        test="tests/actors/test_standing_in.py::test_a_turn_on_a_callers_thread_says_nothing_of_what_the_caller_has_bound",
    ),
    Mutant(
        LANES,
        "a thread in which an error may be raised takes a turn",
        "handlers/threads.py",
        '        self.thread.may_be_struck = lane.handler.on_timeout == "raise"\n',
        "",
        test="tests/actors/test_standing_in.py::test_a_handler_whose_timeout_raises_takes_no_turn",
    ),
    Mutant(
        LANES,
        "a signal's handler may raise in the midst of a turn",
        "environment/threads.py",
        "        here is not threading.main_thread()\n        and not getattr",
        "        not getattr",
        test="tests/actors/test_standing_in.py::test_nobody_stands_in_where_that_could_be_interrupted",
    ),
    Mutant(
        ACTS,
        "on RabbitMQ nobody tells what an operator has done",
        "stores/rabbitmq/state.py",
        '[act.boot._replace(turn=int(act.became == "done")) for act in acts] if leads else []',
        "[]",
        scenario=RABBITMQ,
    ),
    Mutant(
        ACTS,
        "on RabbitMQ an operator's act is told whenever another leads",
        "stores/rabbitmq/turn.py",
        'records += [{"is": "act told", "boot": boot} for boot in sorted(state.acts_told)]',
        "pass",
        test="tests/stores/rabbitmq/test_operator.py::test_many_acts_are_told_once_each_whoever_leads",
    ),
    Mutant(
        ACTS,
        "on RabbitMQ whoever is killed in the middle of an act is told of by nobody",
        "stores/rabbitmq/turn.py",
        "self._turn.ops.begins.append(act_begins(act))",
        "self._turn.ops.records.append(act_begins(act))",
        test="tests/stores/rabbitmq/test_operator.py::test_of_one_who_is_killed_midway_it_is_told_what_nobody_can_know",
    ),
    Mutant(
        ACTS,
        "on RabbitMQ a dead job that an operator requeues is dead still",
        "stores/rabbitmq/session.py",
        "        self.state.dead.await_return()\n",
        "",
        test="tests/stores/rabbitmq/test_operator.py::test_dead_jobs_are_requeued_beside_a_runtime_which_tells_it",
    ),
    Mutant(
        ACTS,
        "on RabbitMQ whoever holds a job acts on it though whoever asked has given up",
        "boot/asked_jobs.py",
        "return self._is_late()",
        "return False",
        test="tests/stores/rabbitmq/test_acting_elsewhere.py::test_one_that_hangs_is_named_and_does_not_do_it_later",
    ),
    Mutant(
        ACTS,
        "on RabbitMQ a process that was stopped acts on what was asked long before",
        "boot/asked_jobs.py",
        "abs(age) > WANTED_SECONDS",
        "age is None",
        test="tests/stores/rabbitmq/test_acting_elsewhere.py::"
        "test_one_that_hears_it_too_late_by_its_clock_does_nothing",
    ),
    Mutant(
        ACTS,
        "on RabbitMQ nobody says for whom a job was cancelled elsewhere",
        "boot/asked_jobs.py",
        "CancelJob(job_id, reply, who)",
        "CancelJob(job_id, reply)",
        test="tests/stores/rabbitmq/test_acting_elsewhere.py::test_who_holds_a_job_cancels_it_and_says_who_wanted_that",
    ),
    Mutant(
        FENCE,
        "of many ends in one statement a stale one is taken for current",
        "stores/sqlite/job_rows.py",
        "    is_done = done == len(jobs)\n",
        "    is_done = True\n",
        test="tests/stores/sqlite/test_moves.py::test_ends_that_are_settled_together_are_as_if_one_by_one",
    ),
    Mutant(
        FENCE,
        "of many ends in one statement each is stored whatever claim holds the job",
        "stores/sqlite/job_rows.py",
        "where no = each.column1 and claim_no = each.column2 and state",
        "where no = each.column1 and each.column2 > 0 and state",
        test="tests/stores/sqlite/test_moves.py::test_ends_that_are_settled_together_are_as_if_one_by_one",
    ),
    Mutant(
        FENCE,
        "where one of many ends is stale the others are taken for stale too",
        "stores/sqlite/job_rows.py",
        '        connection.execute("rollback to lamplighter_together")\n',
        "        pass\n",
        test="tests/stores/sqlite/test_moves.py::test_ends_that_are_settled_together_are_as_if_one_by_one",
    ),
    Mutant(
        FENCE,
        "an ending is stored by its job alone",
        "stores/sqlite/job_rows.py",
        'where no = ? and claim_no = ? and state = ?"',
        'where no = ? and ? is not null and ? is not null"',
    ),
    Mutant(
        FENCE,
        "a claim does not raise the fence",
        "stores/transitions.py",
        '"claim_no": job.claim_no + passed + 1,',
        '"claim_no": max(1, job.claim_no),',
    ),
    Mutant(
        FENCE,
        "a requeue sets the fence back",
        "stores/transitions.py",
        '"run_at": run_at,\n        "waits": ',
        '"claim_no": 0,\n        "run_at": run_at,\n        "waits": ',
    ),
    Mutant(
        TURN,
        "a sweep acts on what its query asks for no more",
        "broker/jobs.py",
        "if matches(query, job))",
        "if query is not None)",
        test="tests/boot/test_many_jobs.py::test_what_is_no_more_what_was_found_is_left",
    ),
    Mutant(
        LIMITS,
        "a sweep takes all that it has found into one turn",
        "boot/many_jobs.py",
        "BATCH_JOBS_MAX = 500",
        "BATCH_JOBS_MAX = 500_000",
        test="tests/boot/test_many_jobs.py::test_many_are_done_in_turns_of_so_many_each_of_them_in_the_ledger",
    ),
    Mutant(
        TURN,
        "a job that has not ended is forgotten",
        "broker/jobs.py",
        "    if job.state not in ENDED:\n        raise UsageError",
        "    if not job.state:\n        raise UsageError",
        test="tests/broker/test_forgetting.py::test_one_that_has_not_ended_is_refused_with_what_to_do",
    ),
    Mutant(
        FENCE,
        "a job gets the number of one that was forgotten",
        "stores/sqlite/removal.py",
        "    _clear_up_after(turn, [GoneParent(job.no, job.id, job.name, job.state, job.rev)])\n",
        "",
        test="tests/broker/test_forgetting.py::test_its_id_and_its_unique_key_are_free_and_the_next_job_has_a_life_of_its_own",
    ),
    Mutant(
        LOG,
        "the ledger does not tell that a job was forgotten",
        "history/replay/replay.py",
        'case "forgotten":\n                store.jobs.pruned += 1',
        'case "forgotten":\n                store.jobs.pruned += 0',
        test="tests/broker/test_forgetting.py::test_the_audit_of_log_and_store_finds_nothing_and_the_trace_tells_it",
    ),
    Mutant(
        SIGHT,
        "that jobs wait for a handler is said when they come, and never again",
        "broker/neighbours.py",
        "            self._look_for_parked()\n",
        "",
        test="tests/broker/test_queued_jobs.py::test_a_name_that_nobody_handles_is_warned_of_again_while_its_jobs_wait",
    ),
    Mutant(
        SIGHT,
        "a call without connection= in an AsyncSession that has written waits for itself",
        "stores/sqlite/host_engines.py",
        '        raw = getattr(raw, "_conn", raw)\n',
        "",
        test="tests/test_async_connections.py::"
        "test_a_call_without_connection_in_an_async_session_that_has_written_is_refused",
    ),
    Mutant(
        SIGHT,
        "a call that does not block is refused for the transaction of another task",
        "stores/sqlite/host_engines.py",
        "(blocks or one.task is task)",
        "True",
        test="tests/test_async_connections.py::"
        "test_a_transaction_of_another_task_is_waited_for_by_a_call_that_does_not_block",
    ),
    Mutant(
        SIGHT,
        "in Django nobody sees what jobs carry",
        "contrib/django/page.py",
        'may | {"data"} if user.has_perm(DATA_PERMISSION) else may',
        "may",
        test="tests/contrib/django/test_page.py",
    ),
    Mutant(
        SIGHT,
        "a page of Django's that the admin hides is not warned of",
        "contrib/django/checks.py",
        "if view_at(path) is not page:",
        "if view_at(path) is None:",
        test="tests/contrib/django/test_page.py",
    ),
    Mutant(
        SIGHT,
        "local time is exported as if it were UTC",
        "cli/export.py",
        "datetime.fromtimestamp(instant, UTC).isoformat",
        "datetime.fromtimestamp(instant).replace(tzinfo=UTC).isoformat",
        test="tests/cli/test_export.py::test_times_in_csv_are_in_utc_wherever_the_machine_is",
    ),
    Mutant(
        SIGHT,
        "a time without a zone is taken for local time",
        "operating/query.py",
        "(time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()",
        "time.timestamp()",
        test="tests/operating/test_query.py::test_a_time_without_a_zone_is_in_utc_wherever_the_machine_is",
    ),
    Mutant(
        SIGHT,
        "of jobs that others have queued nobody says that they wait for a handler",
        "broker/parked.py",
        "for name in store.due_names(now, PARKED_NAMES_MAX) if",
        "for name in list(self.said) if",
        test="tests/broker/test_queued_jobs.py::test_due_jobs_from_before_a_start_are_warned_of_if_nobody_handles_them",
    ),
    Mutant(
        SIGHT,
        "each of very many names that nobody handles has a line",
        "broker/parked.py",
        "if news and count > NAMES_TOLD_MAX:",
        "if False:",
        test="tests/broker/test_queued_jobs.py::test_very_many_names_that_nobody_handles_are_one_line_and_not_one_each",
    ),
    Mutant(
        SIGHT,
        "a runtime that does not say what it declares is passed over",
        "scheduler.py",
        "declared = Runtimes(store, ControlRoom(store.path)).declared(but=boot.id)\n",
        "declared = Runtimes(store, ControlRoom(store.path)).declared(but=boot.id) or {}\n",
        test="tests/test_listing_schedules.py::test_one_that_does_not_answer_is_said_and_not_passed_over",
    ),
    Mutant(
        LANES,
        "a child process runs its jobs without what carriers put around them",
        "handlers/child.py",
        'Carriers([_InChild(place) for place in about["around"]])',
        "Carriers(())",
        test="tests/handlers/test_carriers.py"
        "::test_a_child_process_gets_what_a_carrier_gives_and_puts_around_what_it_says",
    ),
    Mutant(
        LOG,
        "an audit on a server judges a job that was delivered again in the order in which the lines are read",
        "history/replay/jobs.py",
        "if not self.is_server or self._tangles is None:",
        "if True:",
        test="tests/stores/rabbitmq/test_audit.py"
        "::test_an_audit_says_the_same_in_whichever_order_the_logs_of_the_boots_lie",
    ),
    Mutant(
        LOG,
        "the checksum of a ledger line does not cover which line of which actor tells it",
        "log/emitter.py",
        'if "crc" in line:',
        "if False:",
        also=(
            (
                "history/replay/replay.py",
                "return checksum((line.event, line.boot, line.seq, line.actor, line.incarnation), checksum(told))",
                "return checksum(told)",
            ),
        ),
        test="tests/history/audit/test_audit.py"
        "::test_a_line_of_the_ledger_whose_event_number_or_teller_was_changed_is_found",
    ),
    Mutant(
        LOG,
        "a ledger line at another level is believed",
        "history/replay/replay.py",
        "elif line.level in OTHER_LEVELS:",
        "elif False:",
        test="tests/history/audit/test_audit.py"
        "::test_a_line_of_the_ledger_whose_event_number_or_teller_was_changed_is_found",
    ),
    Mutant(
        LOG,
        "a line of the ledger without its checksum is believed",
        "history/audit/verdicts.py",
        "for line in store.without_sum if store.has_sums else ():",
        "for line in ():",
        test="tests/history/audit/test_audit.py"
        "::test_a_line_without_the_checksum_that_all_others_of_its_store_have_is_found",
    ),
    Mutant(
        LOG,
        "the audit judges by instants though a turn lies before the one before it",
        "history/audit/verdicts.py",
        "any(boot.has_jumped or boot.turned_back for boot",
        "any(boot.has_jumped for boot",
        test="tests/history/audit/test_groups.py"
        "::test_that_a_clock_was_set_is_seen_where_whoever_knew_of_it_was_killed[1.5-False]",
    ),
    Mutant(
        RECOVERY,
        "a dead boot's jobs are not taken back",
        "broker/boots.py",
        "            _bury(context, dead, orphans.pop(dead.boot, []))\n",
        "            _bury(context, dead, [])\n            orphans.pop(dead.boot, [])\n",
    ),
    Mutant(
        RECOVERY,
        "the claims of a dead HandlerActor are not given back",
        "broker/claims.py",
        "(job for job in open_claims if not job.deferred)",
        "()",
        (
            (
                "broker/claims.py",
                "    if actor in state.unreconciled or not same:",
                "    if actor in state.unreconciled:",
            ),
        ),
    ),
    Mutant(
        RECOVERY,
        "claims that were on their way when a broker died are believed delivered",
        "broker/claims.py",
        '            context.interrupt([job], "it was not delivered")',
        "            held[key] = job",
    ),
    Mutant(
        RECOVERY,
        "an outcome is dropped when the broker dies",
        "actors/handler_actor.py",
        "                self._tell_ended(*self._unsettled.values())",
        "                self._unsettled.clear()",
    ),
    Mutant(
        RECOVERY,
        "what a dead HandlerActor was told of and had not read is waited for",
        "actors/handler_actor.py",
        "        self._lanes_ended()\n        self._offer()",
        "        self._offer()",
    ),
    Mutant(
        RECOVERY,
        "a HandlerActor that died with the broker's question in hand is waited for",
        "broker/claims.py",
        "    if state.unreconciled.get(actor) == body.incarnation and body.answers != state.sync_id:",
        "    if actor in state.unreconciled and body.answers != state.sync_id:",
    ),
    Mutant(
        RECOVERY,
        "a boot cannot be registered a second time",
        "stores/sqlite/boots.py",
        "insert or replace into lamplighter_boots",
        "insert into lamplighter_boots",
    ),
    Mutant(
        RECOVERY,
        "a commit whose outcome is unknown is taken for one that failed",
        "actors/job_broker.py",
        "        if isinstance(error, CommitUnknown):\n            self._ask_the_living()\n",
        "        if isinstance(error, CommitUnknown):\n            pass\n",
    ),
    Mutant(
        RECOVERY,
        "a boot whose row is gone goes on",
        "actors/job_broker.py",
        "if turn.lost is not None and self._carried_over.renewal is None:",
        "if False:",
        test="tests/boot/test_boots.py::test_an_idle_boot_notices_that_it_was_buried",
    ),
    Mutant(
        RECOVERY,
        "a boot that asks again to be registered forgets what it has not told",
        "stores/sqlite/boots.py",
        "        boot_no, number, unlogged = known\n",
        "        boot_no, number, unlogged = known[0], 0, encode_own(boot.unlogged)\n",
        test="tests/boot/test_boots.py::test_another_boots_first_turn_is_told_though_its_broker_dies",
    ),
    Mutant(
        RECOVERY,
        "what runs for a boot without a row is left to it",
        "broker/boots.py",
        "    for boot, jobs in orphans.items():",
        "    for boot, jobs in ():",
        test="tests/boot/test_boots.py::test_jobs_that_run_for_a_boot_without_a_row_are_taken_back_by_the_next_start",
    ),
    Mutant(
        RECOVERY,
        "a store that has gone back is taken for what it was",
        "stores/sqlite/open_turn.py",
        "            return BootLost(says, turn_was=was.number or 0)\n",
        "            return None\n",
        test="tests/boot/test_boots.py::test_a_store_that_goes_back_is_said_and_its_claims_of_then_run_again",
    ),
    Mutant(
        RECOVERY,
        "a turn goes by what was seen before another boot's, or before one that has failed",
        "stores/sqlite/store.py",
        "self._seen = None if seen is None else seen._replace(version=None)",
        "pass",
        test="tests/stores/sqlite/test_overview.py",
    ),
    Mutant(
        RECOVERY,
        "a turn goes by what was seen though somebody else has committed",
        "stores/sqlite/open_turn.py",
        "version == self.version and 0.0",
        "0.0",
        test="tests/stores/sqlite/test_overview.py",
    ),
    Mutant(
        RECOVERY,
        "a turn does not know what the one before has made ripe",
        "stores/sqlite/moves.py",
        "turn.has_ripe = links.ripen(turn.connection, parent_no) or turn.has_ripe",
        "links.ripen(turn.connection, parent_no)",
        test="tests/stores/sqlite/test_overview.py::test_what_it_goes_by_covers_what_it_would_find",
    ),
    Mutant(
        FENCE,
        "an attempt of the boot before ends a claim of the same number",
        "broker/claims.py",
        "    return claim.job.boot == context.state.boot\n",
        "    return True\n",
        test="tests/boot/test_boots.py::test_an_attempt_from_before_a_store_went_back_ends_no_claim_of_the_same_number",
    ),
    Mutant(
        RECOVERY,
        "the time for which a lock file was missing once counts for the next time",
        "broker/neighbours.py",
        "if unsure or not all(",
        "if not all(",
        test="tests/boot/test_boots.py::test_a_lock_file_that_is_removed_again_much_later_buries_nobody_either",
    ),
    Mutant(
        RECOVERY,
        "a boot whose lock file may not be opened counts as alive, and nobody is told",
        "stores/presence.py",
        "return None if error.errno in FORBIDDEN else True",
        "return True",
        test="tests/stores/test_presence.py",
    ),
    Mutant(
        RECOVERY,
        "a boot whose lock file may not be opened is taken for dead",
        "broker/boots.py",
        "        return True\n    now = ",
        "        return False\n    now = ",
        test="tests/boot/test_boots.py::test_a_neighbour_whose_lock_file_may_not_be_opened_keeps_its_jobs",
    ),
    Mutant(
        SIGHT,
        "health is green though a neighbour's lock file may not be opened",
        "boot/health.py",
        "yellow += [*hidden, *waiting]",
        "yellow += waiting",
        test="tests/boot/test_boots.py::test_a_neighbour_whose_lock_file_may_not_be_opened_keeps_its_jobs",
    ),
    Mutant(
        SIGHT,
        "health is green while SQLite's log grows",
        "stores/sqlite/store.py",
        "if size <= self._wal_bytes_max:",
        "if size >= 0:",
        test="tests/boot/test_views.py::test_health_is_yellow_while_the_log_beside_the_file_is_too_long",
    ),
    Mutant(
        LIMITS,
        "a host's own connection that may not write is a store that is unavailable",
        "stores/sqlite/store.py",
        "Translation(self.address, HOST_FAILURES)",
        "self._translated",
        test="tests/boot/test_own_transactions.py::test_what_a_hosts_own_connection_refuses_is_sqlites_own_error",
    ),
    Mutant(
        SUPERVISION,
        "the death of an older incarnation counts against the one that lives",
        "supervisor.py",
        "if child is None or child.incarnation != death.incarnation:",
        "if child is None:",
        test="tests/test_supervisor.py::test_the_death_of_an_older_incarnation_that_is_told_late_counts_for_nothing",
    ),
    Mutant(
        SUPERVISION,
        "a quarantined child that is asked for again has its old deaths against it",
        "supervisor.py",
        "        child.deaths.clear()\n",
        "",
        test="tests/test_supervisor.py::test_a_quarantined_child_that_is_asked_for_again_has_a_whole_budget",
    ),
    Mutant(
        SIGHT,
        "a control socket that was full once is deaf from then on",
        "stores/controls.py",
        "            selector.register(self._listens, selectors.EVENT_READ)\n        del self._callers",
        "            pass\n        del self._callers",
        test="tests/stores/test_controls.py::test_a_socket_that_was_full_once_answers_whoever_comes_later",
    ),
    Mutant(
        RECOVERY,
        "whoever waits for a job that has left the store is told nothing",
        "broker/joins.py",
        "for job_id in awaited if job_id not in known]",
        "for job_id in ()]",
        test="tests/boot/test_boots.py::test_a_caller_that_waits_for_a_job_that_has_left_the_store_is_told_so",
    ),
    Mutant(
        SLOTS,
        "the scheduler goes on by what it knew before its store went back",
        "actors/scheduler_actor.py",
        "if self._boot != boot:",
        "if self._boot is None:",
    ),
    Mutant(
        SLOTS,
        "the scheduler reads only what has changed since a number of the store before it went back",
        "actors/scheduler_actor.py",
        "            self._sent.clear()\n            self._seen = 0\n",
        "            self._sent.clear()\n",
        test="tests/boot/test_boots.py::test_a_durable_schedule_fires_on_after_its_store_went_back",
    ),
    Mutant(
        RECOVERY,
        "a boot whose lock file is gone is dead at once",
        "broker/boots.py",
        "    if alive is not None:\n        return alive\n",
        "    return bool(alive)\n",
        test="tests/boot/test_boots.py::test_a_cleaned_folder_buries_nobody_and_is_there_again",
    ),
    Mutant(
        RECOVERY,
        "any close of a lock file ends a life",
        "stores/locks.py",
        '        if _ask("F_OFD_SETLK", descriptor) is None:',
        '        if _ask("F_SETLK", descriptor) is None:',
        test="tests/stores/test_presence.py::test_a_backup_that_reads_the_lock_files_takes_nobodys_life",
    ),
    Mutant(
        RECOVERY,
        "a forked child keeps its dead parent alive",
        "stores/presence.py",
        "after_in_child=_let_go_in_child)",
        "after_in_child=_own_lock.release)",
        test="tests/stores/test_presence.py::test_a_child_does_not_keep_its_dead_parent_alive",
    ),
    Mutant(
        RECOVERY,
        "who is alone looks for nobody",
        "broker/neighbours.py",
        "        wanted = not self._state.presence.is_sole\n",
        "        wanted = bool(self._state.others)\n",
        test="tests/boot/test_boots.py::test_a_runtime_that_believes_to_be_alone_finds_a_neighbour_without_a_hint",
    ),
    Mutant(
        RECOVERY,
        "a start that fails leaves what it began",
        "runtime.py",
        "                boot.give_up()\n",
        "",
        test="tests/boot/test_boots.py",
    ),
    Mutant(
        TURN,
        "a turn is stored in a file that is gone",
        "stores/sqlite/store.py",
        '            self._failpoints.at("store.turn.begin")\n            if self._files is not None:\n',
        '            self._failpoints.at("store.turn.begin")\n            if False:\n',
        test="tests/stores/sqlite/test_store_files.py::test_nothing_is_acknowledged_into_a_file_that_is_gone",
    ),
    Mutant(
        TURN,
        "a turn is acknowledged that went into a log which nobody finds",
        "stores/sqlite/store.py",
        "                self._files.check(beside=True)\n        except StoreGone",
        "                pass\n        except StoreGone",
        test="tests/stores/sqlite/test_store_files.py::test_nothing_is_acknowledged_into_a_file_that_is_gone",
    ),
    Mutant(
        TURN,
        "a file that may not be asked for its number is taken for gone",
        "stores/sqlite/log_identity.py",
        "    return identity(path)",
        "    return None",
        test="tests/stores/sqlite/test_log_identity.py::test_it_is_that_of_the_system",
    ),
    Mutant(
        TURN,
        "whoever believes to be last deletes the log of a host that has read its file",
        "stores/sqlite/connections.py",
        "        holds = (hold.take(self._address, hold.SHARED), hold",
        "        holds = (None, hold",
        test="tests/stores/sqlite/test_store_files.py::"
        "test_a_host_that_reads_its_own_file_keeps_the_log_that_it_commits_to",
    ),
    Mutant(
        TURN,
        "whoever believes to be first cuts the shared memory of a host that has read it",
        "stores/sqlite/connections.py",
        'hold.take(f"{self._address}-shm", hold.DEAD_MAN))',
        "None)",
        test="tests/stores/sqlite/test_store_files.py::"
        "test_a_host_that_reads_the_memory_that_it_shares_is_not_taken_for_gone",
    ),
    Mutant(
        TURN,
        "a stop stores an old log over what others have stored",
        "stores/sqlite/connections.py",
        "        if not self._is_anothers():",
        "        if True:",
        test="tests/stores/sqlite/test_store_files.py::"
        "test_a_runtime_that_stops_writes_nothing_over_what_others_stored_in_a_new_log",
    ),
    Mutant(
        TURN,
        "a log that was removed is lost though nobody has begun another",
        "stores/sqlite/connections.py",
        "        return any(there[path] is not None and there[path] != known for path, known in own.items())",
        "        return there != own",
        test="tests/stores/sqlite/test_store_files.py::test_a_log_that_was_removed_is_stored_when_its_only_runtime_stops",
    ),
    Mutant(
        TURN,
        "a job on another file does not wait for the commit of Django's transaction",
        "contrib/django/transactional_jobs.py",
        "            transaction.on_commit(partial(self._queue_now, jobs, corr), using=connection.alias)\n",
        "            self._queue_now(jobs, corr)\n",
        test="tests/contrib/django/test_transactions.py::"
        "test_a_job_of_a_transaction_that_rolls_back_never_was[elsewhere]",
    ),
    Mutant(
        TURN,
        "a producer starts in the transaction whose lock its start waits for",
        "contrib/django/transactional_jobs.py",
        "        boot = self._current_boot.running\n",
        "        boot = self._current_boot.get()\n",
        test="tests/contrib/django/test_transactions.py::"
        "test_nothing_starts_in_a_transaction_whose_lock_the_start_would_wait_for",
    ),
    Mutant(
        TURN,
        "a job on a connection in autocommit mode is stored at once",
        "stores/sqlite/host_connection.py",
        "        _check_transaction(raw)\n",
        "",
        test="tests/stores/sqlite/test_host_connections.py::"
        "test_a_connection_in_autocommit_mode_is_refused_until_the_host_has_begun",
    ),
    Mutant(
        TURN,
        "a forked child keeps the log of its dead host",
        "stores/sqlite/hold.py",
        "after_in_child=_let_go_in_child)",
        "after_in_child=_lock.release)",
        test="tests/stores/sqlite/test_store_files.py::test_a_child_that_outlives_its_host_does_not_keep_the_log",
    ),
    Mutant(
        LIMITS,
        "a reader that is being closed counts as back",
        "stores/sqlite/readers.py",
        "        # The connection counts as lent until",
        "        with self._lock:\n            self._lent = 0\n        # The connection counts as lent until",
        test="tests/stores/sqlite/test_readers.py::test_a_connection_that_is_being_closed_is_not_back_yet",
    ),
    Mutant(
        LIMITS,
        "a fork takes along what it could not close",
        "stores/sqlite/store.py",
        "            self._check_inherited()\n",
        "",
        test="tests/stores/sqlite/test_readers.py::"
        "test_a_child_that_was_forked_in_the_middle_of_a_read_may_not_open_the_file",
    ),
    Mutant(
        LIMITS,
        "as many may read as like to",
        "stores/sqlite/readers.py",
        "self._lent < READERS_MAX",
        "True",
        test="tests/stores/sqlite/test_readers.py::test_no_more_read_at_once_than_there_may_be_connections",
    ),
    Mutant(
        LOG,
        "an audit on a server takes a part that was published twice for one that ended twice",
        "history/replay/jobs.py",
        "            if any(move.q in again for move in tangles[job_id].moves):\n",
        "            if False:\n",
        test="tests/history/audit/test_stores.py::test_a_part_that_a_killed_process_may_have_published_ends_twice[1]",
    ),
    Mutant(
        LOG,
        "an audit takes a job for one that is long gone, where turns are missing",
        "history/replay/steps.py",
        '            self._jobs.doubtful.append(DoubtfulMove("step twice", says, told, earlier, None))\n',
        '            self._findings.say("step twice", says, earlier.line, told.line)\n',
        test="tests/history/audit/test_steps.py::test_a_job_born_again_in_a_missing_turn_keeps_its_steps_anew",
    ),
    Mutant(
        LOG,
        "an audit excuses jobs that no missing turn can have queued",
        "history/audit/store_check.py",
        "holed = [boot for boot in boots if boot.misses_turns]",
        "holed = boots",
        test="tests/history/audit/test_dropped.py::test_a_job_that_no_missing_turn_can_have_queued_is_an_orphan",
    ),
    Mutant(
        LOG,
        "an audit calls jobs orphans that a full disk has left out of the log",
        "history/audit/store_check.py",
        " or cut or holed else",
        " else",
        test="tests/history/audit/test_dropped.py",
    ),
    Mutant(
        LOG,
        "an audit passes over what runs for no boot",
        "history/audit/store_check.py",
        "        for job_id, boot in self._stored.orphans():",
        "        for job_id, boot in ():",
        test="tests/boot/test_boots.py::test_an_audit_names_a_job_that_runs_for_a_boot_without_a_row",
    ),
    Mutant(
        RECOVERY,
        "every boot is believed to live",
        "broker/boots.py",
        "living = [boot for boot in runtimes if _lives(context.state, boot, untraced, hidden)]",
        "living = runtimes",
    ),
    Mutant(
        RECOVERY,
        "every other boot is believed dead",
        "broker/boots.py",
        "living = [boot for boot in runtimes if _lives(context.state, boot, untraced, hidden)]",
        "living = []",
    ),
    Mutant(
        TURN,
        "a reply goes out before the commit",
        "broker/dispatch.py",
        "            context.out.replies.append((reply, value, None))",
        "            answer_all([(reply, value, None)])",
        (("broker/dispatch.py", "import reply_of\n", "import answer_all, reply_of\n"),),
    ),
    Mutant(
        TURN,
        "messages go out before the commit",
        "actors/job_broker.py",
        "                self._work(own, batch)\n",
        "                self._work(own, batch)\n                for to, body, speaker in out.tells:\n"
        "                    self.context.post.tell(to, body, speaker=speaker)\n"
        "                out.tells.clear()\n",
    ),
    Mutant(
        TURN,
        "a turn that fails is not rolled back",
        "stores/sqlite/store.py",
        'writer.execute("rollback")\n                elif',
        'writer.execute("commit")\n                elif',
    ),
    Mutant(
        SLOTS,
        "a slot and its job are stored in two transactions",
        "broker/schedules.py",
        "    context.turn.jobs.insert([job])\n",
        '    context.turn.connection.execute("commit")\n    context.turn.connection.execute("begin immediate")\n'
        "    context.turn.jobs.insert([job])\n",
    ),
    Mutant(
        SLOTS,
        "a slot may fire again, with another job",
        "stores/sqlite/schedules.py",
        '"insert or ignore into lamplighter_slots',
        '"insert or replace into lamplighter_slots',
        (
            ("broker/schedules.py", "    if known.change_no != body.change_no:", "    if False:"),
            ("broker/schedules.py", 'f"{schedule.id}-{slot:.6f}"', 'f"{schedule.id}-{slot:.6f}-{id(object())}"'),
        ),
    ),
    Mutant(
        SLOTS,
        "a slot that fired in a false future, and may not fire when it comes, is not told",
        "broker/schedules.py",
        "        _taken(context, schedule, gone.first)\n",
        "",
        test="tests/broker/test_clocks.py::"
        "test_a_slot_of_a_false_future_is_told_when_it_comes_and_may_not_fire[paused]",
    ),
    Mutant(
        SLOTS,
        "a slot that fired is skipped as well, behind others that were",
        "stores/sqlite/schedules.py",
        "where schedule_id = ? and slot <= ? order by slot desc limit 1",
        "where schedule_id = ? and slot < ? order by slot desc limit 1",
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::test_a_slot_that_fired_is_not_skipped_as_well",
    ),
    Mutant(
        SLOTS,
        "catch-up is computed from now",
        "actors/scheduler_actor.py",
        "            accounted_to=active.accounted_to,\n            now=now,",
        "            accounted_to=max(active.accounted_to, now - 1.0),\n            now=now,",
    ),
    Mutant(
        SLOTS,
        "what was accounted for in a false future silences its schedule",
        "stores/sqlite/clock_steps.py",
        "return Stepped(step, jobs, _recount(turn))",
        "return Stepped(step, jobs, 0)",
        test="tests/broker/test_clocks.py::test_a_clock_that_was_a_year_ahead_for_a_moment_silences_no_schedule",
    ),
    Mutant(
        SLOTS,
        "what was skipped in a false future does not come",
        "stores/sqlite/clock_steps.py",
        "        _take_back_skips(turn, schedule)\n",
        "",
        test="tests/broker/test_clocks.py::test_a_clock_that_was_a_year_ahead_for_a_moment_silences_no_schedule",
    ),
    Mutant(
        SLOTS,
        "the job of a slot in a false future waits until that comes",
        "cron/schedule.py",
        "        due_in=due_in,",
        "        due_in=None,",
        test="tests/broker/test_clocks.py::test_a_slot_that_fired_in_a_false_future_holds_up_none_that_comes_before_it",
    ),
    Mutant(
        SLOTS,
        "nothing is said of slots behind one that fired in a false future",
        "broker/schedules.py",
        "        if following is None or following.slot > gone.last:\n",
        "        if True:\n",
        test="tests/broker/test_clocks.py::test_slots_that_are_missed_behind_one_that_fired_in_a_false_future_are_said",
    ),
    Mutant(
        SLOTS,
        "a tick that was thought in a false future is stored after it",
        "broker/schedules.py",
        "    if body.accounting.accounted_to > context.turn.now + STEP_SECONDS_MIN:",
        "    if False:",
        test="tests/broker/test_clocks.py::test_what_was_thought_in_a_false_future_is_not_stored_after_it",
    ),
    Mutant(
        SLOTS,
        "what is stored is ticked before the host has declared its schedules",
        "actors/scheduler_actor.py",
        "        if self._may_tick():\n",
        "        if True:\n",
        (("actors/scheduler_actor.py", "        if not self._may_tick():\n", "        if False:\n"),),
        test="tests/broker/test_schedule_lives.py::"
        "test_a_schedule_that_was_changed_between_two_lives_fires_nothing_of_the_old_rule",
    ),
    Mutant(
        SLOTS,
        "the memory of a removed schedule goes on",
        "stores/sqlite/schedules.py",
        "r.change_no is s.change_no",
        "0",
        test="tests/broker/test_schedule_lives.py::test_a_removal_is_remembered_in_the_next_life",
    ),
    Mutant(
        SLOTS,
        "slots that did not fire are not recorded",
        "broker/schedules.py",
        "    for gone in body.accounting.skipped:",
        "    for gone in body.accounting.skipped[:0]:",
    ),
    Mutant(
        LOG,
        "a host's line is dated by the line before it",
        "history/log_files/search.py",
        '            if "ts" in said:\n',
        '            if "seq" in said and "ts" in said:\n',
        (
            (
                "history/log_files/search.py",
                '                said["beside"] = latest',
                '                said["ts"] = latest',
            ),
        ),
        test="tests/history/log_files/test_formats.py::test_the_lines_of_a_host_are_dated_by_themselves_at_every_level",
    ),
    Mutant(
        LOG,
        "a long line that Docker has cut stays in pieces",
        "history/log_files/frames.py",
        "        if goes_on and",
        "        if False and goes_on and",
        test="tests/history/log_files/test_formats.py::test_a_long_line_in_pieces_is_whole_again",
    ),
    Mutant(
        LOG,
        "a line of pairs is passed over if an error in it quotes JSON",
        "history/log_files/unwrapping.py",
        "            if not begins_with_pairs(_text(raw[:start])):\n",
        "            if True:\n",
        test="tests/history/log_files/test_formats.py::"
        "test_errors_that_quote_json_and_what_a_recovery_tells_are_read_in_every_format",
    ),
    Mutant(
        LOG,
        "what a recovery tells is read from JSON alone",
        "history/log_files/fields.py",
        "        return msgspec.json.decode(msgspec.json.encode(ast.literal_eval(value)), type=kind)\n",
        "        raise\n",
        test="tests/history/log_files/test_formats.py::"
        "test_errors_that_quote_json_and_what_a_recovery_tells_are_read_in_every_format",
    ),
    Mutant(
        LOG,
        "a log that nobody can read is taken for an empty one",
        "history/log_files/lines.py",
        "    if len(again) == len(paths) and next(",
        "    if False and next(",
        test="tests/history/log_files/test_formats.py::test_a_log_in_no_known_format_is_refused_with_its_first_line",
    ),
    Mutant(
        LOG,
        "what a log holds may drive the terminal",
        "cli/page.py",
        "        text = visible(text)\n",
        "",
        test="tests/rules/test_visible.py::test_no_answer_of_the_command_drives_the_terminal",
    ),
    Mutant(
        LOG,
        "what an error holds may drive the console",
        "rules/printable.py",
        '"Cc", "Cf"',
        '"Cf"',
        test="tests/rules/test_visible.py::test_the_console_shows_what_is_hostile_as_text",
    ),
    Mutant(
        LOG,
        "which jobs hold a limit is not told",
        "boot/boot.py",
        "            concurrency_total=handler.concurrency_total,\n",
        "",
        test="tests/history/trace/test_waiting.py::test_a_log_tells_why_each_job_waits",
    ),
    Mutant(
        LOG,
        "a value of the wrong kind is reckoned with",
        "history/log_files/fields.py",
        "if name not in KINDS or _fits(name, value)",
        "if True",
        test="tests/history/log_files/test_hostile.py::test_a_wrong_value_in_every_line_is_left_out_of_the_answer",
    ),
    Mutant(
        TURN,
        "a turn that changes nothing takes a number",
        "rules/turn_record.py",
        "        if not moves:\n",
        "        if False:\n",
        test="tests/support/test_conformance.py::test_a_store_that_keeps_every_promise_passes",
    ),
    Mutant(
        TURN,
        "what a host changed in its own transaction is never counted",
        "stores/sqlite/jobs.py",
        "        if turn.has_host_moves:\n",
        "        if False:\n",
    ),
    Mutant(
        TURN,
        "what a host's transaction has changed is not worth a turn",
        "stores/sqlite/due.py",
        "select ({NEXT_EXPIRY}), exists (select 1 from lamplighter_jobs where rev <= 0)",
        "select ({NEXT_EXPIRY}), 0",
        test="tests/stores/sqlite/test_host_connections.py::"
        "test_more_jobs_of_one_transaction_than_a_turn_takes_are_all_told_of",
    ),
    Mutant(
        TURN,
        "what a host's transaction has made of a schedule is not worth a turn",
        "stores/sqlite/due.py",
        "                  or exists (select 1 from lamplighter_schedule_changes)",
        "",
        test="tests/stores/sqlite/test_store.py::TestStoreInAFile::"
        "test_a_schedule_follows_the_hosts_transaction_and_one_turn_carries_it_out",
    ),
    Mutant(
        TURN,
        "what a host's transaction has made of a schedule counts from the turn that carries it out",
        "stores/sqlite/schedules.py",
        "        return self._declare((change.record,), min(since, self._turn.now))[0]\n",
        "        return self._declare((change.record,), self._turn.now)[0]\n",
        test="tests/broker/test_schedules_in_own_transactions.py::"
        "test_slots_between_the_call_and_a_turn_that_knows_of_it_are_not_lost",
    ),
    Mutant(
        TURN,
        "a schedule that a host's transaction has removed is in no ledger",
        "stores/sqlite/schedules.py",
        '                self._turn.note({"k": "schedule.removed", "s": before.id})\n',
        "",
        test="tests/broker/test_schedules_in_own_transactions.py::"
        "test_each_process_carries_a_removal_out_and_the_log_has_it",
    ),
    Mutant(
        TURN,
        "a job gets the number of one that retention has removed",
        "stores/sqlite/removal.py",
        "    if any(job.no == turn.last_no for job in gone):",
        "    if False:",
        test="tests/stores/sqlite/test_schema.py::test_the_number_of_a_job_that_was_removed_is_given_to_no_other",
    ),
    Mutant(
        RECOVERY,
        "a boot leaves though its last turn is unlogged",
        "broker/standing.py",
        "    if own is not None and own.turn == logged and not",
        "    if own is not None and not",
        test="tests/broker/test_leaving.py::test_a_boot_that_has_not_told_its_last_turn_stays_for_the_others",
    ),
    Mutant(
        LOG,
        "a moves count of a job stands still",
        "stores/sqlite/moves.py",
        '"rev": job.rev + 1}',
        '"rev": job.rev}',
    ),
    Mutant(
        LOG,
        "what a dead broker had not logged is not told",
        "broker/boots.py",
        "    if own is not None and own.turn > logged:",
        "    if False and own is not None:",
    ),
    Mutant(
        LOG,
        "what a dead boot had not logged is not told",
        "broker/boots.py",
        "    context.turn.unlogged.extend(dead.unlogged)\n",
        "",
    ),
    Mutant(
        LOG,
        "what a turn does to schedules is not in the ledger",
        "stores/sqlite/schedules.py",
        "            self._turn.note(schedule_move(news, stored, self._turn.now))\n",
        "",
        test="tests/support/test_conformance.py::test_a_store_that_keeps_every_promise_passes",
    ),
    Mutant(
        LOG,
        "a turn counts as logged before it is",
        "actors/job_broker.py",
        "            self.leads, self._recovered = turn.leads, True\n",
        "            self.leads, self._recovered = turn.leads, True\n"
        "            self._carried_over.take(out, self._state.boot)\n",
    ),
    Mutant(
        LOG,
        "what is told late is held against the newest rule",
        "history/replay/slots.py",
        "        is_older = step.line.told_by is not None or step.at < change.at\n",
        "        is_older = False\n",
        test="tests/history/audit/test_audit.py::test_a_slot_that_is_told_after_a_change_is_judged_by_the_older_rule",
    ),
    Mutant(
        LOG,
        "on RabbitMQ a killed process excuses whatever comes after it",
        "history/audit/verdicts.py",
        "        if doubt.by is None:\n            return False\n",
        "        if doubt.by is None:\n            return True\n",
        test="tests/stores/rabbitmq/test_audit.py::test_every_edit_deletion_and_swap_in_a_log_with_kills_is_found",
    ),
    Mutant(
        LOG,
        "a gap of turns is no finding",
        "history/audit/verdicts.py",
        "            for gap in boot.turns.gaps(first, last)\n",
        "            for gap in ()\n",
        test="tests/history/audit/test_audit.py::test_a_gap_names_its_turn",
    ),
    Mutant(
        LOG,
        "the tail of a dead boot is not missed",
        "history/replay/replay.py",
        "                boot.come_to(last, step.line)\n",
        "",
        test="tests/history/audit/test_audit.py::test_the_tail_of_a_dead_boot_is_missed",
    ),
    Mutant(
        LOG,
        "the log of a whole boot is not missed",
        "history/audit/verdicts.py",
        "        for number in range(least, max(numbers)):",
        "        for number in ():",
        test="tests/history/audit/test_audit.py::test_the_whole_log_of_a_boot_is_missed",
    ),
    Mutant(
        LOG,
        "a turn need not be told as it was written",
        "history/replay/replay.py",
        "        if crc != line.crc:",
        "        if False:",
        test="tests/history/audit/test_audit.py::test_a_turn_that_is_not_told_as_it_was_written_is_found",
    ),
    Mutant(
        LOG,
        "a copy of a turn may tell something else",
        "history/replay/replay.py",
        "            self._check_copy(line, boot)\n",
        "",
        test="tests/history/audit/test_audit.py::"
        "test_a_copy_that_tells_other_moves_is_found_also_where_it_comes_second",
    ),
    Mutant(
        LOG,
        "moves that are told too early are lost",
        "history/replay/jobs.py",
        "        self.waiting.setdefault(step.move.j, []).append(step)\n",
        "",
        test="tests/history/audit/test_audit.py::"
        "test_moves_of_several_hosts_follow_one_another_in_whatever_order_they_are_read",
    ),
    Mutant(
        LOG,
        "who ends a claim is not looked at",
        "history/replay/jobs.py",
        '        if job.state == "running" and job.boot not in',
        "        if False and job.boot not in",
        test="tests/history/audit/test_audit.py::test_an_ending_by_a_boot_that_does_not_hold_the_claim_is_found",
    ),
    Mutant(
        LOG,
        "a line for people may say anything",
        "history/replay/replay.py",
        "                self.lines_of[line.boot].check(line)\n",
        "                pass\n",
        test="tests/history/audit/test_audit.py::test_each_flipped_field_of_a_line_about_a_move_is_found",
    ),
    Mutant(
        LOG,
        "an event of a newer version is passed over",
        "history/replay/replay.py",
        "        if line.event not in EVENTS:\n            self.newer[line.event] += 1\n",
        "        if line.event not in EVENTS:\n",
        test="tests/history/audit/test_newer.py",
    ),
    Mutant(
        LOG,
        "lines of another store are of this one",
        "history/replay/replay.py",
        "        store = self.stores.get(store_id)\n",
        "        store = next(iter(self.stores.values()), None)\n",
        test="tests/history/audit/test_stores.py",
    ),
    Mutant(
        LOG,
        "a process that a RabbitMQ took a job from is alive for ever",
        "history/replay/jobs.py",
        "                    self.bereft[one.boot] = max(latest, step, key=lambda told: told.line.ts)\n",
        "                pass\n",
        test="tests/history/audit/test_stores.py::test_a_redelivery_is_told_as_one_and_a_killed_process_is_counted",
    ),
    Mutant(
        LOG,
        "what was before a log is missed",
        "history/audit/verdicts.py",
        "        begins_later = bool(headless)",
        "        begins_later = False and bool(headless)",
        test="tests/history/audit/test_stores.py::test_what_was_before_any_log_of_a_rabbitmq_is_not_missed",
    ),
    Mutant(
        LOG,
        "the audit forgets a slot that fired after eight others",
        "history/replay/slots.py",
        "FIRED_KEPT_MAX = 512",
        "FIRED_KEPT_MAX = 8",
        test="tests/history/audit/test_audit.py::"
        "test_two_jobs_of_one_slot_are_found_though_five_hundred_slots_lie_between",
    ),
    Mutant(
        LOG,
        "a change that a recovery tells of explains what came before it",
        "history/replay/slots.py",
        "        if not other.follows(self.change.no) or self.first <= other.at:\n            return False\n",
        "",
        test="tests/history/audit/test_audit.py"
        "::test_a_rule_that_only_a_recovery_tells_of_explains_no_more_than_it_can",
    ),
    Mutant(
        LOG,
        "ranges of numbers that touch are not joined",
        "history/replay/number_ranges.py",
        "        if joins_left and joins_right:",
        "        if False:",
        (
            ("history/replay/number_ranges.py", "        elif joins_left:", "        elif False:"),
            ("history/replay/number_ranges.py", "        elif joins_right:", "        elif False:"),
        ),
        test="tests/history/log_files/test_lines.py::"
        "test_revisions_that_come_in_any_order_weigh_as_much_as_they_have_gaps",
    ),
    Mutant(
        LOG,
        "lines are told before the commit",
        "actors/job_broker.py",
        "                self._work(own, batch)\n",
        "                self._work(own, batch)\n"
        "                log_lines(self.context.log, out, self._itself, self._state.boot, self._store.store_id)\n"
        "                out.lines.clear()\n",
    ),
    Mutant(
        LOG,
        "whoever looks at records is passed over",
        "log/outlets.py",
        "return found if is_loggings_own and type(logger) is logging.Logger and not logger.filters else None",
        "return found",
        test="tests/log/test_writes.py::test_whoever_looks_at_records_sees_each_line_and_the_file_has_it[stand_in]",
    ),
    Mutant(
        LOG,
        "a pipe gets many lines at once, and others' lines may be within them",
        "log/sinks.py",
        "stat.S_ISREG(os.fstat(self._fd).st_mode)",
        "True",
        test="tests/log/test_writes.py::test_a_pipe_that_several_may_share_gets_line_by_line",
    ),
    Mutant(
        LOG,
        "of the lines that a full disk has lost one is counted",
        "log/sinks.py",
        'Unwritten(min(rest.count(b"\\n"), text.count(b"\\n")) + (lost.lines if lost else 0), error)',
        "Unwritten(1, error)",
        test="tests/log/test_writes.py::"
        "test_a_disk_that_fills_within_a_write_keeps_whole_lines_and_the_rest_is_counted",
    ),
    Mutant(
        LOG,
        "a line of a transition is forgotten",
        "broker/claims.py",
        '        context.turn.jobs.release(given.job, "not started")',
        '        context.turn.jobs.release(given.job, "not started")\n'
        "        context.out.transitions.extend(context.turn.transitions[len(context.out.transitions) :])",
    ),
    Mutant(
        ROAD,
        "an interruption uses an attempt",
        "rules/lifecycle.py",
        "        attempt=job.attempt,\n        run_at=min(job.run_at, now),",
        "        attempt=job.attempt + 1,\n        run_at=min(job.run_at, now),",
    ),
    Mutant(
        ROAD,
        "a prefetched claim is blamed for a crash",
        "rules/lifecycle.py",
        "blamed = outcome.blamed and bool(job.counts_attempt)",
        "blamed = outcome.blamed",
        (
            (
                "stores/sqlite/attempts.py",
                "and outcome = 'interrupted' and begun and ended_at >= ?",
                "and outcome = 'interrupted' and ended_at >= ?",
            ),
        ),
    ),
    Mutant(
        ROAD,
        "an error that discard_on names is tried again",
        "rules/lifecycle.py",
        "is_tried_again(outcome.error_classes, policy.retry_on, policy.discard_on)",
        "is_tried_again(outcome.error_classes, policy.retry_on, frozenset())",
        test="tests/handlers/test_retried_errors.py::test_an_error_that_discard_on_names_is_dead_at_once[thread]",
    ),
    Mutant(
        ROAD,
        "an error that retry_on does not name is tried again",
        "rules/lifecycle.py",
        "is_tried_again(outcome.error_classes, policy.retry_on, policy.discard_on)",
        "is_tried_again(outcome.error_classes, None, policy.discard_on)",
        test="tests/handlers/test_retried_errors.py::test_an_error_that_retry_on_does_not_name_is_dead_at_once[task]",
    ),
    Mutant(
        ROAD,
        "nobody hears what the error of a child process was",
        "handlers/processes.py",
        "tuple(said.error_classes)",
        "()",
        test="tests/handlers/test_retried_errors.py::test_an_error_that_discard_on_names_is_dead_at_once[process]",
    ),
    Mutant(
        ROAD,
        "the death of a thread is taken for an error of its function",
        "rules/exception_classes.py",
        "return retry_on is None or not error_classes",
        "return retry_on is None",
        test="tests/handlers/test_retried_errors.py::"
        "test_a_task_that_is_cancelled_from_outside_of_its_function_is_tried_again",
    ),
    Mutant(
        ROAD,
        "a dead actor is blamed on its jobs",
        "broker/turn_context.py",
        "Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason), Policy())",
        "Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, blamed=True), Policy())",
    ),
    Mutant(
        ROAD,
        "a deadline passes and nothing happens",
        "actors/handler_actor.py",
        '        self._give_up(lane, "timed out", outcome)',
        "        return",
    ),
    Mutant(
        ROAD,
        "a job that was started by the lane before it has no deadline",
        "actors/handler_actor.py",
        "        if following is not None and following.id in self._running:\n            self._started(following)\n",
        "",
        test="tests/handlers/test_prefetch.py::test_a_job_that_another_ones_lane_has_started_is_said_to_be_and_has_its_deadline",
    ),
    Mutant(
        ROAD,
        "a claim stays in line though it has its lane",
        "handlers/backlog.py",
        "            if lane is not None:\n                self._waiting.popleft()\n            return lane",
        "            return lane",
        test="tests/handlers/test_lanes.py::test_the_first_that_waits_gets_the_place_of_a_lane_that_ends",
    ),
    Mutant(
        ROAD,
        "the process dies where memory is short as JSON text is made",
        "rules/codec.py",
        "    encoder.encode_into(value, text)",
        "    text += encoder.encode(value)",
        test="tests/rules/test_codec.py::test_memory_that_is_short_is_an_error_and_does_not_end_the_process",
    ),
    Mutant(
        ROAD,
        "a claim whose handler has returned never times out",
        "broker/claims.py",
        "    for job in context.turn.jobs.overdue():\n",
        "    for job in ():\n",
    ),
    Mutant(
        ROAD,
        "a stop takes back what waits to be marked done",
        "stores/sqlite/jobs.py",
        "where state = 'running' and boot = ? and not deferred",
        "where state = 'running' and boot = ?",
        test="tests/broker/test_deferred_claims.py::test_a_job_that_waits_for_its_token_outlives_its_process[stopped]",
    ),
    Mutant(
        ROAD,
        "what waits to be marked done is taken back when its process has died",
        "stores/sqlite/jobs.py",
        "(select boot from lamplighter_boots) and not deferred\n",
        "(select boot from lamplighter_boots)\n",
        test="tests/broker/test_deferred_claims.py::test_a_job_that_waits_for_its_token_outlives_its_process[killed]",
    ),
    Mutant(
        ROAD,
        "the ledger does not tell that a job waits to be marked done",
        "broker/claims.py",
        '        context.turn.note({"k": "deferred",',
        '        dict({"k": "deferred",',
        test="tests/broker/test_deferred_claims.py::test_a_job_that_waits_for_its_token_outlives_its_process[killed]",
    ),
    Mutant(
        ROAD,
        "who ends an overdue claim counts attempts otherwise than the handler did",
        "stores/transitions.py",
        '        "max_attempts": max_attempts if claimed.max_attempts is None else claimed.max_attempts,\n',
        "",
        test="tests/broker/test_deferred_claims.py"
        "::test_its_timeout_goes_on_without_its_process_and_any_runtime_ends_it[1]",
    ),
    Mutant(
        ROAD,
        "a claim without a timeout expires as the queued job would have",
        "stores/transitions.py",
        '        "expires_at": None if left is None else now + left,\n',
        '        **({} if left is None else {"expires_at": now + left}),\n',
        (("stores/sqlite/jobs.py", 'heed_expiry(changes["expires_at"])', 'heed_expiry(changes.get("expires_at"))'),),
        test="tests/broker/test_deferred_claims.py::test_a_claim_that_never_times_out_does_not_expire_either",
    ),
    Mutant(
        ROAD,
        "claims that are given back are forgotten",
        "broker/claims.py",
        '        context.turn.jobs.release(given.job, "not started")',
        "        pass",
    ),
    Mutant(
        LIMITS,
        "what waits for some seconds waits for an instant when the clock is stepped",
        "stores/sqlite/clock_steps.py",
        "        if abs(step) <= STEP_SECONDS_MIN:\n",
        "        if True:\n",
        test="tests/broker/test_clocks.py::"
        "test_what_waits_for_so_many_seconds_waits_for_so_many_whatever_the_clock_does",
    ),
    Mutant(
        LIMITS,
        "each process on a file makes good for a step",
        "stores/sqlite/clock_steps.py",
        "    if reading.counter is not None:\n        turn.clock =",
        "    if turn.clock.counter is None:\n        turn.clock =",
        test="tests/broker/test_clocks.py::test_of_several_processes_one_alone_makes_good_for_a_step",
    ),
    Mutant(
        LIMITS,
        "what waits since a false future waits until it comes",
        "stores/sqlite/clock_steps.py",
        "jobs = turn.connection.execute(BOUND_WAITS, bounds).rowcount",
        "jobs = 0 * len(bounds)",
        test="tests/broker/test_clocks.py::test_a_wait_from_a_clock_years_ahead_ends_though_nobody_saw_it_set_right",
    ),
    Mutant(
        LIMITS,
        "a clock that is wrong for a moment has all history removed",
        "stores/sqlite/turn.py",
        "        if self.clock.is_in_doubt(self.now):\n",
        "        if False:\n",
        test="tests/broker/test_clocks.py::test_a_clock_that_is_years_ahead_for_a_moment_removes_no_history",
    ),
    Mutant(
        LIMITS,
        "a clock that is set back half the way is believed at once",
        "rules/known_clock.py",
        "            doubted += step\n",
        "            doubted += 0\n",
        test="tests/broker/test_clocks.py::test_a_clock_that_is_set_back_only_half_the_way_removes_no_history_yet",
    ),
    Mutant(
        LIMITS,
        "on RabbitMQ a clock that is wrong for a moment has slots forgotten",
        "stores/rabbitmq/turn.py",
        " or self.state.clock.is_in_doubt(self.now):",
        ":",
        test="tests/stores/rabbitmq/test_clocks.py::test_a_clock_that_is_a_year_ahead_for_a_moment_has_no_slot_forgotten",
    ),
    Mutant(
        LIMITS,
        "on RabbitMQ the seconds until a job expires pass by each host's own clock",
        "stores/rabbitmq/state.py",
        "        self._ahead = max(ahead, self._ahead) if epoch == self._told_by else ahead\n",
        "",
        test="tests/stores/rabbitmq/test_clocks.py::test_seconds_until_a_job_expires_pass_by_no_hosts_clock",
    ),
    Mutant(
        LIMITS,
        "on RabbitMQ a job that is given back unbegun forgets when it expires",
        "stores/rabbitmq/turn_draft.py",
        "deadline = None if step.job.expires_at is None else delivery.deadline",
        "deadline = None",
        test="tests/stores/rabbitmq/test_clocks.py::"
        "test_a_job_that_is_given_back_unbegun_still_expires_when_its_seconds_have_passed",
    ),
    Mutant(
        LIMITS,
        "a job may snooze for ever",
        "errors.py",
        "or not 0 <= seconds <= SECONDS_MAX:",
        'or not 0 <= seconds < float("inf"):',
        test="tests/handlers/test_handlers.py::test_a_handler_that_snoozes_for_ever_fails_and_is_told_why",
    ),
    Mutant(
        LIMITS,
        "a host's clock is believed though it was stepped since",
        "broker/jobs.py",
        "    if -STEP_SECONDS_MIN <= now - job.queued_at <= mail_seconds_max:\n",
        "    if True:\n",
        test="tests/broker/test_clocks.py::test_a_job_whose_mail_was_read_after_a_step_waits_from_then",
    ),
    Mutant(
        LIMITS,
        "a job runs before it is due",
        "stores/sqlite/due.py",
        "name = :name and priority = :priority and run_at <= :now {CLAIMABLE}",
        "name = :name and priority = :priority {CLAIMABLE}",
        (
            (
                "stores/sqlite/due.py",
                "self.waiting is not None and self.waiting <= now",
                "self.waiting is not None",
            ),
        ),
    ),
    Mutant(
        LIMITS,
        "two unfinished jobs hold one key",
        "stores/sqlite/schema.py",
        "create unique index lamplighter_jobs_unique on lamplighter_jobs (name, unique_key)\n       where",
        "create index lamplighter_jobs_unique on lamplighter_jobs (name, unique_key)\n       where",
    ),
    Mutant(
        LIMITS,
        "a pause is not heeded",
        "stores/sqlite/jobs.py",
        "        if pause.is_paused(self._turn.now):\n",
        "        if False:\n",
    ),
    Mutant(
        LIMITS,
        "the limit over the whole store is not heeded",
        "stores/sqlite/jobs.py",
        "        if total is not None:",
        "        if False and total is not None:",
    ),
    Mutant(
        LIMITS,
        "retention removes jobs that have not ended",
        "stores/sqlite/removal.py",
        "select no from lamplighter_jobs j where state = ?1 and ended_at < ?2 and rev > 0",
        "select no from lamplighter_jobs j where state in (?1, 'queued') and coalesce(ended_at, queued_at) < ?2 "
        "and rev > 0",
    ),
    Mutant(
        LIMITS,
        "what a name's next job is due at is remembered over a lost turn",
        "broker/claims.py",
        "    context.out.next_due = next_due\n",
        "    context.state.next_due = next_due\n",
        (
            (
                "actors/job_broker.py",
                "            # A commit that raised may hold all the same, and what it has queued may be due.\n"
                "            self._state.forget_next_due()\n",
                "",
            ),
        ),
    ),
    Mutant(
        SUPERVISION,
        "a dead actor is not started again",
        "supervisor.py",
        "        if wait == 0.0:\n            self._start(child)\n            return",
        "        return",
    ),
    Mutant(
        SUPERVISION,
        "a dead supervisor has no successor",
        "supervisor.py",
        "actor.actor_stopped.is_set():\n                    self._start()",
        "actor.actor_stopped.is_set():\n                    pass",
    ),
    Mutant(
        SUPERVISION,
        "a failure that a supervisor could not tell is told by none",
        "supervisor.py",
        "        if self._family.gave_up is not None:\n",
        "        if False:\n",
        test="tests/test_supervisor.py::test_a_host_is_told_of_a_failure_as_soon_as_there_are_threads_again",
    ),
    Mutant(
        SUPERVISION,
        "a BaseException of a handler's comes out of its lane",
        "handlers/execute.py",
        "        if error is not None:\n            self._end",
        "        if error is not None and not isinstance(error, Exception):\n            return False\n"
        "        if error is not None:\n            self._end",
        (
            ("handlers/pool.py", "        except BaseException as error:", "        except Exception as error:"),
            ("handlers/watch.py", "if self.lost() or self.unbegun():", "if False:"),
        ),
    ),
    Mutant(
        LIMITS,
        "interruptions before a requeue still count",
        "broker/turn_context.py",
        "            earlier = min(recent.get(job.id, 0), job.interruptions)",
        "            earlier = recent.get(job.id, 0)",
        (("broker/turn_context.py", "OutcomeKind.INTERRUPTED and job.interruptions]", "OutcomeKind.INTERRUPTED]"),),
        test="tests/broker/test_interruptions.py::test_a_requeue_forgets_interruptions_and_keeps_their_history",
    ),
    Mutant(
        FENCE,
        "who is not answered in time is not told the ids of many jobs",
        "queueing.py",
        "boot.requests.ask(partial(Queue, new), job_ids=[job.id for job in new])",
        "boot.requests.ask(lambda reply: Queue(jobs=new, reply=reply))",
        test="tests/boot/test_unavailable.py::test_queue_many_again_with_the_ids_of_the_error_stores_every_job_once",
    ),
    Mutant(
        LIMITS,
        "when the next job is due that was told to wait is not looked for",
        "stores/sqlite/due.py",
        "*following, ",
        "",
        test="tests/stores/sqlite/test_due.py::test_jobs_that_wait_at_many_priorities_cost_the_others_nothing",
    ),
    Mutant(
        LIMITS,
        "a group whose turn comes later is not looked for",
        "stores/sqlite/due.py",
        ", *in_line), expiry)",
        "), expiry)",
        test="tests/stores/sqlite/test_turns.py::test_a_group_of_which_one_is_delayed_has_its_turn_then",
    ),
    Mutant(
        LIMITS,
        "a claim looks at each priority at which something waits",
        "stores/sqlite/due.py",
        "        if tried == PRIORITIES_MAX:",
        "        if False:",
        test="tests/stores/sqlite/test_due.py::test_jobs_that_wait_at_many_priorities_cost_the_others_nothing",
    ),
    Mutant(
        LIMITS,
        "what waits for a store that is away is not counted",
        "actors/job_broker.py",
        "        return len(self._pending) + len(self.mailbox)",
        "        return len(self.mailbox)",
        test="tests/broker/test_kept_mail.py::test_while_the_store_is_away_callers_are_refused_at_once_beyond_a_bound",
    ),
    Mutant(
        LIMITS,
        "progress reports are not merged while the store is away",
        "broker/kept_mail.py",
        "            return Progressed, body.key",
        "            return None",
        test="tests/broker/test_kept_mail.py::test_a_night_of_progress_reports_is_kept_as_the_last_one",
    ),
    Mutant(
        TURN,
        "mail that was kept beside a full turn is dropped",
        "actors/job_broker.py",
        "        self._pending = self._pending[len(batch) :]\n        if",
        "        self._pending = []\n        if",
        test="tests/broker/test_kept_mail.py::test_what_was_kept_is_stored_in_turns_of_their_size",
    ),
    Mutant(
        LIMITS,
        "a relative path is another file in another folder",
        "runtime.py",
        "            self._address = named.path\n",
        "            pass\n",
        test="tests/stores/test_address.py::test_a_relative_path_is_the_same_file_at_every_start",
    ),
    Mutant(
        TURN,
        "a savepoint that may commit by itself is trusted",
        "stores/sqlite/host_connection.py",
        "        _check_savepoint(connection, raw)\n",
        "",
        test="tests/stores/sqlite/test_host_connections.py::test_a_savepoint_that_may_commit_by_itself_is_refused",
    ),
    Mutant(
        TURN,
        "rows of a host's connection are taken as the host has them",
        "stores/sqlite/host_connection.py",
        "    raw.text_factory = str\n",
        "",
        test="tests/stores/sqlite/test_host_connections.py::test_a_job_is_queued_whatever_factories_the_host_has",
    ),
    Mutant(
        LIMITS,
        "an option that a job does not have fails deep inside",
        "rules/new_jobs.py",
        "    if unknown:\n        raise unknown_options(unknown, SPEC_OPTIONS, what)\n",
        "",
        test="tests/test_unknown_options.py::test_an_unknown_option_inside_a_handler_is_the_callers_fault[thread]",
    ),
    Mutant(
        LIMITS,
        "a variable in the environment kills a host that has not asked for it",
        "environment/environment.py",
        "field(default_factory=unarmed)",
        "field(default_factory=from_environment)",
        (
            (
                "environment/environment.py",
                "from .failpoints import Failpoints, unarmed",
                "from .failpoints import Failpoints, from_environment",
            ),
        ),
        test="tests/environment/test_failpoints.py::"
        "test_a_host_that_has_not_asked_for_the_variable_goes_on_and_says_so_once",
    ),
    Mutant(
        LEDGER,
        "whoever leads fires only what it has declared itself",
        "stores/rabbitmq/ledger_views.py",
        "        return self._state.shared.is_declared(schedule_id, beside=self._state.runtime_id)",
        "        return False",
        test="tests/stores/rabbitmq/test_schedules.py::"
        "test_a_leader_that_has_declared_nothing_fires_what_another_declares",
    ),
    Mutant(
        LEDGER,
        "a leader that stood still leads on, though the server has given the ledger to another",
        "stores/rabbitmq/leading.py",
        " and self._monotonic() - proven < LEASE_SECONDS",
        "",
        test="tests/stores/rabbitmq/test_leading.py::test_a_leader_that_stood_still_no_longer_leads_when_it_goes_on",
    ),
    Mutant(
        LEDGER,
        "a leader leads only for as long as its first lease",
        "stores/rabbitmq/leading.py",
        "            self._proven_at, self._probe = self._probe[1], None",
        "            self._proven_at, self._probe = self._proven_at or self._probe[1], None",
        test="tests/stores/rabbitmq/test_leading.py::test_a_leader_that_reads_back_what_it_writes_leads_on",
    ),
    Mutant(
        LEDGER,
        "a leader whose broker hangs keeps the ledger",
        "stores/rabbitmq/leading.py",
        "        if self.unseen > UNSEEN_PULSES_MAX:",
        "        if False:",
        test="tests/stores/rabbitmq/test_leading.py::"
        "test_a_leader_whose_broker_hangs_is_replaced_and_nobody_loses_a_session",
    ),
    Mutant(
        LEDGER,
        "a leader whose consumer the server has ended does not step down",
        "stores/rabbitmq/leading.py",
        "                self._forget()\n                candidacy.give_up(",
        "                candidacy.give_up(",
        test="tests/stores/rabbitmq/test_leading.py::"
        "test_a_leader_whose_consumer_the_server_has_ended_leads_no_more[moved]",
    ),
    Mutant(
        LEDGER,
        "a leader whose consumer the server has ended waits for the ledger no more",
        "stores/rabbitmq/leading.py",
        '                candidacy.give_up("the server has ended the consumer of the ledger")\n',
        "",
        test="tests/stores/rabbitmq/test_leading.py::"
        "test_a_leader_whose_consumer_the_server_has_ended_leads_no_more[moved]",
    ),
    Mutant(
        LEDGER,
        "a scheduler of another boot reads only what has changed since the boot before",
        "actors/scheduler_actor.py",
        "            self._sent.clear()\n            self._seen = 0\n",
        "            self._sent.clear()\n",
        test="tests/stores/rabbitmq/test_schedules.py::test_a_scheduler_of_another_boot_reads_all_schedules_anew",
    ),
    Mutant(
        LEDGER,
        "a start gives up before the server has found out that the leader hangs",
        "stores/rabbitmq/session.py",
        "ANSWER_SECONDS_MAX if self._has_started else LEADER_SECONDS_MAX + self._wait_seconds",
        "ANSWER_SECONDS_MAX",
        test="tests/stores/rabbitmq/test_leading.py::test_a_start_goes_on_without_a_leader_that_hangs",
    ),
    Mutant(
        LEDGER,
        "a leader does not leave who it is",
        "stores/rabbitmq/ledger.py",
        '        self._send([Message("", LEADER, records.write(who), mandatory=False)])',
        "        del who",
        test="tests/stores/rabbitmq/test_leading.py::test_an_error_names_the_leader_that_does_not_answer",
    ),
    Mutant(
        LEDGER,
        "a producer that leads does not leave the ledger to a worker",
        "stores/rabbitmq/leading.py",
        '            self._tell(self._candidacy, "yield", None)',
        "            pass",
        test="tests/stores/rabbitmq/test_producers.py::test_a_producer_leads_only_while_no_worker_lives",
    ),
    Mutant(
        LEDGER,
        "a producer waits behind the workers for the ledger",
        "stores/rabbitmq/leading.py",
        "        elif not self.ledger.is_read:\n            self.withdraw()\n",
        "",
        test="tests/stores/rabbitmq/test_leading.py::test_a_producer_that_does_not_lead_has_no_second_connection",
    ),
    Mutant(
        LIMITS,
        "on RabbitMQ short jobs are given back as soon as fewer of them are wanted",
        "stores/rabbitmq/deliveries.py",
        "                self._leaving[tag] = now + LAG_SECONDS",
        "                self._leaving[tag] = now",
        test="tests/stores/rabbitmq/test_windows.py::"
        "test_what_is_not_wanted_any_more_may_still_be_worked_off_for_a_while",
    ),
    Mutant(
        LIMITS,
        "on RabbitMQ all jobs are given back where a few are not wanted any more",
        "stores/rabbitmq/consumers.py",
        "        while sum(one.prefetch for one in self._stack) > target:",
        "        while self._stack and self.size > target:",
        test="tests/stores/rabbitmq/test_windows.py::test_what_is_not_worked_off_by_then_goes_to_others",
    ),
    Mutant(
        LIMITS,
        "on RabbitMQ a name that another runtime has resumed stands still",
        "stores/rabbitmq/store.py",
        " or deliveries.is_unwanted(name)",
        "",
        test="tests/stores/rabbitmq/test_producers.py::test_a_name_that_another_runtime_resumes_is_worked_again",
    ),
    Mutant(
        LEDGER,
        "a sum forgets who declares what",
        "stores/rabbitmq/ledger_sums.py",
        'made[bucket]["declared"].setdefault(runtime, []).append(schedule_id)',
        "pass",
        test="tests/stores/rabbitmq/test_ledger.py::test_what_a_runtime_declares_is_known_to_the_others_while_it_lives",
    ),
    Mutant(
        LEDGER,
        "a runtime that has died declares for ever",
        "stores/rabbitmq/ledger.py",
        "            if looks > SILENT_LOOKS_MAX:",
        "            if False:",
        test="tests/stores/rabbitmq/test_ledger.py::"
        "test_a_silent_runtime_declares_nothing_and_its_schedules_are_remembered",
    ),
    Mutant(
        LEDGER,
        "a runtime that says nothing else is taken for dead",
        "stores/rabbitmq/ledger.py",
        '        self._silent.pop(str(record.get("from")), None)\n',
        "",
        test="tests/stores/rabbitmq/test_ledger.py::test_a_runtime_that_lives_and_is_quiet_still_declares_what_it_did",
    ),
    Mutant(
        LEDGER,
        "who was taken for dead does not say that he lives",
        "stores/rabbitmq/session.py",
        '        if record["is"] == "runtime gone"',
        '        if False and record["is"] == "runtime gone"',
        test="tests/stores/rabbitmq/test_ledger.py::"
        "test_a_runtime_that_was_taken_for_one_that_has_ended_says_again_what_it_declares",
    ),
    Mutant(
        LEDGER,
        "what its last runtime has removed is caught up with when it is added again",
        "stores/rabbitmq/shared_state.py",
        "                self.retired.add(schedule_id)",
        "                pass",
        test="tests/stores/rabbitmq/test_schedules.py::"
        "test_explicitly_removed_and_added_again_a_schedule_counts_from_then_on",
    ),
    Mutant(
        LEDGER,
        "a record that makes no sense stops whoever reads it",
        "stores/rabbitmq/ledger.py",
        "            self._unreadable(str(error), entry.arrival)\n            return False",
        "            raise",
        test="tests/stores/rabbitmq/test_ledger.py::test_a_record_that_makes_no_sense_keeps_nobody_from_starting",
    ),
    Mutant(
        LEDGER,
        "a field of a newer version makes a schedule unreadable",
        "stores/rabbitmq/ledger_records.py",
        "    return ScheduleRecord(**found), {",
        "    if row.keys() - _SCHEDULE.keys():\n        raise UnreadableRecord\n    return ScheduleRecord(**found), {",
        test="tests/stores/rabbitmq/test_ledger.py::test_kinds_and_fields_of_a_newer_version_are_passed_over",
    ),
    Mutant(
        LEDGER,
        "an older leader rubs out what a newer version has written",
        "stores/rabbitmq/ledger_sums.py",
        "            unknown = shared.unknown.get(schedule.id)",
        "            unknown = None",
        test="tests/stores/rabbitmq/test_ledger.py::"
        "test_what_a_newer_version_says_of_a_schedule_outlives_leaders_of_this_version",
    ),
    Mutant(
        LEDGER,
        "a sum counts though its end was never written",
        "stores/rabbitmq/ledger.py",
        ' for part in of if _whole(part, "sum") <= _whole(end, "sum")}',
        " for part in of}",
        test="tests/stores/rabbitmq/test_ledger.py::test_a_sum_that_was_not_finished_does_not_count",
    ),
    Mutant(
        LEDGER,
        "records are added in the order in which the server gives them back",
        "stores/rabbitmq/ledger.py",
        "        found = sorted(found, key=lambda entry: records.number_of(entry.record))\n",
        "",
        test="tests/stores/rabbitmq/test_ledger.py::"
        "test_the_order_in_which_a_server_gives_back_what_a_leader_had_changes_nothing",
    ),
    Mutant(
        LEDGER,
        "a sum is one message, however many schedules there are",
        "stores/rabbitmq/shared_state.py",
        "BUCKETS = 64",
        "BUCKETS = 1",
        test="tests/stores/rabbitmq/test_ledger.py::test_the_sum_of_many_schedules_falls_into_parts_that_all_stay_small",
    ),
    Mutant(
        LEDGER,
        "what a sum includes is never acknowledged",
        "stores/rabbitmq/ledger.py",
        "        self._acknowledge([one.tag for one in over])",
        "        pass",
        test="tests/stores/rabbitmq/test_ledger.py::test_the_ledger_stays_small_however_much_is_written_into_it",
    ),
    Mutant(
        LEDGER,
        "a schedule is added though there is no room",
        "stores/rabbitmq/turn_schedules.py",
        "        self._check_room(schedules)\n",
        "",
        test="tests/stores/rabbitmq/test_ledger.py::"
        "test_a_schedule_for_which_there_is_no_room_is_refused_and_none_is_added",
    ),
    Mutant(
        LEDGER,
        "a schedule is said to be declared before it is said what it is now",
        "stores/rabbitmq/turn_schedules.py",
        "        news = [self._store(schedule) for schedule in schedules]\n",
        "        self._declare_own([schedule for schedule in schedules if not schedule.durable])\n"
        "        news = [self._store(schedule) for schedule in schedules]\n",
        test="tests/stores/rabbitmq/test_ledger.py::"
        "test_whoever_reads_that_a_schedule_is_declared_has_read_what_it_is_now",
    ),
    Mutant(
        LEDGER,
        "a schedule waits until a clock comes to where a wrong one had been",
        "stores/rabbitmq/turn_schedules.py",
        "self._shared.beyond(self._turn.now) if self._turn.leads else []",
        "[]",
        scenario=RABBITMQ,
    ),
    Mutant(
        LEDGER,
        "what was skipped in a false future does not fire when it comes",
        "stores/rabbitmq/shared_state.py",
        "last_slot = self.slots.take_back(schedule, to)",
        "last_slot = schedule.last_slot",
        test="tests/stores/rabbitmq/test_clocks.py::"
        "test_a_slot_that_fired_in_a_false_future_fires_once_and_those_before_it_do_fire",
    ),
    Mutant(
        LEDGER,
        "who has missed that a clock was set right believes the false future",
        "stores/rabbitmq/shared_state.py",
        "            if schedule.accounted_to < known_to:",
        "            if False:",
        test="tests/stores/rabbitmq/test_clocks.py::"
        "test_a_runtime_that_missed_that_a_clock_was_set_right_learns_it_from_the_whole",
    ),
    Mutant(
        LEDGER,
        "what others handle is not known",
        "stores/rabbitmq/ledger_views.py",
        "return self._state.shared.is_handled(name)",
        "return False",
        test="tests/stores/rabbitmq/test_handled.py::"
        "test_a_job_is_said_to_be_parked_if_no_living_runtime_handles_its_name",
    ),
    Mutant(
        LEDGER,
        "a runtime that has died handles its names for ever",
        "stores/rabbitmq/shared_state.py",
        "        self._handle(runtime, [])\n",
        "",
        test="tests/stores/rabbitmq/test_handled.py::test_what_a_runtime_that_has_left_or_has_died_handles_nobody_does",
    ),
    Mutant(
        LEDGER,
        "a sum forgets who handles what",
        "stores/rabbitmq/ledger_sums.py",
        '            made[bucket]["handled"][runtime] = names',
        "            pass",
        test="tests/stores/rabbitmq/test_handled.py::"
        "test_what_a_runtime_handles_is_known_to_the_others_and_to_those_who_come_later",
    ),
    Mutant(
        MESSAGES,
        "what is delayed is not counted",
        "stores/rabbitmq/store.py",
        "topology.ladder() if name is None else ()",
        "()",
        test="tests/stores/rabbitmq/test_counts.py::test_jobs_of_all_names_are_counted_and_so_are_delayed_ones",
    ),
    Mutant(
        LEDGER,
        "a store has another id once another was given",
        "stores/rabbitmq/shared_state.py",
        "        if self.store_id is None:",
        "        if True:",
        test="tests/stores/rabbitmq/test_ledger.py::test_of_two_ids_that_were_given_the_first_holds",
    ),
    Mutant(
        LEDGER,
        "a deleted ledger is made again without what was in it",
        "stores/rabbitmq/ledger.py",
        "            self._shared.store_id = None",
        "            sums.load(self._shared, ())",
        test="tests/stores/rabbitmq/test_ledger.py::"
        "test_a_ledger_that_is_deleted_is_made_again_with_all_that_was_in_it",
    ),
    Mutant(
        LEDGER,
        "who has missed the last that was told never learns it",
        "stores/rabbitmq/ledger.py",
        '        self._broadcast({"is": "beat"})\n',
        "",
        test="tests/stores/rabbitmq/test_ledger.py::test_a_runtime_that_has_missed_the_last_that_was_told_asks_for_it",
    ),
    Mutant(
        LEDGER,
        "a runtime stays deaf once the exchange of news was deleted",
        "stores/rabbitmq/session.py",
        "topology.foundation() if self.leads else topology.hearing(self._news_name)",
        "topology.foundation() if self.leads else ()",
        test="tests/stores/rabbitmq/test_ledger.py::test_a_runtime_that_nothing_leads_to_any_more_hears_the_leader_again",
    ),
    Mutant(
        LEDGER,
        "nothing is said of slots that are not remembered",
        "operating/schedules.py",
        "    if count:\n        slot, last",
        "    if False:\n        slot, last",
        test="tests/stores/rabbitmq/test_schedules.py::"
        "test_explain_says_of_no_slot_what_is_not_so_however_little_is_remembered",
    ),
    Mutant(
        LEDGER,
        "a migration moves jobs before it knows whether all can move",
        "cli/migrate.py",
        "        _check_movable(source, schedules, drop_unique=arguments.drop_unique)\n",
        "",
        test="tests/stores/rabbitmq/test_migrate.py::test_what_cannot_move_is_said_before_anything_has_moved",
    ),
    Mutant(
        LEDGER,
        "a migration leaves pauses behind",
        "cli/migrate.py",
        "            for name, _, by, reason, until, _ in paused:",
        "            for name, _, by, reason, until, _ in ():",
        test="tests/stores/rabbitmq/test_migrate.py::test_a_pause_moves_and_none_of_its_jobs_is_started",
    ),
    Mutant(
        LIMITS,
        "a job that waits for its retry expires",
        "stores/transitions.py",
        "        if outcome.kind is not OutcomeKind.SNOOZED:",
        "        if False:",
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::test_a_job_that_was_started_does_not_expire",
    ),
    Mutant(
        LIMITS,
        "a requeued job expires again",
        "stores/transitions.py",
        '        "expires_at": None,\n        "attempt": 0,',
        '        "attempt": 0,',
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::test_a_job_that_was_requeued_does_not_expire",
    ),
    Mutant(
        LIMITS,
        "pruning does not go on while there is more",
        "broker/retention.py",
        "housekeep_after = 0.0 if rows >= PRUNED_ROWS_MAX else self._retention_step()",
        "housekeep_after = self._retention_step()",
        test="tests/broker/test_retention.py::test_what_is_too_old_is_removed_batch_after_batch_without_a_pause",
    ),
    Mutant(
        LIMITS,
        "every attempt of a job is kept",
        "stores/sqlite/attempts.py",
        "    if claimed.claim_no <= ATTEMPTS_KEPT_MAX:",
        "    if True:",
        test="tests/broker/test_retention.py::test_of_a_jobs_attempts_the_newest_are_kept",
    ),
    Mutant(
        LIMITS,
        "what is only like a str is stored as it is",
        "rules/validation.py",
        "    return value if type(value) is str else str.__str__(value)",
        "    return value",
        test="tests/test_hostile_arguments.py::test_what_is_like_a_str_or_an_int_is_stored_as_what_it_says",
    ),
    Mutant(
        LANES,
        "an error that cannot be looked at comes out of its lane",
        "handlers/outcomes.py",
        "    except BaseException:\n        return INDESCRIBABLE",
        "    except ValueError:\n        return INDESCRIBABLE",
        test="tests/handlers/test_lane_endings.py::test_an_error_that_cannot_be_looked_at_is_a_failure_all_the_same",
    ),
    Mutant(
        LANES,
        "a Discard whose reason is no text is stored as it is",
        "handlers/outcomes.py",
        "    return text_of(reason if",
        "    return (lambda value, _: value)(reason if",
        test="tests/handlers/test_lane_endings.py::test_a_discard_is_one_whatever_its_reason_is",
    ),
    Mutant(
        FENCE,
        "a job that has ended has run nowhere",
        "stores/transitions.py",
        "(CLAIM_OVER if verdict.run_at is None else FREE)",
        "FREE",
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::"
        "test_a_job_that_has_ended_keeps_who_ran_it_and_nobody_holds_it",
    ),
    Mutant(
        FENCE,
        "a job that waits for another attempt runs still",
        "stores/transitions.py",
        "(CLAIM_OVER if verdict.run_at is None else FREE)",
        "CLAIM_OVER",
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::"
        "test_a_job_that_is_queued_again_has_nobody_who_runs_it",
    ),
    Mutant(
        LANES,
        "what runs far beyond its usual time is told again and again",
        "actors/handler_actor.py",
        "            lane.is_said_slow = True\n",
        "",
        test="tests/handlers/test_slow_jobs.py::test_an_attempt_that_runs_far_beyond_the_usual_time_is_told_once",
    ),
    Mutant(
        LANES,
        "attempts that failed say what is usual",
        "handlers/usual_time.py",
        "if outcome not in WHOLE_RUNS:",
        "if False:",
        test="tests/handlers/test_slow_jobs.py::test_what_has_failed_or_was_stopped_says_nothing_about_the_usual_time",
    ),
    Mutant(
        LANES,
        "a job that is not needed any more has failed",
        "handlers/outcomes.py",
        "        if isinstance(error, Cancel):",
        "        if False:",
        test="tests/handlers/test_purposeful_endings.py::test_a_job_that_is_not_needed_any_more_ends_quietly",
    ),
    Mutant(
        LANES,
        "what a Discard was raised over is forgotten",
        "handlers/outcomes.py",
        " if _has_cause(error) else None",
        " if False else None",
        test="tests/handlers/test_purposeful_endings.py::"
        "test_what_a_discard_was_raised_over_is_kept_with_its_traceback",
    ),
    Mutant(
        LANES,
        "nobody looks after the threads of lanes",
        "handlers/watch.py",
        "if self.lost() or self.unbegun():",
        "if self.unbegun():",
        test="tests/handlers/test_lane_endings.py::"
        "test_a_thread_that_dies_under_its_lanes_is_noticed_said_and_replaced",
    ),
    Mutant(
        LANES,
        "a loop that a job has stopped is at its end",
        "handlers/tasks.py",
        "            while not self._is_over:\n                self._run",
        "            if True:\n                self._run",
        test="tests/handlers/test_lane_endings.py::test_a_job_beside_one_that_stops_their_loop_is_done",
    ),
    Mutant(
        LANES,
        "a loop that cannot be entered costs its jobs an attempt",
        "handlers/tasks.py",
        "        snoozed = Outcome(kind=OutcomeKind.SNOOZED, reason",
        "        snoozed = Outcome(kind=OutcomeKind.FAILED, reason",
        test="tests/handlers/test_around_loop.py::"
        "test_jobs_wait_while_a_loop_cannot_be_entered_and_no_attempt_is_counted",
    ),
    Mutant(
        LANES,
        "a stop does not wait until what is around a loop is left",
        "handlers/lanes.py",
        "            runner.wait(max(0.0, give_up_at - clock.monotonic()))\n",
        "            runner.wait(0.0)\n",
        test="tests/handlers/test_around_loop.py::"
        "test_what_belongs_to_a_loop_is_entered_once_and_left_before_stop_returns",
    ),
    Mutant(
        LANES,
        "a task begins in the context of the job before it",
        "handlers/tasks.py",
        "loop=self._loop, context=context.copy())",
        "loop=self._loop)",
        test="tests/handlers/test_around_loop.py::"
        "test_what_a_coroutine_sets_in_a_context_variable_is_not_seen_by_the_next_job",
    ),
    Mutant(
        LANES,
        "a forked child comes out of a handler",
        "handlers/execute.py",
        "        if self._pid() != self._parent:",
        "        if False:",
        test="tests/faults/test_forks.py::"
        "test_a_forked_child_that_comes_out_of_a_handler_ends_and_says_nothing_of_the_job[process]",
    ),
    Mutant(
        LANES,
        "a forked child leaves what is around its parent's job",
        "handlers/execute.py",
        "        if error is not None:\n            self._end_if_forked(error)\n",
        "        if error is not None:\n",
        test="tests/handlers/test_carriers.py::test_a_forked_child_leaves_nothing_that_its_parent_is_in",
    ),
    Mutant(
        LANES,
        "a job is not queued when a carrier raises",
        "handlers/carriers.py",
        "                failed(carrier, error)\n",
        "                raise\n",
        test="tests/handlers/test_carriers.py::"
        "test_what_a_carrier_cannot_give_is_said_and_the_job_is_queued_without[raises]",
    ),
    Mutant(
        LANES,
        "a child outlives its host if its socket stays open",
        "handlers/child.py",
        "        self._dies_with_parent = die_with_parent()",
        "        self._dies_with_parent = True",
        test="tests/faults/test_forks.py::test_a_child_ends_with_its_host_though_a_fork_of_the_host_holds_its_socket",
    ),
    Mutant(
        LANES,
        "a child imports from the current folder",
        "handlers/processes.py",
        "        paths = [str(path)",
        "        paths = [os.getcwd(), *sys.path] or [str(path)",
        test="tests/faults/test_forks.py::test_a_child_imports_what_its_host_can_and_nothing_from_its_current_folder",
    ),
    Mutant(
        LANES,
        "a cancel before a child has its job is not passed on",
        "handlers/processes.py",
        "        if lane.cancelled:\n            child.interrupt(lane)\n",
        "",
        test="tests/handlers/test_signalled.py::test_a_signal_that_comes_before_a_child_has_its_job_is_passed_on",
    ),
    Mutant(
        LANES,
        "a signal to every process of a service ends the jobs in children",
        "handlers/child.py",
        "    IS_CHILD.set()\n    leave_stops_to_parent()\n",
        "    IS_CHILD.set()\n",
        test="tests/handlers/test_processes.py::test_a_signal_that_stops_the_whole_service_is_left_to_the_runtime",
    ),
    Mutant(
        LANES,
        "what a job in a child has forked heeds no SIGTERM",
        "handlers/child.py",
        "    os.register_at_fork(after_in_child=heed_in_fork)\n",
        "",
        test="tests/handlers/test_processes.py::test_a_signal_that_stops_the_whole_service_is_left_to_the_runtime",
    ),
    Mutant(
        LANES,
        "a SIGHUP kills a process that runs jobs",
        "runtime.py",
        "            for each in STOP_SIGNALS:",
        "            for each in STOP_SIGNALS[:2]:",
        test="tests/cli/test_run.py::test_it_does_the_jobs_of_an_application_until_a_signal",
    ),
    Mutant(
        LANES,
        "a SIGHUP stops a process that was started to outlive its terminal",
        "runtime.py",
        "if (each, before[each]) == (signal.SIGHUP, signal.SIG_IGN):",
        "if (each, before[each]) == (signal.SIGHUP, None):",
        test="tests/cli/test_run.py::test_under_nohup_a_sighup_changes_nothing",
    ),
    Mutant(
        LANES,
        "the import in a child counts against the timeout",
        "handlers/lane.py",
        '            if self.handler.kind != "thread":',
        '            if self.handler.kind == "task":',
        test="tests/handlers/test_beginning.py::test_the_import_in_a_child_does_not_count_against_the_timeout",
    ),
    Mutant(
        LANES,
        "a coroutine that waits for its first step is timed out",
        "handlers/deadlines.py",
        "        if lane.unbegun:\n            return timeout\n",
        "",
        test="tests/handlers/test_beginning.py::test_a_coroutine_that_waits_for_its_first_step_is_not_timed_out",
    ),
    Mutant(
        LANES,
        "a job whose function does not begin waits for ever",
        "handlers/watch.py",
        "        if self.lost() or self.unbegun():",
        "        if self.lost():",
        test="tests/handlers/test_beginning.py::test_a_child_that_imports_for_too_long_is_replaced_at_no_attempt",
    ),
    Mutant(
        LANES,
        "a job whose function was called is said not to have begun",
        "handlers/lane.py",
        "        return None if self._begun else self.handle.unbegun(self)",
        "        return self.handle.unbegun(self)",
        test="tests/handlers/test_beginning.py::test_the_timeout_in_a_child_begins_after_the_import",
    ),
    Mutant(
        LANES,
        "an event loop that does not answer gets jobs still",
        "handlers/tasks.py",
        "self._loop.is_usable and self._loop.is_silent(handler)",
        "not self._loop.is_usable and self._loop.is_silent(handler)",
        test="tests/handlers/test_beginning.py::test_a_loop_that_does_not_answer_gets_no_more_jobs_until_it_does",
    ),
    Mutant(
        LANES,
        "an event loop that answers again gets no jobs",
        "handlers/tasks.py",
        "        self._asked_at = None\n        self._tell_awaited()\n",
        "        self._asked_at = None\n",
        test="tests/handlers/test_beginning.py::test_a_loop_that_does_not_answer_gets_no_more_jobs_until_it_does",
    ),
    Mutant(
        LANES,
        "a job that waits behind another is said to block their event loop",
        "handlers/tasks.py",
        "        culprit = self._running_lane() or hung\n",
        "        culprit = hung\n",
        test="tests/handlers/test_beginning.py::test_a_job_without_a_timeout_does_not_block_the_others_for_ever",
    ),
    Mutant(
        LANES,
        "a function that is defined again shares the jobs with the one before",
        "jobs.py",
        "            for old in replaced:\n                self.remove_handler(old.id)\n",
        "",
        test="tests/test_job_handler.py::test_a_function_that_is_defined_again_replaces_the_one_before_and_says_so",
    ),
    Mutant(
        LANES,
        "a decorator takes for a child what the child cannot import",
        "jobs.py",
        "                check_importable(handler, is_defined=False)\n",
        "                pass\n",
        test="tests/test_job_handler.py::test_a_decorator_refuses_what_no_child_could_import",
    ),
    Mutant(
        LIMITS,
        "a handler that snoozes for no time is run again at once for ever",
        "rules/lifecycle.py",
        "if is_again else outcome.seconds",
        "if is_again and outcome.seconds else outcome.seconds",
        test="tests/testing/test_inline.py::test_a_handler_that_gives_its_job_back_each_time_does_not_run_for_ever",
    ),
    Mutant(
        SUPERVISION,
        "a Ctrl-C in a simulation is an error of the task that runs",
        "testing/simulation/world.py",
        "                self._main.greenlet.throw(error)\n",
        "                raise\n",
        test="tests/testing/test_inline.py::test_a_ctrl_c_comes_straight_out_of_what_the_test_waits_for",
    ),
    Mutant(
        LANES,
        "a signal that overtakes its job on the way to a child is lost",
        "handlers/child.py",
        "        if self.is_stopping or claim in self._signals:",
        "        if self.is_stopping:",
        test="tests/handlers/test_processes.py"
        "::test_a_signal_that_comes_before_its_job_is_kept_for_it_and_wakes_no_other",
    ),
    Mutant(
        LANES,
        "a job in a child is woken by the signal of another",
        "handlers/child.py",
        "            if claim == self._claim:",
        "            if claim:",
        test="tests/handlers/test_processes.py"
        "::test_a_signal_that_comes_before_its_job_is_kept_for_it_and_wakes_no_other",
    ),
    Mutant(
        LANES,
        "a thread that a job has left in a child takes the answers of the next",
        "handlers/child.py",
        "                if claim != self._claim:",
        "                if not claim:",
        test="tests/handlers/test_processes.py"
        "::test_a_thread_that_a_job_has_left_is_refused_and_takes_no_answer_of_the_next",
    ),
    Mutant(
        LANES,
        "the end of a job in a child waits for others for ever",
        "handlers/lanes.py",
        "partial(self._notify, lane))",
        "lambda: None)",
        test="tests/handlers/test_lanes.py::test_an_end_in_a_child_whose_place_is_taken_is_told_soon_with_the_others",
    ),
    Mutant(
        LANES,
        "the place of a child that has nothing more to run waits too",
        "handlers/lanes.py",
        '        if following is None or lane.handler.kind != "process":',
        '        if lane.handler.kind != "process":',
        test="tests/handlers/test_lanes.py::test_an_end_in_a_child_whose_place_is_taken_is_told_soon_with_the_others",
    ),
    Mutant(
        LANES,
        "run sets an Event when a signal comes",
        "runtime.py",
        "        asked, now = self.environment.queue()",
        "        asked, now = threading.Event()",
        (
            ("runtime.py", "lambda number, _: asked.put(now())", "lambda number, _: asked.set()"),
            (
                "runtime.py",
                "while not (_has_come(asked) or self.wait(0))",
                "while not (asked.wait(0.5) or self.wait(0))",
            ),
            ("runtime.py", "lambda: _came_after(asked, urges_from)", "lambda: False"),
        ),
        test="tests/faults/test_signals.py::test_signals_that_fall_into_one_another_stop_a_run_once",
    ),
    Mutant(
        LIMITS,
        "as many jobs run at once as there are lanes, whatever the limit of the runtime",
        "broker/places.py",
        "    return most < WHOLE_MAX and ",
        "    return False and ",
        test="tests/broker/test_places.py::"
        "test_no_more_jobs_run_at_once_than_there_are_places_and_no_more_threads_stay",
    ),
    Mutant(
        LIMITS,
        "threads are kept for all lanes, whatever the limit of the runtime",
        "handlers/headcount.py",
        "        return self._count > self._most",
        "        return False",
        test="tests/broker/test_places.py::"
        "test_no_more_jobs_run_at_once_than_there_are_places_and_no_more_threads_stay",
    ),
    Mutant(
        LIMITS,
        "a name that was served last is asked first again",
        "broker/places.py",
        "    after = names.index(served) + 1 if served in names else 0",
        "    after = 0",
        test="tests/broker/test_places.py::test_whoever_waits_is_served_within_one_round_of_the_others",
    ),
    Mutant(
        LIMITS,
        "a new broker gives out places that are taken",
        "broker/claims.py",
        "    return bool(context.state.unreconciled.keys() - context.out.reconciled)",
        "    return False",
        test="tests/broker/test_places.py::test_a_new_broker_gives_out_no_place_before_it_knows_what_is_held",
    ),
    Mutant(
        LIMITS,
        "on RabbitMQ a process without a free place holds what has come",
        "broker/claims.py",
        "        context.turn.jobs.claim([want._replace(begun=0, prefetched=0) for want in wants], suspect=False)",
        "        pass",
        test="tests/broker/test_places.py::test_a_process_without_a_free_place_holds_nothing_that_another_could_run",
    ),
    Mutant(
        LANES,
        "a producer runs jobs",
        "boot/declared.py",
        "        return self.works and (self.only is None or name in self.only)",
        "        return self.only is None or name in self.only",
        test="tests/boot/test_producers.py::test_a_producer_has_no_names_no_lanes_and_no_schedules",
    ),
    Mutant(
        LANES,
        "a runtime that is to run the jobs of some names runs all",
        "boot/declared.py",
        "        return self.works and (self.only is None or name in self.only)",
        "        return self.works",
        test="tests/boot/test_producers.py::test_only_the_jobs_of_some_names_are_run",
    ),
    Mutant(
        SLOTS,
        "a producer declares what its code has, as it starts",
        "boot/declared.py",
        "        return self._declared.schedules() if self.works else []",
        "        return self._declared.schedules()",
        test="tests/boot/test_producers.py::"
        "test_a_producer_with_older_code_leaves_the_schedules_of_newer_workers_alone",
    ),
    Mutant(
        SLOTS,
        "a producer declares what its code adds later",
        "scheduler.py",
        "if record.durable or boot.share.works]",
        "]",
        test="tests/boot/test_producers.py::"
        "test_a_producer_with_older_code_leaves_the_schedules_of_newer_workers_alone",
    ),
    Mutant(
        LEDGER,
        "a producer that leads fires nothing",
        "boot/boot.py",
        "if self.share.works or self.store.peers is not None:",
        "if self.share.works:",
        test="tests/stores/rabbitmq/test_producers.py::"
        "test_a_producer_that_leads_fires_what_workers_declare_and_nothing_of_its_own",
    ),
    Mutant(
        LANES,
        "in Flask whatever has the application starts",
        "contrib/flask/extension.py",
        "        app.before_request(starting.for_requests)",
        "        starting.for_requests()",
        test="tests/contrib/flask/test_extension.py::test_init_app_starts_nothing_and_the_first_request_a_producer",
    ),
    Mutant(
        LANES,
        "in Flask a command that queues runs jobs",
        "contrib/flask/starting.py",
        "        self._start(work=False)",
        "        self._start(work=True)",
        test="tests/contrib/flask/test_extension.py::test_outside_of_requests_the_first_call_starts_a_producer",
    ),
    Mutant(
        TURN,
        "in Flask the first call of a process waits for the lock that its own transaction holds",
        "contrib/flask/extension.py",
        "        app.before_request(starting.for_requests)\n",
        "",
        test="tests/contrib/flask/test_extension.py::"
        "test_a_transaction_that_has_written_queues_in_the_first_request_of_a_process",
    ),
    Mutant(
        LANES,
        "whoever finds a boot dead that had said that it stops blames its jobs",
        "broker/boots.py",
        "blamed=not is_stopping)",
        "blamed=True)",
        test="tests/faults/test_killed_stops.py::test_what_is_killed_in_the_drain_is_held_against_no_job",
    ),
    Mutant(
        LANES,
        "a boot does not say that it stops",
        "broker/boots.py",
        "    context.turn.boots.note_stop(context.state.boot)\n",
        "",
        test="tests/faults/test_killed_stops.py::test_what_is_killed_in_the_drain_is_held_against_no_job",
    ),
    Mutant(
        LANES,
        "a broker that is started while the runtime stops does not say so under its new name",
        "actors/job_broker.py",
        "self.tell_self(Drain() if self._state.draining else CheckDue())",
        "self.tell_self(CheckDue())",
        test="tests/boot/test_stopping.py::test_a_boot_that_is_renewed_in_a_stop_says_again_that_it_stops",
    ),
    Mutant(
        LEDGER,
        "a boot that stops excuses nothing that it has begun",
        "stores/rabbitmq/turn.py",
        "if held.is_marked and held.job.claimed_at is not None:",
        "if False:",
        test="tests/stores/rabbitmq/test_memory.py::"
        "test_a_boot_that_stops_excuses_the_attempts_that_it_has_begun_and_no_others",
    ),
    Mutant(
        LEDGER,
        "a boot that stops excuses all that its jobs have ever begun",
        "stores/rabbitmq/shared_state.py",
        "if mark != at]",
        "if False]",
        test="tests/stores/rabbitmq/test_memory.py::"
        "test_a_boot_that_stops_excuses_the_attempts_that_it_has_begun_and_no_others",
    ),
    Mutant(
        LANES,
        "a job that sleeps does not hear of the stop",
        "handlers/lanes.py",
        "        for lane in self.open():\n            lane.begin_stop()\n",
        "",
        test="tests/boot/test_stopping.py::"
        "test_a_job_that_sleeps_hears_of_the_stop_at_its_beginning_and_how_it_ends_counts",
    ),
    Mutant(
        LANES,
        "a second signal is as good as none",
        "runtime.py",
        "lambda: _came_after(asked, urges_from)",
        "lambda: False",
        test="tests/boot/test_stopping.py::test_a_second_ctrl_c_ends_the_drain",
    ),
    Mutant(
        LANES,
        "a second Ctrl-C under a web server is as good as none",
        "runtime.py",
        "            self.environment.signal(signal.SIGINT, hear)\n",
        "            pass\n",
        test="tests/boot/test_stopping.py::"
        "test_a_second_ctrl_c_ends_the_drain_of_a_lifespan_though_the_server_has_heard_it",
    ),
    Mutant(
        LANES,
        "a start that is cancelled goes on",
        "runtime.py",
        "            if await _outlast(starting):",
        "            if False:",
        (("runtime.py", "        if is_new and given_up.is_set():", "        if False:"),),
        test="tests/boot/test_starting.py::test_a_start_that_is_cancelled_while_it_goes_on_leaves_nothing_running",
    ),
    Mutant(
        LANES,
        "a broker that nobody could find yet when the stop began hands out work",
        "actors/job_broker.py",
        "        self._state.draining = self._carried_over.draining\n",
        "",
        test="tests/test_runtime.py::test_a_broker_that_nobody_could_find_yet_when_the_stop_began_claims_nothing",
    ),
    Mutant(
        LANES,
        "a start in a handler waits for the stop that waits for it",
        "runtime.py",
        "            if current_boot.running is not None:\n                # `stop`",
        "            if False:\n                # `stop`",
        test="tests/boot/test_starting.py::test_a_start_inside_a_handler_does_not_wait_for_the_stop_that_waits_for_it",
    ),
    Mutant(
        LANES,
        "a job that has timed out starts beside its old thread",
        "handlers/lanes.py",
        "and not lane.grace_is_over else None",
        "and lane.abandoned_because is None else None",
        test="tests/handlers/test_overlap.py::test_a_job_that_has_timed_out_waits_for_its_old_thread",
    ),
    Mutant(
        LANES,
        "what a stopped runtime left running is forgotten at the next start",
        "runtime.py",
        "                left=current_boot.left,",
        "                left=None,",
        test="tests/handlers/test_overlap.py::test_a_job_that_lost_its_claim_waits_for_its_old_thread",
    ),
    Mutant(
        LANES,
        "others wait with a job that waits for its old thread",
        "actors/handler_actor.py",
        "for lane in self._lanes_here()) + len(self._held_back)",
        "for lane in self._lanes_here())",
        test="tests/handlers/test_overlap.py::test_a_job_that_lost_its_claim_waits_for_its_old_thread",
    ),
    Mutant(
        LANES,
        "the last progress before the end is dropped",
        "handlers/lane.py",
        "            self._pass_progress()\n            self._is_reported = self.is_closed = True",
        "            self._is_reported = self.is_closed = True",
        test="tests/handlers/test_progress.py",
    ),
    Mutant(
        LANES,
        "progress reports are not merged",
        "handlers/lane.py",
        "PROGRESS_SECONDS_MIN = 0.1",
        "PROGRESS_SECONDS_MIN = 0.0",
        test="tests/handlers/test_progress.py::test_reports_in_quick_succession_are_merged",
    ),
    Mutant(
        LANES,
        "what was claimed in advance starts after a pause has returned",
        "actors/handler_actor.py",
        "                self._give_back_all()\n                answer(reply",
        "                answer(reply",
        test="tests/handlers/test_pausing.py",
    ),
    Mutant(
        LANES,
        "a requeue does not signal the lane that still runs the job",
        "broker/jobs.py",
        '    _revoke(context, job, "requeued")\n',
        "",
        test="tests/handlers/test_signalled.py::"
        "test_a_requeued_job_is_asked_to_end_at_once_though_it_is_to_run_much_later",
    ),
    Mutant(
        RECOVERY,
        "a claim has its whole time again after each death of the broker",
        "broker/claims.py",
        "        elif not job.deferred:\n",
        "        elif job.deferred:\n            context.turn.jobs.defer(job, job.timeout, 0.0, 1)\n        else:\n",
        (
            (
                "stores/sqlite/jobs.py",
                "where state = 'running' and boot = ? and not deferred",
                "where state = 'running' and boot = ?",
            ),
        ),
        test="tests/handlers/test_signalled.py::"
        "test_a_claim_whose_handler_has_returned_gets_no_more_time_by_the_brokers_death",
    ),
    Mutant(
        LANES,
        "a payload type that no data can have is accepted",
        "handlers/payload.py",
        "        if not _is_json(cls):\n            raise UsageError(",
        "        if False:\n            raise UsageError(",
        test="tests/handlers/test_payload.py::test_jobs_wait_for_a_handler_that_can_take_them",
    ),
    Mutant(
        LANES,
        "a function that takes no job is accepted",
        "handlers/registration.py",
        "    _check_takes_job(fn, name)\n",
        "",
        test="tests/test_job_handler.py::test_a_function_that_cannot_be_called_with_a_job_is_refused_at_once",
    ),
    Mutant(
        LANES,
        "start does not look whether a child process can import a function",
        "runtime.py",
        "                check_importable(handler)",
        "                pass",
        test="tests/test_job_handler.py::test_a_function_that_no_child_process_can_import_is_refused_by_start",
    ),
    Mutant(
        LANES,
        "a handler object stores data that its function cannot take",
        "job_handler.py",
        "        self._types.check(text)\n",
        "",
        test="tests/test_job_handler.py::test_data_that_does_not_fit_is_refused_before_it_is_stored",
    ),
    Mutant(
        LANES,
        "a job whose result cannot be kept is dead",
        "handlers/outcomes.py",
        "return done_without_result(text_of(error, LINE_CHARACTERS_MAX))",
        "return Outcome(OutcomeKind.DISCARDED, reason=str(error))",
        test="tests/handlers/test_results.py::test_a_job_whose_result_cannot_be_kept_is_done_and_says_so",
    ),
    Mutant(
        LANES,
        "a lost result is taken for None",
        "job.py",
        "if record.state == JobState.DONE and record.reason is not None:",
        "if False:",
        test="tests/handlers/test_results.py::test_a_job_whose_result_cannot_be_kept_is_done_and_says_so",
    ),
    Mutant(
        LANES,
        "a handler is accepted whose results nobody can keep",
        "handlers/payload.py",
        "        if not (_is_json(cls) or issubclass(cls, JSON_CLASSES)):",
        "        if False:",
        test="tests/handlers/test_results.py::test_a_handler_is_refused_whose_annotation_returns_what_nobody_can_keep",
    ),
    Mutant(
        LANES,
        "data of a secret is stored without the secret",
        "rules/models.py",
        "    if _hides(values):",
        "    if False:",
        test="tests/test_data.py::test_a_secret_that_its_model_hides_is_refused_when_it_is_queued",
    ),
    Mutant(
        LANES,
        "the error of data that a model refuses quotes it",
        "rules/models.py",
        'if isinstance(step, int) else "[...]"',
        'if isinstance(step, int) else f".{step}"',
        test="tests/test_data.py::test_data_that_a_model_refuses_makes_the_job_dead_and_is_not_quoted",
    ),
    Mutant(
        LANES,
        "two keys of a dict become one",
        "rules/codec.py",
        "        if text in plain:",
        "        if False:",
        test="tests/test_bad_input.py::test_data_that_json_cannot_carry_is_refused",
    ),
    Mutant(
        LANES,
        "the error of data that does not fit quotes it",
        "handlers/payload.py",
        "Misfit(_without_values(error))",
        "Misfit(str(error))",
        test="tests/handlers/test_payload.py::test_data_that_does_not_fit_is_never_quoted",
    ),
    Mutant(
        LANES,
        "the words of a model's own check are logged",
        "rules/models.py",
        """return f"Expected what its own checks take, which raised {type(context.get('error')).__name__}\"""",
        """return str(problem["msg"])""",
        test="tests/rules/test_models.py::test_a_refusal_says_what_pydantic_says_and_nothing_of_the_data",
    ),
    Mutant(
        MESSAGES,
        "a message that cannot be read keeps its place",
        "stores/rabbitmq/intake.py",
        "        for stray in strays:\n            self._send_away(stray)",
        "        pass",
        scenario=RABBITMQ,
    ),
    Mutant(
        MESSAGES,
        "a message that cannot be read is dropped",
        "stores/rabbitmq/intake.py",
        "            self._turn.ops.messages.append(put_aside(stray, self._turn.now))\n",
        "",
        test="tests/stores/rabbitmq/test_unreadable.py::test_one_that_a_failed_turn_has_put_aside_is_put_aside_once",
    ),
    Mutant(
        MESSAGES,
        "what a newer version wrote is put aside at once",
        "stores/rabbitmq/unreadable.py",
        "    return isinstance(stray.error, wire.Newer) and stray.name is not None and",
        "    return False and",
        test="tests/stores/rabbitmq/test_unreadable.py::test_what_a_newer_version_wrote_is_done_by_whoever_can_read_it",
    ),
    Mutant(
        MESSAGES,
        "a field that is not known is lost when its job waits again",
        "stores/rabbitmq/job_message.py",
        "if name not in _PLACES and name not in RETIRED}",
        "if name is None}",
        test="tests/stores/rabbitmq/test_unreadable.py"
        "::test_a_field_that_is_not_known_stays_with_the_job_when_it_waits_again",
    ),
    Mutant(
        MESSAGES,
        "a wrong type of a field is believed",
        "stores/rabbitmq/job_message.py",
        "            if kind not in _TYPES[name]:",
        "            if False:",
        test="tests/stores/rabbitmq/test_unreadable.py::test_each_kind_leaves_its_place_to_a_job",
    ),
    Mutant(
        MESSAGES,
        "a job is taken for another one with its id",
        "stores/rabbitmq/deliveries.py",
        "        return self.job.id, birth_of(self.job), self.job.claim_no",
        "        return self.job.id, (), self.job.claim_no",
        test="tests/stores/rabbitmq/test_unreadable.py"
        "::test_two_jobs_with_one_id_both_run_and_two_copies_of_one_do_not",
    ),
    Mutant(
        MESSAGES,
        "a job that is queued again in doubt is another job",
        "stores/rabbitmq/turn_draft.py",
        "                doubtful.put(record.id, record)",
        "                pass",
        test="tests/stores/rabbitmq/test_memory.py"
        "::test_a_job_that_is_queued_again_for_want_of_an_answer_is_the_same_job",
    ),
    Mutant(
        MESSAGES,
        "the data of every queued job is remembered",
        "stores/rabbitmq/recent.py",
        "len(self._kept) > self._most or self._bytes > self._bytes_max:",
        "len(self._kept) > self._most:",
        test="tests/stores/rabbitmq/test_memory.py"
        "::test_of_the_oldest_queued_jobs_the_data_is_forgotten_and_the_queueing_is_not",
    ),
    Mutant(
        MESSAGES,
        "an ending that is larger than the server takes is tried for ever",
        "stores/rabbitmq/intake.py",
        "            self._settle_kept(held, ",
        "            self._turn.settle_held(held, ",
        test="tests/stores/rabbitmq/test_sizes.py"
        "::test_a_result_and_data_over_the_servers_limit_end_one_job_and_one_call",
    ),
    Mutant(
        MESSAGES,
        "two look at the dead at once, and see half of them each",
        "stores/rabbitmq/pika/browsing.py",
        "self._channel.queue_declare(self._lock, exclusive=True, callback=lambda _: self._count(self._counted))",
        "self._count(self._counted)",
        test="tests/stores/rabbitmq/test_model.py::test_one_at_a_time_browses_a_queue_and_each_sees_all_of_it",
    ),
    Mutant(
        MESSAGES,
        "the page of the dead after the first is the first again",
        "stores/rabbitmq/dead_jobs.py",
        "(last is None or _place(job) < last)",
        "True",
        test="tests/stores/rabbitmq/test_many_dead.py"
        "::test_pages_show_each_once_the_newest_first_also_when_one_is_revived_between",
    ),
    Mutant(
        MESSAGES,
        "why a channel was closed is forgotten",
        "stores/rabbitmq/pika/link.py",
        "        if self._channel_failure is None:\n",
        "        if True:\n",
        test="tests/stores/rabbitmq/test_permissions.py::test_a_start_without_a_permission_fails_at_once_and_says_which",
    ),
    Mutant(
        MESSAGES,
        "calls of a connection overtake one another",
        "stores/rabbitmq/pika/link.py",
        "self._calls.append(safely)",
        "self._calls.appendleft(safely)",
        test="tests/stores/rabbitmq/test_link.py::test_calls_are_made_in_their_order_whoever_makes_them",
    ),
    Mutant(
        MESSAGES,
        "a thread in which an error may be raised uses a connection itself",
        "stores/rabbitmq/pika/link.py",
        "            if may_stand_in():\n                self._make_calls()",
        "            if True:\n                self._make_calls()",
        test="tests/stores/rabbitmq/test_link.py::test_a_thread_that_nothing_can_interrupt_publishes_itself",
    ),
    Mutant(
        MESSAGES,
        "after an error in the midst of it more is published, and confirmed for what was not",
        "stores/rabbitmq/pika/link.py",
        "            self._work = None\n            reason",
        "            reason",
        test="tests/stores/rabbitmq/test_link.py::test_after_an_error_in_a_call_nothing_is_sent_until_the_next_session",
    ),
    Mutant(
        MESSAGES,
        "what goes at once overtakes what waits to be sent",
        "stores/rabbitmq/pika/connection.py",
        "        if transport.get_write_buffer_size() == 0:",
        "        if True:",
        test="tests/stores/rabbitmq/test_link.py"
        "::test_what_does_not_go_at_once_goes_later_and_before_what_comes_after_it",
    ),
    Mutant(
        MESSAGES,
        "once somebody has read who waits, nobody does",
        "stores/rabbitmq/pika/connection.py",
        "            fd, self.left = self.left, None\n            super().update_handler(fd, self._awaited(fd))",
        "            self.left = None",
        test="tests/stores/rabbitmq/test_link.py::test_who_waits_takes_in_what_comes_and_then_the_links_thread_does",
    ),
    Mutant(
        MESSAGES,
        "what is read by one who waits wakes another thread too",
        "stores/rabbitmq/pika/connection.py",
        "        return wanted & ~IOLoop.READ if fd == self.left else wanted",
        "        return wanted",
        test="tests/stores/rabbitmq/test_link.py::test_while_somebody_waits_nobody_else_takes_in_what_comes",
    ),
    Mutant(
        MESSAGES,
        "a thread that was about to read does so from a connection that another has ended",
        "stores/rabbitmq/pika/connection.py",
        "                events &= self._awaited(fd)\n",
        "",
        test="tests/stores/rabbitmq/test_link.py"
        "::test_who_ends_a_connection_whose_thread_is_about_to_read_ends_it_for_this_reason",
    ),
    Mutant(
        MESSAGES,
        "a part of what a call had said, when it failed, is sent",
        "stores/rabbitmq/pika/connection.py",
        "            self._said = None\n        if said:\n            self._send(",
        "            self._said = None\n            self._send(",
        test="tests/stores/rabbitmq/test_link.py::test_after_an_error_in_a_call_nothing_is_sent_until_the_next_session",
    ),
    Mutant(
        MESSAGES,
        "an error from outside, in one who reads, loses what had come, and nobody hears of it",
        "stores/rabbitmq/pika/link.py",
        "            except BaseException as error:\n                with self._lock:",
        "            except Exception as error:\n                with self._lock:",
        test="tests/stores/rabbitmq/test_link.py::test_an_error_in_what_somebody_reads_who_waits_ends_the_session",
    ),
    Mutant(
        MESSAGES,
        "what is published as a connection is opened is not counted, and the next is confirmed for it",
        "stores/rabbitmq/pika/link.py",
        "        if connection is None or not connection.session:",
        "        if connection is None:",
        test="tests/stores/rabbitmq/test_link.py::test_nothing_is_published_before_a_session_has_begun_that_counts_it",
    ),
    Mutant(
        MESSAGES,
        "a connection that has ended in this very moment is ended again",
        "stores/rabbitmq/pika/connection.py",
        "        if not self.is_closed:\n",
        "        if True:\n",
        test="tests/stores/rabbitmq/test_link.py::test_a_connection_that_has_ended_can_be_dropped",
    ),
    Mutant(
        MESSAGES,
        "the queue of one name that cannot be used stops all names",
        "stores/rabbitmq/store.py",
        "                    self.state.ailing.stopped[name] = str(error)\n",
        "",
        test="tests/stores/rabbitmq/test_permissions.py"
        "::test_a_queue_with_other_arguments_stops_its_name_alone_until_it_is_gone",
    ),
    Mutant(
        MESSAGES,
        "a queue that is deleted while it is declared stops its name",
        "stores/rabbitmq/store.py",
        "if error.code != NOT_FOUND or not tries_left:",
        "if True:",
        test="tests/stores/rabbitmq/test_declaring.py"
        "::test_a_queue_that_is_deleted_while_it_is_declared_is_declared_again",
    ),
    Mutant(
        MESSAGES,
        "a queue that is full stops all names",
        "stores/rabbitmq/store.py",
        "                self.state.ailing.refused(left, ops.names)\n",
        "",
        test="tests/stores/rabbitmq/test_full_queue.py::test_a_queue_that_is_full_stops_no_other_name",
    ),
    Mutant(
        MESSAGES,
        "what goes back into a full queue keeps it full",
        "stores/rabbitmq/turn_draft.py",
        "        if job.name in self.state.ailing.full:\n",
        "        if False:\n",
        test="tests/stores/rabbitmq/test_full_queue.py"
        "::test_a_full_queue_is_worked_off_also_where_its_jobs_go_back_into_it",
    ),
    Mutant(
        MESSAGES,
        "a suspect that runs is not known for one",
        "stores/rabbitmq/claiming.py",
        "        if interruptions >= SUSPECT_INTERRUPTIONS:\n",
        "        if False:\n",
        test="tests/stores/rabbitmq/test_poison.py::test_a_job_that_kills_its_process_is_dead_alone",
    ),
    Mutant(
        MESSAGES,
        "an exchange that was deleted is not missed",
        "stores/rabbitmq/session.py",
        "            self._mend()\n",
        "",
        test="tests/stores/rabbitmq/test_permissions.py::test_an_exchange_that_was_deleted_is_made_again",
    ),
    Mutant(
        MESSAGES,
        "half a password is shown as an option",
        "stores/rabbitmq/address.py",
        '    if parts.fragment or "@" in parts.path + parts.query:',
        "    if parts.fragment:",
        test="tests/stores/rabbitmq/test_connection.py"
        "::test_an_address_that_makes_no_sense_is_refused_without_being_shown",
    ),
    Mutant(
        LIMITS,
        "two of queue_one are claimed at once",
        "stores/sqlite/jobs.py",
        "            if job.one_at_a_time and job.schedule in taken:\n",
        "            if False:\n",
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory"
        "::test_a_job_waits_while_another_of_its_schedule_runs_if_only_one_may",
    ),
    Mutant(
        LIMITS,
        "one of queue_one is claimed beside another that runs",
        "stores/sqlite/claimable.py",
        "    and (not one_at_a_time or not exists (\n      select 1 from lamplighter_jobs r where"
        ' r.schedule = lamplighter_jobs.schedule and r.state = \'running\'))\n"""',
        '"""',
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory"
        "::test_a_job_waits_while_another_of_its_schedule_runs_if_only_one_may",
    ),
    Mutant(
        ROAD,
        "a suspect is claimed beside another that runs",
        "broker/claims.py",
        "jobs.claim(wants, suspect=not suspect_held)",
        "jobs.claim(wants, suspect=True)",
        test="tests/broker/test_suspects.py::test_of_two_suspects_the_second_waits_until_the_first_has_ended",
    ),
    Mutant(
        ROAD,
        "two suspects of two names are claimed in one turn",
        "stores/sqlite/jobs.py",
        "            suspect = suspect and not any(is_suspect(one.job, self._turn.now) for one in claimed)\n",
        "",
        test="tests/broker/test_suspects.py::test_one_turn_claims_one_suspect_for_all_names",
    ),
    Mutant(
        LANES,
        "a forked child that returns from a handler goes on",
        "handlers/execute.py",
        "        self._end_if_forked(None)\n",
        "",
    ),
    Mutant(
        LANES,
        "a forked child that leaves a handler by an error goes on",
        "handlers/execute.py",
        "            self._end_if_forked(error)\n",
        "",
    ),
    Mutant(
        LANES,
        "a forked child queues as if it were its parent",
        "boot/current.py",
        "        if boot is not None and boot.pid != self.environment.pid():",
        "        if False:",
    ),
    Mutant(
        LANES,
        "after a fork the parent's store stays closed",
        "stores/sqlite/store.py",
        "            self._reopen = True\n            with",
        "            with",
    ),
    Mutant(
        LANES,
        "signals that fall into one another wait for a lock",
        "runtime.py",
        "        asked, now = self.environment.queue()",
        "        asked, now = self.environment.event()",
        (
            ("runtime.py", "lambda number, _: asked.put(now())", "lambda number, _: asked.set()"),
            (
                "runtime.py",
                "while not (_has_come(asked) or self.wait(0))",
                "while not (asked.wait(0.5) or self.wait(0))",
            ),
            ("runtime.py", "lambda: _came_after(asked, urges_from)", "lambda: False"),
        ),
    ),
    Mutant(
        LANES,
        "each signal stops the runtime",
        "runtime.py",
        "lambda number, _: asked.put(now())",
        "lambda number, _: (asked.put(now()), self.stop(drain))",
    ),
    Mutant(
        LANES,
        "a boot that stops leaves behind what still runs",
        "broker/boots.py",
        '    context.interrupt(context.turn.jobs.open_claims(context.state.boot), "the',
        '    context.interrupt(context.turn.jobs.open_claims(context.state.boot)[:0], "the',
        (("boot/draining.py", 'tell(name, Interrupt(handler_id=None, reason="the runtime stopped"))', "find(name)"),),
    ),
    Mutant(
        LIMITS,
        "attempts that timed out are not kept",
        "stores/sqlite/attempts.py",
        "in (OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED):",
        "in (OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED, OutcomeKind.TIMED_OUT):",
    ),
    Mutant(
        LEDGER,
        "skipped slots whose turn was cut midway are counted twice",
        "stores/rabbitmq/turn_schedules.py",
        "left = self._not_noted(schedule_id, gone)",
        "left = gone",
        test="tests/stores/rabbitmq/test_schedules.py::"
        "test_skipped_slots_whose_turn_was_cut_midway_are_said_once_more_and_counted_once",
    ),
    Mutant(
        ROAD,
        "a job that must begin is claimed in advance",
        "stores/sqlite/jobs.py",
        "            if begun <= 0 and (prefetched <= 0 or careful):\n",
        "            if begun <= 0 and prefetched <= 0:\n",
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::test_a_job_that_must_begin_is_not_claimed_in_advance",
    ),
    Mutant(
        ROAD,
        "on RabbitMQ what has killed its process too often is run again",
        "stores/rabbitmq/claiming.py",
        "            if blamed and blamed >= want.interruptions_max:\n",
        "            if False:\n",
        test="tests/stores/rabbitmq/test_memory.py::"
        "test_a_job_that_killed_its_process_too_often_is_claimed_only_to_be_judged",
    ),
    Mutant(
        LIMITS,
        "on RabbitMQ what expires where it waits stays until a lane is free",
        "stores/rabbitmq/jobs.py",
        "            for delivery in [one for one in waiting if one.is_expired(now, shared_now)]:",
        "            for delivery in ():",
        test="tests/stores/rabbitmq/test_memory.py::"
        "test_a_job_that_expires_where_it_waits_for_a_lane_is_cancelled_by_the_next_turn",
    ),
    Mutant(
        FENCE,
        "on RabbitMQ a requeue that is refused takes the claim away",
        "stores/rabbitmq/jobs.py",
        "        held, dead = self._state.deliveries.held.get(job.key), self._dead.get(job.id)",
        "        held, dead = self._turn.let_go(job), self._dead.get(job.id)",
        test="tests/stores/rabbitmq/test_memory.py::"
        "test_a_requeue_that_is_refused_takes_nothing_from_the_attempt_that_runs_on",
    ),
    Mutant(
        ROAD,
        "on RabbitMQ a job that must begin is claimed in advance",
        "stores/rabbitmq/claiming.py",
        "or (is_careful and begun <= 0):",
        "or False:",
        test="tests/stores/rabbitmq/test_conformance.py::TestOnTheModel::test_a_job_that_must_begin_is_not_claimed_in_advance",
    ),
    Mutant(
        LEDGER,
        "the end of an alarm that nobody has told of is waited for for ever",
        "stores/rabbitmq/session.py",
        "            self._watchdog.in_alarm()\n",
        "            return\n",
        test="tests/stores/rabbitmq/test_session.py::test_a_runtime_that_is_not_told_that_an_alarm_is_over_finds_out",
    ),
    Mutant(
        SUPERVISION,
        "a stop waits for the back-off of a broker that has died",
        "boot/boot.py",
        '        self._supervision.start_now("broker")\n        self.post.tell("broker", Drain())\n',
        '        self.post.tell("broker", Drain())\n',
        test="tests/test_runtime.py::test_a_stop_does_not_wait_for_the_back_off_of_a_broker_that_has_died",
    ),
    Mutant(
        SUPERVISION,
        "a stop does not wait for a broker that dies meanwhile",
        "boot/draining.py",
        'if self._is_awaited("broker") and ',
        "if False and ",
        test="tests/test_runtime.py::test_a_stop_lets_a_broker_that_dies_meanwhile_store_what_has_ended[dies_again]",
    ),
    Mutant(
        SUPERVISION,
        "a stop waits for a locked store until its callers give up",
        "actors/job_broker.py",
        "if self._waiting_since is not None and self._carried_over.gives_up(",
        "if False and self._carried_over.gives_up(",
        test="tests/boot/test_stopping.py::test_a_stop_does_not_wait_for_a_store_that_is_locked_all_the_while[nothing]",
    ),
    Mutant(
        SUPERVISION,
        "a stop waits for what was interrupted though it has given up the store",
        "boot/draining.py",
        " or self._carried_over.has_given_up:",
        ":",
        test="tests/boot/test_stopping.py::"
        "test_a_stop_does_not_wait_for_a_store_that_is_locked_all_the_while[one_that_runs]",
    ),
    Mutant(
        SUPERVISION,
        "a boot that has given up a locked store waits for it to leave it",
        "boot/boot.py",
        "            if self.carried_over.has_given_up:\n",
        "            if False:\n",
        test="tests/boot/test_stopping.py::test_a_stop_does_not_wait_for_a_store_that_is_locked_all_the_while[nothing]",
    ),
    Mutant(
        SUPERVISION,
        "the lock file of a boot that has given up its store goes with it",
        "stores/presence.py",
        "            if not stays:\n                _remove(",
        "            if True:\n                _remove(",
        test="tests/boot/test_stopping.py::test_a_stop_does_not_wait_for_a_store_that_is_locked_all_the_while[nothing]",
    ),
    Mutant(
        SUPERVISION,
        "a broker's trouble with the store is named after the broker has died",
        "actors/job_broker.py",
        "        self._store_is_down(None)\n        self._ask_the_living()\n",
        "        self._ask_the_living()\n",
        test="tests/boot/test_unavailable.py::test_a_trouble_that_is_over_is_not_named_though_the_broker_died_of_it",
    ),
    Mutant(
        SUPERVISION,
        "a store that is locked is given up in the drain",
        "broker/state.py",
        "    gives_up_at: Seconds = math.inf\n",
        "    gives_up_at: Seconds = 0.0\n",
        test="tests/boot/test_stopping.py::test_a_drain_waits_for_a_store_that_is_locked_and_comes_back",
    ),
    Mutant(
        SIGHT,
        "who is asked from outside waits for the store",
        "boot/views.py",
        "        open_lanes, share = self._lanes.open(), self._share\n",
        "        self._store.changed()\n        open_lanes, share = self._lanes.open(), self._share\n",
        test="tests/boot/test_control.py::test_a_boot_whose_broker_hangs_in_a_write_batch_answers_and_says_so",
    ),
    Mutant(
        SIGHT,
        "a control socket that was cleaned away stays away",
        "stores/controls.py",
        "not counter.is_open or not counter.is_at(self._path):",
        "not counter.is_open:",
        test="tests/boot/test_control.py::test_a_socket_that_was_cleaned_away_is_there_again_after_a_poll",
    ),
    Mutant(
        SIGHT,
        "a forked child keeps the control socket of its parent",
        "stores/controls.py",
        "after_in_child=_let_go_in_child",
        "after_in_child=_forking.release",
        test="tests/stores/test_controls.py::test_a_forked_child_has_nothing_of_it_and_takes_nothing_away",
    ),
    Mutant(
        SIGHT,
        "on RabbitMQ a question from outside waits for the broker",
        "stores/rabbitmq/notices.py",
        "        if not self._answering.takes(arrival):\n            self._tell",
        "        if True:\n            self._tell",
        test="tests/stores/rabbitmq/test_asking.py::"
        "test_a_question_is_answered_before_anybody_takes_a_turn_and_is_no_news",
    ),
    Mutant(
        LANES,
        "that an ending is settled is told with the next claims alone",
        "broker/claims.py",
        '        context.tell(f"handler:{name}", Run((), tuple(keys)))',
        "        pass",
        test="tests/actors/test_deaths.py::test_an_ending_is_settled_though_nothing_is_claimed_beside_it",
    ),
    Mutant(
        LIMITS,
        "a quiet runtime claims all the same",
        "broker/claims.py",
        "        _claim_nothing(context)\n    else:",
        "        _claim_all(context)\n    else:",
        (("broker/state.py", "self.draining or self.quiet.is_on or not", "self.draining or not"),),
        test="tests/boot/test_quiet.py::test_a_quiet_runtime_starts_no_job_and_finishes_those_that_run",
    ),
    Mutant(
        LIMITS,
        "what a runtime has claimed in advance starts after it was told to be quiet",
        "broker/claims.py",
        '        context.tell(f"handler:{name}", Paused(reply=None))\n',
        "        pass\n",
        test="tests/boot/test_quiet.py::test_what_was_claimed_in_advance_goes_back_when_a_runtime_becomes_quiet",
    ),
    Mutant(
        PEOPLE,
        "a sweep takes what came after it was counted",
        "operating/matching.py",
        "    until = asked_at if query.queued_until is None else min(asked_at, query.queued_until)\n",
        "    until = query.queued_until\n",
        test="tests/web/test_sweeps.py::test_a_sweep_takes_none_that_was_queued_after_somebody_was_asked",
    ),
    Mutant(
        PEOPLE,
        "a number of jobs that has changed since somebody was asked is not looked at",
        "cli/acting.py",
        "        if gone:\n",
        "        if False:\n",
        test="tests/cli/test_acting.py::test_a_sweep_is_refused_when_there_are_fewer_jobs_than_somebody_was_shown",
    ),
    Mutant(
        PEOPLE,
        "a script's sweep is refused when the store has moved on since it was counted",
        "cli/acting.py",
        "        gone = () if self._arguments.yes else set(found).difference(find())\n",
        "        gone = set(found).symmetric_difference(find())\n",
        test="tests/cli/test_acting.py::test_a_sweep_takes_those_that_were_found_though_more_have_come_since",
    ),
    Mutant(
        PEOPLE,
        "a sweep acts on what is in another state by then",
        "operating/sweeping.py",
        "    if states is not None and job.state not in states:\n",
        "    if False:\n",
        test="tests/cli/test_acting.py::test_a_sweep_leaves_what_is_in_another_state_by_then",
    ),
    Mutant(
        PEOPLE,
        "everybody on the machine can connect to the socket of the page",
        "cli/web.py",
        "    before = os.umask(0o777 & ~mode)\n",
        "    before = os.umask(0)\n",
        test="tests/cli/test_web.py::test_a_unix_socket_is_for_its_owner_or_whom_its_mode_lets_in",
    ),
    Mutant(
        PEOPLE,
        "the page takes the socket of another one that lives",
        "cli/web.py",
        "            except ConnectionRefusedError:\n                os.unlink(path)\n",
        "            finally:\n                os.unlink(path)\n",
        test="tests/cli/test_web.py::test_a_socket_that_a_killed_server_has_left_is_replaced_and_a_living_ones_is_not",
    ),
    Mutant(
        PEOPLE,
        "the socket of the page stays when the page is ended by SIGTERM",
        "cli/web.py",
        "            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n",
        "",
        test="tests/cli/test_web.py::test_a_unix_socket_is_for_its_owner_or_whom_its_mode_lets_in",
    ),
    Mutant(
        PEOPLE,
        "a user without a name cannot act",
        "cli/options.py",
        "    except (KeyError, OSError):\n",
        "    except RecursionError:\n",
        test="tests/cli/test_web.py::test_a_user_without_a_name_acts_by_number",
    ),
    Mutant(
        PEOPLE,
        "half of a surrogate pair is accepted with what is queued",
        "rules/codec.py",
        "        if not mends:\n",
        "        if False:\n",
        test="tests/rules/test_codec.py::test_half_of_a_surrogate_pair_is_refused_or_becomes_a_character_that_says_so",
    ),
    Mutant(
        PEOPLE,
        "a result with half of a surrogate pair is lost",
        "handlers/outcomes.py",
        "bytes_max=rules.result_bytes_max, mends=True)",
        "bytes_max=rules.result_bytes_max)",
        test="tests/test_jobs.py::test_half_of_a_surrogate_pair_loses_no_work",
    ),
    Mutant(
        PEOPLE,
        "one row with half of a surrogate pair ends a list of many",
        "rules/codec.py",
        "        return json_of(valid(msgspec.to_builtins(value))).decode()\n",
        "        raise\n",
        also=(("operating/payloads.py", "        value = valid(value)\n", "        pass\n"),),
        test="tests/cli/test_export.py::test_half_of_a_surrogate_pair_in_one_row_ends_no_list",
    ),
    Mutant(
        PEOPLE,
        "the page of a job with half of a surrogate pair is an error",
        "operating/payloads.py",
        "        value = valid(value)\n",
        "        pass\n",
        test="tests/web/test_site.py::test_a_row_with_half_of_a_surrogate_pair_is_shown",
    ),
    Mutant(
        PEOPLE,
        "an argument that is not UTF-8 ends a command with a traceback",
        "cli/main.py",
        '        self.register("type", None, _text)\n',
        "",
        test="tests/cli/test_cli.py::test_an_argument_that_is_not_utf8_is_refused",
    ),
    Mutant(
        PEOPLE,
        "an unexpected end of a command is raised",
        "cli/main.py",
        "    except BaseException as error:\n",
        "    except (Exception, KeyboardInterrupt) as error:\n",
        test="tests/cli/test_cli.py::test_whatever_happens_the_command_ends_with_an_exit_code",
    ),
    Mutant(
        PEOPLE,
        "metrics move the cursor of a terminal",
        "cli/metrics.py",
        "visible(text, breaks=True) if sys.stdout.isatty() else text",
        "text",
        test="tests/contrib/prometheus/test_collector.py::test_metrics_at_a_terminal_move_no_cursor",
    ),
    Mutant(
        PEOPLE,
        "in a narrow terminal every column is cut to a few characters",
        "cli/page.py",
        "    while (most := _level([widths[place] for place in kept], columns - GAP * (len(kept) - 1))) < least:\n",
        "    while (most := _level([widths[place] for place in kept], columns - GAP * (len(kept) - 1))) < 1:\n",
        test="tests/cli/test_page.py::test_within_40_columns_there_are_the_columns_that_matter_most",
    ),
    Mutant(
        PEOPLE,
        "whoever asks for one name has all of them counted",
        "operating/look.py",
        "self._names(seen, boots, now, first=name, limit=1)",
        "self._names(seen, boots, now, limit=NAMES_MAX)",
        test="tests/operating/test_look.py::test_names_are_listed_some_at_a_time_and_of_one_only_that_is_counted",
    ),
    Mutant(
        PEOPLE,
        "a list of names does not say that there are more",
        "operating/overview.py",
        "is_capped=has_more_names)",
        "is_capped=False)",
        test="tests/operating/test_look.py::test_of_too_many_names_an_overview_says_that_there_are_more",
    ),
    Mutant(
        PEOPLE,
        "the sums of one name are looked for among those of all",
        "stores/sqlite/tallies.py",
        "where tally.span = :span and tally.start = starts.start and tally.name = :name ",
        "where tally.span = :span and tally.start = starts.start and +tally.name = :name ",
        test="tests/stores/sqlite/test_plans.py::test_a_statement_uses_the_index_that_it_was_written_for",
    ),
    Mutant(
        LIMITS,
        "the claims of one runtime are looked for among all jobs",
        "stores/sqlite/jobs.py",
        "from lamplighter_jobs indexed by lamplighter_jobs_running\n                   where",
        "from lamplighter_jobs where",
        test="tests/stores/sqlite/test_plans.py::test_a_statement_uses_the_index_that_it_was_written_for",
    ),
    Mutant(
        LIMITS,
        "the first that a job still waits for is looked for among all that it has waited for",
        "stores/sqlite/links.py",
        "select parent from lamplighter_links indexed by lamplighter_links_open",
        "select parent from lamplighter_links",
        test="tests/stores/sqlite/test_plans.py::"
        "test_what_a_job_still_waits_for_is_found_though_it_has_waited_for_thousands",
    ),
    Mutant(
        PEOPLE,
        "a sweep compares the state of a job, and not its claim",
        "operating/sweeping.py",
        "    if found is not None and (job.key, job.state) != (found.key, found.state):\n",
        "    if found is not None and job.state != found.state:\n",
        test="tests/operating/test_operator.py::test_a_sweep_leaves_a_job_that_is_in_the_same_state_by_another_claim",
    ),
    Mutant(
        PEOPLE,
        "a sweep compares the claim of a job, and not its state",
        "operating/sweeping.py",
        "    if found is not None and (job.key, job.state) != (found.key, found.state):\n",
        "    if found is not None and job.key != found.key:\n",
        test="tests/operating/test_operator.py::"
        "test_dead_jobs_are_requeued_unless_they_are_dead_no_longer_or_their_key_is_taken",
    ),
    Mutant(
        PEOPLE,
        "a sweep takes what died after somebody was asked",
        "operating/matching.py",
        "    return replace(query, queued_until=until, ended_until=ended)\n",
        "    return replace(query, queued_until=until)\n",
        test="tests/web/test_sweeps.py::test_a_sweep_takes_none_that_died_after_somebody_was_asked",
    ),
    Mutant(
        PEOPLE,
        "an audit as JSON does not tell how many findings are not kept",
        "cli/audit.py",
        '"unfinished", "is_whole", "more")',
        '"unfinished", "is_whole")',
        test="tests/cli/test_cli.py::test_an_audit_as_json_tells_how_many_findings_are_not_kept",
    ),
    Mutant(
        PEOPLE,
        "a job that cannot be forgotten keeps those behind it",
        "cli/job_acts.py",
        "        except UsageError as error:\n",
        "        except KeyError as error:\n",
        test="tests/cli/test_acting.py::test_each_job_that_is_to_be_forgotten_is_tried_and_who_is_refused_is_named",
    ),
    Mutant(
        PEOPLE,
        "a copy waits for nobody",
        "operating/copying.py",
        "    parents = () if context.turn.links is None else context.turn.links.parents_of(job)\n",
        "    parents = ()\n",
        test="tests/operating/test_operator.py::test_a_copy_of_a_job_that_waits_for_others_waits_for_them_too",
    ),
    Mutant(
        PEOPLE,
        "what people do is in no sums",
        "operating/operator_turns.py",
        "                _count(turn)\n",
        "",
        test="tests/operating/test_metrics.py::test_what_people_do_is_counted_too",
    ),
    Mutant(
        SIGHT,
        "a write batch that stores sums is counted, and followed by another for ever",
        "broker/tallies.py",
        "        if took is not None and out.did is not None:\n",
        "        if took is not None:\n",
        test="tests/broker/test_tallies.py::"
        "test_write_batches_are_summed_up_and_one_that_stores_sums_is_followed_by_none",
    ),
    Mutant(
        SIGHT,
        "a name that lives takes the label of one that has sums",
        "operating/metrics.py",
        "        self._own = {*with_sums, *others[: names_max - len(with_sums)]}\n",
        "        self._own = {*sorted({*with_sums, *others})[:names_max]}\n",
        test="tests/operating/test_metrics.py::test_a_name_without_sums_takes_the_label_of_none_that_has_some",
    ),
    Mutant(
        RATES,
        "a rate counts the starts of one runtime only",
        "stores/sqlite/jobs.py",
        "rates.take(self._connection, want.limits.rate, want.name, self._turn.now, len(claims))",
        "rates.take(self._connection, want.limits.rate, want.name, self._turn.now, len(claims), want.boot)",
        (
            (
                "stores/sqlite/jobs.py",
                "            room = rates.room(self._connection, limits.rate, want.name, self._turn.now)\n"
                "            begun, prefetched",
                "            room = rates.room(self._connection, limits.rate, want.name, self._turn.now, want.boot)\n"
                "            begun, prefetched",
            ),
        ),
    ),
    Mutant(
        RATES,
        "retries cost nothing of a rate",
        "stores/sqlite/jobs.py",
        "self._turn.now, len(claims))\n",
        "self._turn.now, sum(not one.job.attempt for one in claims))\n",
        test="tests/test_rates.py::test_each_attempt_takes_of_the_rate",
    ),
    Mutant(
        RATES,
        "one more starts in a time than the rate says",
        "rules/rates.py",
        "return (rate.burst - 1) * _interval(rate) + _late(rate)",
        "return rate.burst * _interval(rate) + _late(rate)",
    ),
    Mutant(
        RATES,
        "what is claimed in advance costs a rate nothing",
        "stores/sqlite/jobs.py",
        "            begun, prefetched = min(begun, room.free), 0\n",
        "            begun = min(begun, room.free)\n",
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::test_no_more_claims_than_the_rate_leaves_room_for",
    ),
    Mutant(
        RATES,
        "a rate takes of its room where nothing is claimed",
        "stores/sqlite/jobs.py",
        "        if claims and want.limits.rate is not None:\n",
        "        if want.limits.rate is not None:\n",
        (("stores/sqlite/jobs.py", "self._turn.now, len(claims))\n", "self._turn.now, len(claims) or 1)\n"),),
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::"
        "test_a_claim_takes_of_the_rate_whatever_becomes_of_it",
    ),
    Mutant(
        RATES,
        "a clock that was set back closes a rate until it is there again",
        "rules/rates.py",
        "min(spent_to, now + _tolerance(rate) + _interval(rate))",
        "spent_to",
        test="tests/rules/test_rates.py::test_a_clock_that_was_set_back_closes_a_rate_for_no_longer_than_a_burst",
    ),
    Mutant(
        RATES,
        "how far a clock that was set back closes a rate is reckoned anew each time",
        "stores/sqlite/rates.py",
        "        _keep(connection, name, group, kept)\n",
        "",
        test="tests/stores/sqlite/test_store.py::TestStoreInMemory::test_a_clock_that_was_set_back_does_not_close_a_rate",
    ),
    Mutant(
        RATES,
        "nobody is woken when a rate opens",
        "stores/sqlite/jobs.py",
        "                        next_due[want.name] = room.opens\n",
        '                        next_due[want.name] = float("inf")\n',
        test="tests/test_rates.py::test_jobs_start_as_fast_as_the_rate_says_and_no_faster",
    ),
    Mutant(
        RATES,
        "retention forgets what a rate has spent",
        "stores/sqlite/rates.py",
        "where spent_to <= ?",
        "where spent_to > ?",
        test="tests/test_rates.py::test_what_the_store_keeps_of_a_rate_goes_when_it_says_nothing_any_more",
    ),
    Mutant(
        TURNS,
        "what ran before a claim is not counted of a group",
        "stores/sqlite/turns.py",
        "                self._running.setdefault(group, jobs)\n",
        "                self._running.setdefault(group, 0)\n",
    ),
    Mutant(
        TURNS,
        "what a claim has just taken is not counted of a group",
        "stores/sqlite/turns.py",
        "        self._running[group] += 1\n",
        "        self._running[group] += 0\n",
    ),
    Mutant(
        TURNS,
        "a retry does not put its group in line",
        "stores/sqlite/open_turn.py",
        "        if job.waits == WAITS_ITS_TURN:\n",
        "        if job.waits == WAITS_ITS_TURN and not job.attempt:\n",
        test="tests/stores/sqlite/test_turns.py::test_a_retry_puts_its_group_in_line_again",
    ),
    Mutant(
        TURNS,
        "what is queued after the claims of a turn does not put its group in line",
        "stores/sqlite/turn.py",
        "        self.jobs.line_up()\n",
        "",
        test="tests/stores/sqlite/test_turns.py::test_a_group_that_was_served_stands_behind_all_that_wait",
    ),
    Mutant(
        TURNS,
        "a group leaves the line while one of its jobs is delayed",
        "stores/sqlite/turns.py",
        "        if found is None:\n            _remove(self._connection, key)\n",
        "        if found is None or found[0] > self._now:\n            _remove(self._connection, key)\n",
        test="tests/stores/sqlite/test_turns.py::test_a_group_of_which_one_is_delayed_has_its_turn_then",
    ),
    Mutant(
        TURNS,
        "a full group is in the way of the others",
        "stores/sqlite/turns.py",
        "            if job is None:\n                continue\n",
        "            if job is None:\n                return\n",
        test="tests/stores/sqlite/test_turns.py::test_a_full_group_is_in_nobodys_way",
    ),
    Mutant(
        TURNS,
        "a group that was served stays in front",
        "stores/sqlite/turns.py",
        '            self._connection.execute(query, {**about, "priority": priority, "key": group})\n',
        "            pass\n",
        test="tests/stores/sqlite/test_turns.py::test_a_group_that_was_served_stands_behind_all_that_wait",
    ),
    Mutant(
        TURNS,
        "the last of a claim that is served keeps its place",
        "stores/sqlite/turns.py",
        "            self._served[self._given] = None\n",
        "            pass\n",
        test="tests/stores/sqlite/test_turns.py::test_at_a_clock_that_stands_still_too",
    ),
    Mutant(
        TURNS,
        "a group that queues one job a turn is always first",
        "stores/sqlite/turns.py",
        "  where next > excluded.next and next > ? + {SLACK_SECONDS}\n",
        "  where next > excluded.next and ? > 0\n",
        test="tests/stores/sqlite/test_turns.py::test_whoever_queues_one_job_a_turn_is_not_always_first",
    ),
    Mutant(
        TURNS,
        "a line stands still when the clock was set back",
        "stores/sqlite/clock_steps.py",
        "    turns.pull_in(turn.connection, turn.now)\n",
        "",
        test="tests/stores/sqlite/test_turns.py::test_a_clock_that_was_set_back_does_not_make_a_line_stand_still",
    ),
    Mutant(
        TURNS,
        "at a clock that stands still what was served is not due",
        "stores/sqlite/turns.py",
        "SLACK_SECONDS = 0.001\n",
        "SLACK_SECONDS = 0.0\n",
        test="tests/stores/sqlite/test_turns.py::test_at_a_clock_that_stands_still_too",
    ),
    Mutant(
        TURNS,
        "whoever waits for a group's instant is woken too soon and never again",
        "stores/sqlite/turns.py",
        "    return instant + SLACK_SECONDS\n",
        "    return instant\n",
        test="tests/test_groups.py::test_a_delayed_job_of_a_group_starts_at_its_instant_with_nobody_else_to_wake_it",
    ),
    Mutant(
        TURNS,
        "a group at its rate stands in front of what is due",
        "stores/sqlite/turns.py",
        "            self._place((self._name, priority, group), _place_at(room.opens))\n",
        "",
        test="tests/stores/sqlite/test_turns.py::test_a_group_at_its_rate_is_in_nobodys_way_and_its_turn_comes_at_the_instant",
    ),
    Mutant(
        TURNS,
        "a group whose last job is cancelled stays in the line for ever",
        "stores/sqlite/turn.py",
        "        self.jobs.leave_lines()\n",
        "",
        test="tests/stores/sqlite/test_turns.py::test_a_group_whose_last_job_ends_unclaimed_leaves_the_line",
    ),
    Mutant(
        CALLS,
        "a debounce key is let go when its job ends, and not at its claim",
        "stores/sqlite/moves.py",
        '    if job.debounce_until is not None and event != "job.replaced":\n',
        "    if job.debounce_until is not None and state in ENDED:\n",
    ),
    Mutant(
        CALLS,
        "a requeue keeps the debounce key of a job",
        "stores/sqlite/moves.py",
        'job.debounce_until is not None and event != "job.replaced":\n',
        'job.debounce_until is not None and event not in ("job.replaced", "job.requeued"):\n',
    ),
    Mutant(
        CALLS,
        "what a call says is dropped while a job of its key is queued",
        "stores/transitions.py",
        "    return job.debounce_key is not None and twin.id != job.id\n",
        "    return False\n",
    ),
    Mutant(
        CALLS,
        "at_most is not heeded",
        "stores/transitions.py",
        "    run_at = min(by.run_at, until)\n",
        "    run_at = by.run_at\n",
    ),
    Mutant(
        CALLS,
        "at_most begins anew with each call",
        "stores/transitions.py",
        "    until = min(job.debounce_until or by.run_at, by.debounce_until or by.run_at)\n",
        "    until = by.debounce_until or by.run_at\n",
    ),
    Mutant(
        CALLS,
        "nobody tells what calls in applications' own transactions have said",
        "stores/sqlite/jobs.py",
        '            moves.append(Transition("job.replaced", counted, job.state, says_replaced(counted)))\n',
        "            pass\n",
    ),
    Mutant(
        CALLS,
        "a job lies where its first call has put it, with a group or without",
        "stores/sqlite/moves.py",
        '    has_group = changes.get("group_key", job.group_key) is not None\n',
        "    has_group = job.group_key is not None\n",
        test="tests/test_debounce.py::test_a_call_with_a_group_takes_it_to_that_groups_line_and_one_without_out_of_it",
    ),
    Mutant(
        FLOW,
        "what follows is stored though the claim is stale",
        "broker/turn_context.py",
        "            if (now_settled := settled[-1]) is not None and now_settled.state == JobState.DONE:\n",
        "            if True:\n",
    ),
    Mutant(
        FLOW,
        "what follows is stored before the fence is asked",
        "broker/turn_context.py",
        "            settled += self.turn.jobs.settle_all(ends)\n",
        "            self.turn.jobs.insert(follow_ups(job, outcome.then, now))\n"
        "            settled += self.turn.jobs.settle_all(ends)\n",
        (
            (
                "broker/turn_context.py",
                "                self.follow_up(job, outcome.then, who)\n",
                "                pass\n",
            ),
            (
                "broker/turn_context.py",
                "from ..rules.validation import unknown_job\n",
                "from ..rules.new_jobs import follow_ups\nfrom ..rules.validation import unknown_job\n",
            ),
        ),
    ),
    Mutant(
        FLOW,
        "what follows is dropped when the broker dies between the outcome and its settlement",
        "actors/handler_actor.py",
        "        self._unsettled[ending.claim.key] = ending\n",
        "        self._unsettled[ending.claim.key] = ending._replace(outcome=ending.outcome._replace(then=()))\n",
    ),
    Mutant(
        FLOW,
        "what follows a job whose result the store does not take is dropped",
        "broker/claims.py",
        "done_without_result(str(error)[:500])._replace(then=outcome.then)",
        "done_without_result(str(error)[:500])",
        test="tests/broker/test_follow_ups.py::test_what_follows_stays_where_the_result_is_more_than_the_store_takes",
    ),
    Mutant(
        FLOW,
        "a message that is delivered again has what follows it under other ids",
        "rules/new_jobs.py",
        "{ended.rev - ended.claim_no}",
        "{ended.claim_no}",
        test="tests/test_then.py::test_a_message_that_is_delivered_again_gives_the_same_ids_and_a_requeue_others",
    ),
    Mutant(
        FLOW,
        "what follows has other ids each time that the same end is settled",
        "rules/new_jobs.py",
        "id=job.id or follow_up_id(ended, number)",
        'id=job.id or f"{follow_up_id(ended, number)}.{now}"',
        test="tests/broker/test_follow_ups.py::test_an_end_that_is_settled_again_gives_what_follows_the_same_ids",
    ),
    Mutant(
        FLOW,
        "an id that is left of an earlier job of the same id takes the place of what follows",
        "broker/follow_ups.py",
        "if has_table and not then[place].id}",
        "if False}",
        test="tests/test_then.py::test_an_id_that_an_earlier_job_of_the_same_id_has_left_behind_costs_no_job",
    ),
    Mutant(
        FLOW,
        "what follows and waits for others says only that it follows",
        "stores/transitions.py",
        '{**birth.fields, "then_of": end.job.id}',
        '{"then_of": end.job.id}',
        test="tests/test_then.py::test_what_follows_and_waits_for_others_says_both",
    ),
    Mutant(
        FLOW,
        "what an application's transaction has stored is not tied to the end that it follows",
        "stores/sqlite/jobs.py",
        "self._turn.has_ties = host_follow_ups.are_any(self._connection)",
        "self._turn.has_ties = False",
        test="tests/test_then.py::test_in_a_transaction_of_the_application_the_log_ties_both_ends",
    ),
    Mutant(
        FLOW,
        "what a handler has said is dropped when it ends its own job",
        "steering.py",
        "        follow_ups.add(_said_here(boot, job_id, claim_no))\n",
        "",
        test="tests/test_then.py::test_what_a_handler_has_said_is_queued_when_it_ends_its_own_job[call-token]",
    ),
    Mutant(
        FLOW,
        "a step may say what follows, which the next attempt does not say",
        "job.py",
        "        check_outside_steps(self.id)\n",
        "",
        test="tests/test_steps.py::test_the_function_of_a_step_cannot_say_what_follows[thread]",
    ),
    Mutant(
        FLOW,
        "a completion that was kept while its delivery was lost drops what follows",
        "stores/rabbitmq/intake.py",
        "            self._follow_up(held.job, outcome.then)\n",
        "",
        test="tests/stores/rabbitmq/test_kept_follow_ups.py::test_it_is_queued_when_the_job_comes_back",
    ),
    Mutant(
        FLOW,
        "a message that is refused after a write is stored half",
        "broker/dispatch.py",
        "        if context.turn.writes != writes_before:\n",
        "        if False:\n",
        test="tests/broker/test_refusals.py",
    ),
    Mutant(
        FLOW,
        "a message that is refused after a write ends the turn of its caller's thread with the broker",
        "actors/job_broker.py",
        "if self.is_lent and not isinstance(error, HalfDone):",
        "if self.is_lent:",
        test="tests/broker/test_refusals.py",
    ),
    Mutant(
        FLOW,
        "an end in an application's transaction holds although what follows it is refused",
        "broker/host_transactions.py",
        "with turn.wholly() if end.then else nullcontext():",
        "with nullcontext():",
        test="tests/broker/test_refusals.py",
    ),
    Mutant(
        FLOW,
        "a second end with another result is dropped without an error",
        "broker/follow_ups.py",
        "    if result != done.result:\n        return False\n",
        "",
        test="tests/test_then.py",
    ),
    Mutant(
        FLOW,
        "a second end with other jobs to follow is dropped without an error",
        "broker/follow_ups.py",
        "            return False\n    return one_more not in stored\n",
        "            return False\n    return True\n",
        test="tests/test_then.py",
    ),
    Mutant(
        FLOW,
        "on a server some of several jobs are published of which one is too large",
        "stores/rabbitmq/jobs.py",
        "        self._check(jobs)\n",
        "",
        test="tests/stores/rabbitmq/test_sizes.py::test_of_several_jobs_of_which_one_is_too_large_none_is_queued",
    ),
    Mutant(
        LINKS,
        "the links of one call are counted for each job alone",
        "rules/links.py",
        "        self._links += len(done) + len(any_end)\n",
        "        self._links = len(done) + len(any_end)\n",
        test="tests/test_after.py::test_the_jobs_of_one_call_have_so_many_links_together_and_no_more",
    ),
    Mutant(
        LINKS,
        "what follows a job may have as many links in each call as one call may",
        "rules/new_jobs.py",
        "links = self._links + sum(",
        "links = sum(",
        test="tests/test_after.py::test_the_jobs_of_one_call_have_so_many_links_together_and_no_more",
    ),
    Mutant(
        FLOW,
        "the function of a step is called without a look at the store",
        "stepping.py",
        "        if now is None or not is_current(now, claim.key) or now.boot != claim.job.boot:\n",
        "        if now is None:\n",
        test="tests/test_steps.py::test_a_step_asks_the_store_where_nobody_has_told_the_attempt_of_its_loss",
    ),
    Mutant(
        FLOW,
        "an attempt that has failed does not wait for the functions of its steps that threads still run",
        "handlers/execute.py",
        "        steps.wait_for_left()\n",
        "        pass\n",
        test="tests/test_steps.py::test_the_next_attempt_waits_for_the_steps_that_a_failed_one_has_left[thread]",
    ),
    Mutant(
        FLOW,
        "an attempt that has failed does not wait for the functions of its steps that tasks still run",
        "handlers/execute.py",
        "            await steps.await_left()\n",
        "            pass\n",
        test="tests/test_steps.py::test_the_next_attempt_waits_for_the_steps_that_a_failed_one_has_left[task]",
    ),
    Mutant(
        FLOW,
        "the steps that a failed attempt has left on a loop go on beside the next",
        "handlers/steps.py",
        "                task.cancel()\n",
        "                pass\n",
        test="tests/test_steps.py::test_on_a_loop_a_step_that_is_left_is_cancelled_when_the_grace_is_over",
    ),
    Mutant(
        LINKS,
        "of a graph that is cancelled a job runs that the end of another has freed",
        "broker/jobs.py",
        "            count += _cancel(context, now, body.who).state == JobState.CANCELLED\n",
        "            if now is not job:\n                count += 1\n                continue\n"
        "            count += _cancel(context, now, body.who).state == JobState.CANCELLED\n",
        test="tests/test_after.py::test_of_a_graph_that_is_cancelled_no_job_is_freed_by_the_end_of_another",
    ),
    Mutant(
        LINKS,
        "a sweep that cancels leaves what the end of another has freed",
        "operating/sweeping.py",
        ' or action == "cancel":',
        ":",
        test="tests/operating/test_operator.py::test_a_sweep_cancels_what_the_end_of_another_has_freed",
    ),
    Mutant(
        LINKS,
        "a job that waits for others can be claimed",
        "stores/transitions.py",
        "    if job.parents:\n        return WAITS_FOR_JOBS\n",
        "",
    ),
    Mutant(
        LINKS,
        "the first of several parents decides alone",
        "stores/sqlite/freeing.py",
        "        ended = fate((one.state, bool(one.any_end)) for one in parents)\n",
        "        ended = fate((one.state, bool(one.any_end)) for one in parents[:1])\n",
        (
            (
                "stores/sqlite/freeing.py",
                "        cause = next(one for one in parents if one.state == ended and not one.any_end)\n",
                "        cause = parents[0]\n",
            ),
        ),
    ),
    Mutant(
        LINKS,
        "a parent that is dead frees its children",
        "rules/lifecycle.py",
        "if not any_end and state != JobState.DONE}",
        "if not any_end and state == JobState.CANCELLED}",
    ),
    Mutant(
        LINKS,
        "an end in an application's own transaction frees nobody",
        "stores/sqlite/jobs.py",
        "            if self._turn.has_open_links:\n                ripen(self._turn, job.no)\n",
        "",
    ),
    Mutant(
        LINKS,
        "what one turn could not pass on is forgotten",
        "stores/sqlite/freeing.py",
        '("update lamplighter_ripe set child = ?, place = ? where parent = ?", values)\n                return read\n',
        '("select ?, ?, ?", values)\n                break\n',
    ),
    Mutant(
        LINKS,
        "what was left by a turn is in nobody's way",
        "stores/sqlite/open_turn.py",
        "    exists (select 1 from lamplighter_ripe),\n",
        "    0,\n",
        (("stores/sqlite/due.py", " or exists (select 1 from lamplighter_ripe)", ""),),
    ),
    Mutant(
        LINKS,
        "what was freed is not looked for",
        "actors/job_broker.py",
        "        links.free(own)\n        claims.claim(own)\n",
        "        claims.claim(own)\n        links.free(own)\n",
    ),
    Mutant(
        LINKS,
        "a parent that is queued again is not waited for again",
        "stores/sqlite/jobs.py",
        "            ) from error\n        ripen(self._turn, job.no)\n",
        "            ) from error\n",
    ),
    Mutant(
        LINKS,
        "of many that are queued again none waits for another of them",
        "broker/links.py",
        "    return is_open or now is None or now.rev != job.rev\n",
        "    return False\n",
        test="tests/test_after.py"
        "::test_of_a_whole_graph_that_is_queued_again_each_waits_for_its_parents_again[state:dead]",
    ),
    Mutant(
        LINKS,
        "what the next turns would have wait again is queued again by itself",
        "broker/links.py",
        "    return is_open or now is None or now.rev != job.rev\n",
        "    return now is None or now.rev != job.rev\n",
        test="tests/test_after.py::test_nothing_starts_before_its_parents_however_few_links_a_turn_looks_at",
    ),
    Mutant(
        LINKS,
        "many are queued again in whichever order they come",
        "broker/links.py",
        '    return sorted(jobs, key=attrgetter("no"))\n',
        "    return list(jobs)\n",
        test="tests/operating/test_operator.py::test_after_a_sweep_in_any_order_each_waits_for_its_parents_again",
    ),
    Mutant(
        LINKS,
        "what has died of another is not revived with it",
        "stores/sqlite/freeing.py",
        "            revival = self._revive(child, parent)\n",
        "            revival = None\n",
    ),
    Mutant(
        LINKS,
        "a child that somebody has cancelled is revived",
        "stores/sqlite/jobs.py",
        '        changes = {**LEFT, "reason": reason, "ended_at": self._turn.now}\n',
        '        changes = {"reason": reason, "ended_at": self._turn.now}\n',
        test="tests/test_after.py::test_a_child_that_has_left_by_itself_is_not_revived",
    ),
    Mutant(
        LINKS,
        "retention removes a parent before its child",
        "stores/sqlite/removal.py",
        "                        where l.parent = j.no and c.state <> 'done'\n",
        "                        where l.parent = j.no and false and c.state <> 'done'\n",
        test="tests/test_after.py::test_retention_keeps_a_parent_as_long_as_its_child",
    ),
    Mutant(
        LINKS,
        "the errors of a store are hidden by the jobs that share a fate",
        "operating/failures.py",
        ', fate="no")',
        ")",
        test="tests/test_after.py::test_what_failed_by_itself_is_found_among_all_that_share_its_fate",
    ),
    Mutant(
        LINKS,
        "a chain that has ended is removed one link at a time",
        "stores/sqlite/removal.py",
        "                          and (c.ended_at is null or c.ended_at >= iif(c.state = 'dead', ?4, ?3))\n",
        "",
        test="tests/broker/test_retention.py"
        "::test_a_chain_that_has_ended_goes_as_fast_as_jobs_that_wait_for_nothing[verdict1]",
    ),
    Mutant(
        LINKS,
        "a job that is dead has lost its parents when somebody requeues it",
        "stores/sqlite/removal.py",
        "c.state <> 'done'\n",
        "c.ended_at is null\n",
        test="tests/test_after.py::test_a_dead_job_keeps_its_parents_as_somebody_may_requeue_it",
    ),
    Mutant(
        LINKS,
        "a job that is done again is told of fewer parents than it had",
        "queueing.py",
        "        for gone in table.gone_parents(no, 1):\n",
        "        for gone in ():\n",
        test="tests/test_after.py::test_a_job_that_is_done_again_is_not_told_of_fewer_parents_than_it_had",
    ),
    Mutant(
        LINKS,
        "what is kept of removed parents stays when their last child is removed",
        "stores/sqlite/links.py",
        "        let_go += connection.execute(",
        "        connection.execute(",
        test="tests/broker/test_retention.py::test_a_parent_that_was_removed_is_forgotten_with_its_last_child",
    ),
    Mutant(
        LINKS,
        "the links of a child that was removed stay",
        "stores/sqlite/removal.py",
        "    links.cut(turn.connection, gone)\n",
        "",
        test="tests/broker/test_retention.py"
        "::test_a_chain_that_has_ended_goes_as_fast_as_jobs_that_wait_for_nothing[verdict0]",
    ),
    Mutant(
        ROAD,
        "a handler that says when to try again is not heard",
        "rules/lifecycle.py",
        "if outcome.wait is None else outcome.wait)",
        "if outcome.wait is None else 0.0)",
        test="tests/handlers/test_retry.py::test_the_next_attempt_comes_after_the_seconds_that_the_handler_has_said",
    ),
    Mutant(
        FLOW,
        "the audit does not count what follows",
        "history/replay/follow_ups.py",
        "            if number > 0:\n",
        "            if number > 99:\n",
        test="tests/history/audit/test_follow_ups.py::test_another_number_is_a_lost_follow_up",
    ),
    Mutant(
        KEPT,
        "a step is kept whoever says it",
        "stores/sqlite/steps.py",
        "        if current is None:\n            return None\n",
        "        if current is None:\n            current = (0,)\n",
        scenario=STEPS,
    ),
    Mutant(
        KEPT,
        "a step is returned before it is stored",
        "stepping.py",
        "kept: str = boot.requests.ask(partial(KeepStep, claim, name, result, took), corr=claim.job.corr, here=True)\n"
        "        return kept",
        'boot.post.tell("broker", KeepStep(claim, name, result, took, None), corr=claim.job.corr)\n'
        "        return result",
        scenario=STEPS,
    ),
    Mutant(
        KEPT,
        "kept steps are not read",
        "stepping.py",
        "if job.claim_no > 1 else ()",
        "if job.claim_no < 1 else ()",
        scenario=STEPS,
    ),
    Mutant(
        KEPT,
        "steps go with whatever ends a claim",
        "stores/sqlite/moves.py",
        "    if turn.has_steps and moved.state == JobState.DONE:\n",
        "    if turn.has_steps and moved.state != JobState.RUNNING:\n",
        scenario=STEPS,
    ),
    Mutant(
        KEPT,
        "steps stay when their job is done",
        "stores/sqlite/moves.py",
        "    removed = steps.remove(turn, (no,))\n",
        "    removed = 0\n",
        scenario=STEPS,
    ),
    Mutant(
        KEPT,
        "the ledger does not tell of steps",
        "broker/steps.py",
        '        context.turn.note({**told, "d": result, "step": body.name})\n',
        "",
        scenario=STEPS,
    ),
    Mutant(
        KEPT,
        "the function of a step is called though the claim is lost",
        "handlers/steps.py",
        "        if lane.cancelled:\n",
        "        if lane.is_closed:\n",
        test="tests/test_steps.py::test_an_attempt_that_has_lost_its_claim_stops_at_its_next_step",
    ),
    Mutant(
        KEPT,
        "another boot's claim of the same number keeps steps too",
        "stores/sqlite/steps.py",
        "and claim_no = ? and boot = ? and state",
        "and claim_no = ? and ? is not null and state",
        test="tests/stores/sqlite/test_store.py::TestStoreInAFile::test_a_step_of_a_claim_that_is_over_is_not_kept",
    ),
    Mutant(
        KEPT,
        "what is kept last under a name counts",
        "stores/sqlite/steps.py",
        "on conflict do nothing",
        "on conflict do update set result = excluded.result",
        test="tests/stores/sqlite/test_store.py::TestStoreInAFile::test_a_step_of_the_current_claim_is_kept_once",
    ),
    Mutant(
        KEPT,
        "a job that is to begin afresh goes on",
        "broker/jobs.py",
        "(removed := steps.remove(job))",
        "(removed := 0)",
        test="tests/test_steps.py::test_a_dead_job_that_is_requeued_goes_on_unless_it_is_to_begin_afresh",
    ),
    Mutant(
        KEPT,
        "retention leaves the steps of what it removes",
        "stores/sqlite/removal.py",
        "    steps.remove(turn, [job.no for job in gone])\n",
        "",
        test="tests/stores/sqlite/test_store.py::TestStoreInAFile::test_steps_go_with_a_job_that_is_forgotten_or_pruned",
    ),
    Mutant(
        KEPT,
        "the audit does not look who keeps a step",
        "history/replay/steps.py",
        "        if not is_of_holder or (job.rev",
        "        if False and (job.rev",
        test="tests/history/audit/test_steps.py::test_a_step_after_the_end_of_its_claim_is_found",
    ),
    Mutant(
        SIGHT,
        "the doctor takes a runtime that does not answer for one that is well",
        "doctor/evidence.py",
        "        return [boot for boot in self.living if boot.view is None]\n",
        "        return []\n",
        test="tests/doctor/test_process_checks.py::test_what_a_stopped_runtime_would_say_is_unknown",
    ),
    Mutant(
        SIGHT,
        "the doctor takes a write lock for free of which the system does not say who has it",
        "doctor/lock_checks.py",
        "    elif state.is_write_locked and _stays_locked(seen):\n",
        "    elif False:\n",
        test="tests/doctor/test_lock_checks.py::test_a_write_lock_of_whom_the_system_does_not_name_is_seen_to_be_held",
    ),
    Mutant(
        SIGHT,
        "the doctor takes a check that says nothing for one that has found nothing",
        "doctor/examining.py",
        "        if not found:\n",
        "        if False:\n",
        test="tests/doctor/test_examining.py::test_a_check_that_fails_or_says_nothing_is_unknown_and_the_others_go_on",
    ),
    Mutant(
        SIGHT,
        "a page is not told of what changed before it listened",
        "web/live.py",
        "if seen not in (None, version):",
        "if False:",
        test="tests/web/test_live.py::test_what_changed_since_the_page_was_made_or_the_stream_ended_is_told_at_once",
    ),
    Mutant(
        SIGHT,
        "a session of the page never ends",
        "cli/web.py",
        "if session is not None and now < self._sessions.get(session, 0.0):",
        "if session is not None:",
        test="tests/cli/test_web.py::test_a_cookie_is_sent_to_the_page_alone_and_for_as_long_as_it_holds",
    ),
    Mutant(
        SIGHT,
        "a browser that has logged out is still known by its cookie",
        "cli/web.py",
        "            self._sessions.pop(session, None)\n",
        "",
        test="tests/cli/test_web.py::test_a_browser_that_logs_out_is_not_known_any_more_though_it_keeps_its_cookie",
    ),
    Mutant(
        SIGHT,
        "a link makes the page say what it likes",
        "web/pages/page.py",
        "return [NOTICES[said]] if said in NOTICES else []",
        "return [NOTICES.get(said, said)]",
        test="tests/web/test_site.py::test_a_link_makes_a_page_say_nothing_of_its_own",
    ),
    Mutant(
        SIGHT,
        "each job that was claimed has gone back into the queue",
        "web/pages/jobs.py",
        "    if job.claim_no > 1 or (",
        "    if job.claim_no or (",
        test="tests/web/test_machine.py::test_the_picture_of_a_job_shows_the_ways_that_it_has_gone",
    ),
    Mutant(
        SIGHT,
        "each job that was claimed was cancelled while it ran",
        "web/pages/jobs.py",
        "    was_queued = not job.claim_no or (",
        "    was_queued = not job.claim_no and (",
        test="tests/web/test_machine.py::test_the_picture_of_a_job_shows_the_ways_that_it_has_gone",
    ),
    Mutant(
        SIGHT,
        "rows move while one is selected",
        "web/static/page.js",
        'document.querySelector("form [data-changed], tbody [name=id]:checked")',
        'document.querySelector("form [data-changed]")',
        test="tests/web/test_browser.py::test_rows_stay_where_they_are_while_one_is_selected",
    ),
    Mutant(
        SIGHT,
        "a sweep keeps a reader open while it writes",
        "operating/matching.py",
        '    return needed(store.table, "list").sweep(query)\n',
        '    with store.snapshot() as seen:\n        yield from needed(seen.table, "list").sweep(query)\n',
        test="tests/operating/test_matching.py::"
        "test_between_one_look_for_jobs_and_the_next_the_log_of_the_store_can_be_cleared",
    ),
    Mutant(
        SIGHT,
        "each open page watches the store by itself",
        "web/live.py",
        "            if not self._listeners:\n                self._state =",
        "            if True:\n                self._state =",
        test="tests/web/test_live.py::test_all_streams_share_one_watch_and_the_last_one_closes_it",
    ),
    Mutant(
        SIGHT,
        "a stream that has ended makes no room for another",
        "web/live.py",
        "                self._listeners -= 1\n",
        "                pass\n",
        test="tests/web/test_bounds.py::test_streams_have_a_bound_and_one_that_has_ended_makes_room",
    ),
    Mutant(
        SIGHT,
        "the page searches for as many visitors at once as ask",
        "web/pages/jobs.py",
        "visit.searching() if text else nullcontext()",
        "nullcontext()",
        test="tests/web/test_bounds.py::test_a_search_that_gets_no_turn_is_told_so_and_a_page_without_one_is_not",
    ),
    Mutant(
        SIGHT,
        "a search that fails keeps its turn",
        "web/site.py",
        "        try:\n            yield\n        finally:\n            self._searches.release()\n",
        "        yield\n        self._searches.release()\n",
        test="tests/web/test_bounds.py::test_a_search_that_has_ended_or_failed_lets_the_next_one_in",
    ),
    Mutant(
        SIGHT,
        "a fault of the page is the web server's to answer",
        "web/site.py",
        "        except Exception as error:\n            try:\n",
        "        except REFUSALS as error:\n            try:\n",
        test="tests/web/test_bounds.py::test_whatever_fails_is_answered_with_the_headers_of_the_page_and_logged",
    ),
    Mutant(
        SIGHT,
        "a search has as many words as a text can hold",
        "operating/query.py",
        "            if terms > QUERY_TERMS_MAX:\n",
        "            if False:\n",
        test="tests/web/test_bounds.py::test_a_search_of_more_words_than_sqlite_takes_is_answered_with_a_sentence",
    ),
    Mutant(
        SIGHT,
        "a form's number may be infinite",
        "web/pages/forms.py",
        "        if not math.isfinite(number):\n",
        "        if False:\n",
        test="tests/web/test_bounds.py::test_a_number_that_is_none_is_answered_with_a_sentence",
    ),
    Mutant(
        SIGHT,
        "the step that confirms a sweep asks for no right",
        "web/pages/sweeps.py",
        '    action: Any = form.choice("sure", RIGHTS)\n',
        '    action: Any = form.one("sure")\n',
        test="tests/web/test_rights.py::test_each_further_step_of_a_sweep_asks_for_the_right_again",
    ),
    Mutant(
        SIGHT,
        "the step that counts the jobs of a sweep asks for no right",
        "web/pages/sweeps.py",
        '    action: Any = form.choice("action", RIGHTS)\n',
        '    action: Any = form.one("action")\n',
        test="tests/web/test_rights.py::test_a_page_and_the_first_step_of_a_form_ask_for_their_right",
    ),
    Mutant(
        SIGHT,
        "a visitor who may look may have a runtime take nothing new",
        "web/pages/acts.py",
        'form.choice("action", dict.fromkeys(("quiet", "go"), "quiet"))',
        'form.one("action")',
        test="tests/web/test_rights.py::test_a_page_and_the_first_step_of_a_form_ask_for_their_right",
    ),
    Mutant(
        SIGHT,
        "in Django's page, staff without the permission see what jobs carry",
        "contrib/django/page.py",
        'may | {"data"} if user.has_perm(DATA_PERMISSION) else may)',
        'may | {"data"})',
        test="tests/contrib/django/test_page.py::test_a_data_permission_shows_what_jobs_carry_and_no_other_does",
    ),
    Mutant(
        SIGHT,
        "a step's name is markup",
        "web/templates/job.html",
        "{{ one.name }}</td>",
        "{{ one.name|safe }}</td>",
        test="tests/web/test_hostile.py::test_no_text_of_a_store_becomes_markup_or_an_address_on_any_page",
    ),
    Mutant(
        SIGHT,
        "who asks for jobs that were tried never, or more often, is told of the latter alone",
        "stores/sqlite/finding.py",
        "if (query.attempt_min or 0) > 0 else",
        "if query.attempt_min is not None else",
        test="tests/stores/sqlite/test_finding.py::"
        "test_among_what_is_queued_only_what_was_tried_is_looked_at_for_what_has_failed",
    ),
)


@dataclass(frozen=True)
class Caught:
    """What became of a mutant.

    Attributes:
        by: how many seeds it took, or that a test did; None if it was not caught.
        says: what was said.
        has_run: whether what was to notice could run. Otherwise the mutant has not survived it.
    """

    mutant: Mutant
    by: str | None
    says: str
    has_run: bool = True

    @property
    def told(self) -> str:
        """By what it was caught, or why not, in a few words."""
        return self.by or ("SURVIVED" if self.has_run else "COULD NOT RUN")


def plant(mutant: Mutant, folder: Path) -> Path:
    """A copy of the package with the bug in it; the folder that holds it as `lamplighter`."""
    package = folder / "lamplighter"
    for path in tracked():
        target = package / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
    for file, old, new in mutant.changes:
        text = (package / file).read_text("utf-8")
        if text.count(old) != 1:
            raise SystemExit(f"expected {file} to have {old!r} once, got: {text.count(old)} times")
        (package / file).write_text(text.replace(old, new), "utf-8")
    return folder


def tracked() -> list[Path]:
    """The package's own files, those of the page among them."""
    kinds = ["*.py", "py.typed", "web/templates/*", "web/static/*"]
    listed = subprocess.run(["git", "ls-files", *kinds], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = map(Path, listed.stdout.splitlines())
    return [path for path in paths if path.parts[0] not in ("tests", "docs", "examples", "bench")]


def hunt(mutant: Mutant) -> Caught:
    """Run seeds, or the test, against a planted copy."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        python = planted_python(plant(mutant, Path(folder)), Path(folder) / "venv")
        return hunt_by_test(mutant, python) if mutant.test else hunt_by_seeds(mutant, python)


def planted_python(package: Path, folder: Path) -> str:
    """The interpreter of a virtual environment with the planted copy and all that this environment has.

    A test may start other processes with an environment of its own, such as a server: they find the copy by their
    interpreter, or by the scripts that stand beside it.
    """
    venv.create(folder, symlinks=True)
    here, there = Path(sys.executable).parent, folder / "bin"
    paths = [str(package), *(path for path in sys.path if path.endswith("site-packages"))]
    purelib = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    Path(purelib, "planted.pth").write_text("\n".join(paths) + "\n", "utf-8")
    for script in here.iterdir():
        target = there / script.name
        if target.exists() or not script.is_file():
            continue
        if script.read_bytes()[:2] == b"#!":
            target.write_bytes(script.read_bytes().replace(bytes(here), bytes(there), 1))
            target.chmod(0o755)
        else:
            target.symlink_to(script)
    return str(there / "python")


def hunt_by_seeds(mutant: Mutant, python: str) -> Caught:
    """Run seeds until one notices."""
    ran = subprocess.run(
        [python, "-P", __file__, "--seeds", mutant.scenario],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^CAUGHT (\d+) (.*)$", ran.stdout, re.MULTILINE)
    if found is None:
        has_run = SURVIVED in ran.stdout.splitlines()
        return Caught(mutant, None, ran.stdout[-300:] + ran.stderr[-300:], has_run)
    seeds = int(found[1]) + 1
    on = " on RabbitMQ" if mutant.scenario == RABBITMQ else ""
    return Caught(mutant, f"{seeds} seed{'s' * (seeds > 1)}{on}", found[2])


def hunt_by_test(mutant: Mutant, python: str) -> Caught:
    """Run the test, which is to fail; one that cannot be run has noticed nothing."""
    command = [python, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=line"]
    try:
        ran = subprocess.run(
            [*command, *mutant.test.split()],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=TEST_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        return Caught(mutant, "a test", f"{mutant.test} did not end")
    if ran.returncode != TESTS_FAILED:
        says = f"pytest's exit code is {ran.returncode}: {ran.stdout[-600:]}{ran.stderr[-300:]}"
        return Caught(mutant, None, says, has_run=ran.returncode == TESTS_PASSED)
    failed = re.search(r"^FAILED (\S+)", ran.stdout, re.MULTILINE)
    return Caught(mutant, "a test", failed[1] if failed is not None else mutant.test)


def run_seeds(scenario_name: str) -> None:
    """In a process of its own, on the planted copy: say which seed notices first, and what."""
    module, _, function = scenario_name.partition(":")
    scenario = getattr(importlib.import_module(module), function)
    seed = 0

    def give_up(*_: object) -> None:
        # Not raised: whatever task is running now would take it for its own.
        print(f"CAUGHT {seed} TimeoutError: the seed did not end within {SEED_SECONDS_MAX} s", flush=True)
        os._exit(0)

    signal.signal(signal.SIGALRM, give_up)
    for seed in range(SEEDS_MAX):
        signal.alarm(SEED_SECONDS_MAX)
        try:
            scenario(seed)
        except BaseException as error:
            says = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"CAUGHT {seed} {says[:400]}", flush=True)
            os._exit(0)
    print(SURVIVED, flush=True)
    os._exit(0)


def page(caught: list[Caught], known: dict[tuple[str, str], str]) -> str:
    """The page of the documentation: what was caught now, and `known` rows of the others."""
    lines = [
        "# Mutants",
        "",
        "<!-- Generated by `make mutants` (tests/campaign/mutants.py). Do not edit. -->",
        "",
        "Each row is a bug that would break a promise, planted alone in a copy of the package. The campaign of",
        "`make simulate`, or its like on RabbitMQ or for steps, then runs, seed after seed, until one of them notices:",
        "*caught by* says how many that took. What no seed can show has a test, which must fail.",
        "",
        "| promise | the planted bug | caught by | what noticed |",
        "| --- | --- | --- | --- |",
    ]
    ran = {one.mutant: one for one in caught}
    for mutant in MUTANTS:
        if one := ran.get(mutant):
            lines.append(f"| {mutant.promise} | {mutant.name} | {one.by or one.told.lower()} | {noticed(one)} |")
        elif row := known.get((mutant.promise, mutant.name)):
            lines.append(row)
    return "\n".join(lines) + "\n"


def known_rows() -> dict[tuple[str, str], str]:
    """The rows that the page has, by promise and name."""
    rows = re.findall(r"^(\| ([^|]+) \| ([^|]+) \| .*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {(promise, name): row for row, promise, name in rows}


def noticed(one: Caught) -> str:
    """What caught a mutant, in a few words."""
    says = one.says
    if one.mutant.test:
        return f"`{says.partition(' ')[0].removeprefix('tests/')}`" if one.by else says.partition(": ")[0]
    finding = re.search(r"kind='([^']+)'", says)
    if finding is not None:
        return f"audit: {finding[1]}"
    if "are not done" in says or "did not end" in says:
        return "jobs are never done"
    if "accepted and lost" in says:
        return "accepted and lost"
    kind, _, rest = says.partition(": ")
    text = rest.partition(": {")[0].partition(" (")[0]
    return re.sub(r"[|`{}]", "", f"{text[:70]}" if kind == "AssertionError" else f"{kind}: {text[:60]}")


def hunted(mutants: list[Mutant]) -> Iterator[Caught]:
    """Every mutant, as many at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(hunt, mutants)


def main(words: list[str]) -> int:
    """Hunt, and say what was caught; 1 if a mutant survived, or what was to notice it could not run."""
    mutants = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    caught: list[Caught] = []
    for one in hunted(mutants):
        caught.append(one)
        print(f"{len(caught):>3}/{len(mutants)}  {one.told:>13}  {one.mutant.name}: {noticed(one)}", flush=True)
    others = [one for one in caught if one.by is None]
    if not (words and others):
        PAGE.write_text(page(caught, known_rows()), "utf-8")
    for one in others:
        print(f"{one.told} {one.mutant.name}\n{one.says}")
    print(f"{len(caught) - len(others)} of {len(caught)} mutants caught, within {SEEDS_MAX} seeds or by a test")
    return 1 if others else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--seeds"]:
        run_seeds(sys.argv[2])
    sys.exit(main(sys.argv[1:]))
