"""Named points at which a test makes the runtime fail. Nothing happens at any of them unless somebody has armed it.

A text arms points: `store.turn.commit=1*raise(sqlite3.OperationalError: disk I/O error)->off;lane.call=5%sleep(0.2)`.
Each point has a chain of actions; one with a count (`2*`) gives way to the next when it is used up, one with a chance
(`5%`) acts so often. The grammar is gofail's (https://github.com/etcd-io/gofail), the actions are our own.
"""

from __future__ import annotations

import builtins
import importlib
import os
import random
import re
import signal
import time
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError

VARIABLE = "LAMPLIGHTER_FAILPOINTS"
"""The environment variable that arms the points of runtimes whose application asks for it with `from_environment`."""

POINTS: dict[str, str] = {
    "actor.start": "an actor starts",
    "actor.receive": "an actor is about to handle a message",
    "actor.received": "an actor has handled a message",
    "broker.let_out": "a write batch is committed, and nothing was answered, started or logged yet",
    "direct.begin": "a transaction that only stores jobs without options is about to begin, after `store.turn.begin`",
    "direct.commit": "it is about to be committed, after `store.turn.commit`",
    "direct.out": "it is committed, after `broker.let_out`",
    "lane.begin": "a job is about to begin on its worker; until then its timeout does not run",
    "lane.call": "a job's function is about to be called",
    "lane.returned": "it has returned or raised, and its completion is not reported yet",
    "lane.step": "the function of a job's step has returned, and its result is about to be kept, or has just been",
    "log.write": "lines are about to be written",
    "store.read": "the store is about to be read",
    "store.turn.begin": "a transaction is about to begin",
    "store.turn.commit": "a transaction is about to be committed",
    "store.turn.published": "on RabbitMQ, its messages are confirmed, and nothing is recorded yet",
    "store.turn.committed": "it is committed, and the broker does not know yet",
}
ACTION = re.compile(
    r"(?:(?P<chance>\d+(?:\.\d+)?)%)?(?:(?P<count>\d+)\*)?(?P<what>raise|sleep|kill|off)(?:\((?P<with>[^()]*)\))?"
)


@dataclass(slots=True)
class Action:
    """The action at a point.

    Attributes:
        what: `raise` an error, `sleep` some seconds, `kill` the process, or nothing (`off`).
        given: the text in its brackets.
        chance: of acting at all, from 0 to 1.
        count: how often it acts before the next action's turn; None for ever.
    """

    what: str
    given: str
    chance: float
    count: int | None


class Failpoints:
    """The points of one runtime.

    Args:
        text: in the grammar of the module.
        chance: for actions with a chance.

    Attributes:
        unheeded: the environment variable's text, if the application has not asked for it.
        is_live: whether `at` may do anything: where nothing is armed, hot paths do not call it.

    Raises:
        UsageError: the text cannot be read, or names no point.
    """

    is_live = False

    def __init_subclass__(cls) -> None:
        # A subclass may act at points that nobody has armed.
        cls.is_live = True

    def __init__(self, text: str = "", chance: random.Random | None = None) -> None:
        self.unheeded: str | None = None
        self._chance = chance or random.Random()
        self._armed: dict[str, list[Action]] = {}
        for part in filter(None, (part.strip() for part in text.split(";"))):
            point, _, actions = part.partition("=")
            self.arm(point.strip(), actions)

    def arm(self, point: str, actions: str) -> None:
        """Arm a point; `off` alone disarms it.

        Raises:
            UsageError: there is no such point, or the actions cannot be read.
        """
        if point not in POINTS:
            raise UsageError(f"expected the name of a failpoint ({', '.join(POINTS)}), got: {point!r}")
        chain = [_read(action.strip()) for action in actions.split("->")]
        if [action.what for action in chain] == ["off"]:
            self._armed.pop(point, None)
            return
        self._armed[point] = chain
        self.is_live = True

    def at(self, point: str, about: Any = None) -> None:
        """The runtime passes a point with `about` in hand."""
        if self._armed:
            self._act(point)

    def _act(self, point: str) -> None:
        chain = self._armed.get(point)
        while chain:
            action = chain[0]
            if action.count == 0:
                del chain[0]
                continue
            if self._chance.random() >= action.chance:
                return
            if action.count is not None:
                action.count -= 1
            self.do(action)
            return

    def do(self, action: Action) -> None:
        """Carry out an action. A simulation sleeps and dies in its own way."""
        match action.what:
            case "raise":
                raise error_of(action.given)
            case "sleep":
                time.sleep(float(action.given))
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)


def unarmed() -> Failpoints:
    """No armed points, whatever the environment variable contains: without the application's consent the variable may
    be set by mistake, and would kill the process. The runtime logs that it arms nothing.
    """
    points = Failpoints()
    points.unheeded = os.environ.get(VARIABLE) or None
    return points


def from_environment() -> Failpoints:
    """The points that the environment variable arms: none, unless somebody has set it.

    For an application that tests are to kill: `Runtime(..., environment=Environment(failpoints=from_environment()))`.

    Raises:
        UsageError: the variable cannot be read.
    """
    try:
        return Failpoints(os.environ.get(VARIABLE, ""))
    except UsageError as error:
        raise UsageError(f"{VARIABLE}: {error}") from None


def _read(text: str) -> Action:
    found = ACTION.fullmatch(text)
    if found is None:
        raise UsageError(f"expected actions such as 'raise(OSError)', '2*sleep(0.5)->off' or '5%kill', got: {text!r}")
    action = Action(
        what=found["what"],
        given=found["with"] or "",
        chance=1.0 if found["chance"] is None else float(found["chance"]) / 100.0,
        count=None if found["count"] is None else int(found["count"]),
    )
    if not 0.0 <= action.chance <= 1.0:
        raise UsageError(f"expected a chance of at most 100%, got: {text!r}")
    if action.what == "raise":
        error_of(action.given)
    elif action.what in ("kill", "off") and found["with"] is not None:
        raise UsageError(f"expected nothing in brackets after {action.what}, got: {text!r}")
    elif action.what == "sleep" and not re.fullmatch(r"\d+(\.\d+)?", action.given):
        raise UsageError(f"expected seconds, as in 'sleep(0.5)', got: {text!r}")
    return action


def error_of(given: str) -> BaseException:
    """The error in the brackets of `raise`. Raises a UsageError if it is none."""
    name, _, text = given.partition(":")
    module, _, kind = name.strip().rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else builtins, kind)(text.strip() or "a failpoint")
    except Exception:
        found = None
    if not isinstance(found, BaseException):
        raise UsageError(f"expected the name of an error, as in 'raise(OSError: no space left)', got: {given!r}")
    return found
