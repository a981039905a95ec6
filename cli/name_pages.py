"""How a job name looks on a page, as a line in a list."""

from __future__ import annotations

from ..admin.views import NameView
from ..messages.jobs import Instant
from ..rules.wording import attributed, span
from .page import Cell

HEADS = ("name", "ready", "oldest", "running", "lanes", "scheduled", "boots", "what")
NUMBERS = ("ready", "running", "lanes", "scheduled", "boots")


def row(name: NameView, now: Instant) -> list[Cell]:
    oldest = "" if name.oldest_ready is None else span(max(0.0, now - name.oldest_ready))
    lanes = "" if name.is_parked else "?" if name.lanes is None else f"{name.busy}/{name.lanes}"
    amounts = [amount_of(name.ready), oldest, amount_of(name.running), lanes, amount_of(name.scheduled)]
    return [name.name, *amounts, str(len(name.boots)), _what(name)]


def amount_of(amount: object) -> str:
    return "?" if amount is None else str(amount)


def _what(name: NameView) -> Cell:
    told = []
    if name.pause is not None:
        told.append(f"paused{attributed(by=name.pause.by, reason=name.pause.reason)}")
    if name.is_parked:
        told.append("no handler")
    if name.limit is not None:
        told.append(f"at most {name.limit} at once")
    return "; ".join(told), "warning" if name.pause is not None or name.is_parked else "plain"
