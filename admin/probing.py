"""Whether runtimes are well, for a supervisor that restarts them: by locks and answers, without the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, shown

if TYPE_CHECKING:
    from ..messages.jobs import Seconds
    from ..messages.views import RuntimeView
    from .control_client import BootView


def plain_view(line: bytes) -> Any:
    """The parts of a `RuntimeView` that are read here, from an answer's line. A health check runs every few seconds,
    and loading the whole view's decoder takes longer than everything else in it.

    Raises:
        UsageError: it is no answer that can be understood here.
    """
    try:
        found = json.loads(line, object_hook=lambda fields: SimpleNamespace(**fields))
        view = found.answer
        return SimpleNamespace(
            pid=int(view.pid),
            is_draining=bool(view.is_draining),
            quiet=view.quiet,
            health=SimpleNamespace(status=str(view.health.status), reasons=tuple(map(str, view.health.reasons))),
            actors=[
                SimpleNamespace(
                    name=str(actor.name),
                    busy_with=actor.busy_with,
                    busy_seconds=float(actor.busy_seconds or 0.0),
                    oldest_seconds=float(actor.oldest_seconds or 0.0),
                )
                for actor in view.actors
            ],
        )
    except (AttributeError, TypeError, ValueError):
        raise UsageError(f"expected an answer of a runtime of this version, got: {shown(line)}") from None


def wellness(boot: BootView, age_seconds_max: Seconds) -> tuple[bool, Sequence[str]]:
    """Whether a boot is well, which means that it answers, is not red, and none of its parts hangs; and why it is not
    well, or not green.

    Args:
        age_seconds_max: no message may wait, and none be handled, for longer.
    """
    if boot.view is None:
        return False, (boot.unheard or "",)
    hung = hung_parts(boot.view, age_seconds_max)
    return boot.status != "red" and not hung, (*hung, *boot.reasons)


def hung_parts(view: RuntimeView, age_seconds_max: Seconds) -> list[str]:
    """The hung parts of a boot, a sentence for each; `age_seconds_max` as `wellness` has it."""
    said = []
    for actor in view.actors:
        if (busy := actor.busy_seconds or 0.0) > age_seconds_max:
            said.append(f"{actor.name} has been at one {actor.busy_with or 'message'} for {busy:.0f} s")
        elif (oldest := actor.oldest_seconds or 0.0) > age_seconds_max:
            said.append(f"a message to {actor.name} has waited for {oldest:.0f} s")
    return said
