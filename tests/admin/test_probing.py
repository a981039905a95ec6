"""Whether a runtime is well, as whoever restarts it asks."""

from __future__ import annotations

import pytest
from lamplighter import UsageError
from lamplighter.admin.overview import WholeNames, health_of_store
from lamplighter.messages.controls import VIEW_ASKED, Ask
from lamplighter.messages.views import Health
from lamplighter.rules.control_lines import decode_ask, encode_answer, encode_refusal
from lamplighter.stores.control_client import boot_view
from lamplighter.stores.tables.control_client import plain_view

from .kit import a_boot, a_view, an_actor


def reached(**changed):
    return a_boot(view=a_view(**changed))


def test_one_that_answers_and_is_green_is_well():
    found = reached()

    assert (found.is_well, found.status, found.reasons) == (True, "green", ())


@pytest.mark.parametrize(("status", "is_well"), [("green", True), ("yellow", True), ("red", False)])
def test_what_heals_by_itself_is_well_and_what_a_person_must_mend_is_not(status, is_well):
    found = reached(health=Health(status=status, reasons=("this",), boot="b1"))

    assert (found.is_well, found.status, found.reasons) == (is_well, status, ("this",))


@pytest.mark.parametrize(
    ("actor", "says"),
    [
        ({"busy_seconds": 31.0, "busy_with": "Queue"}, "broker has been at one Queue for 31 s"),
        ({"oldest_seconds": 40.0, "mailbox": 3}, "a message to broker has waited for 40 s"),
    ],
)
def test_one_of_whose_parts_one_hangs_is_not_well(actor, says):
    view = a_view(actors=(an_actor("supervisor"), an_actor("broker", **actor)))

    found, patient = a_boot(view=view), boot_view(view, view=view, is_alive=True, hung_seconds_max=60.0)

    assert (found.is_well, found.status, found.reasons) == (False, "red", (says,))
    assert (patient.is_well, patient.status, patient.reasons) == (True, "green", ())


def test_one_that_does_not_answer_is_not_well_and_why_is_said():
    found = boot_view(None, boot="b1", pid=7, is_alive=True, condition="stopped", unheard="it is stopped")

    assert (found.is_well, found.status, found.unheard) == (False, None, "it is stopped")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"health": Health(status="red", reasons=("the store is away", "\u2028 and more"), boot="b1")},
        {"actors": (an_actor("broker", busy_seconds=31.0, busy_with="Queue"), an_actor("x", oldest_seconds=40.0))},
    ],
)
def test_what_is_read_of_a_line_alone_says_the_same_as_the_whole_view(changed):
    view = a_view(**changed)

    found = plain_view(encode_answer(view))

    plain, whole = boot_view(None, boot="b1", pid=found.pid, is_alive=True, view=found), reached(**changed)
    assert (plain.pid, plain.status, plain.reasons) == (7, whole.status, whole.reasons)


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"null", b'{"v":1}', b'{"v":1,"answer":{"pid":"x"}}', encode_refusal("failed", "it is late")]
)
def test_an_answer_that_is_none_is_refused(line):
    with pytest.raises(UsageError, match="expected an answer of a runtime of this version, got: "):
        plain_view(line)


def test_the_line_that_asks_for_a_view_is_such_a_question():
    assert decode_ask(VIEW_ASKED) == Ask(verb="view")


def test_a_part_that_hangs_makes_the_health_of_its_store_red():
    view = a_view(actors=(an_actor("broker", busy_seconds=31.0, busy_with="Queue"),))

    health = health_of_store("app.db", WholeNames(()), [a_boot(view=view)])

    assert health.status == "red"
    assert health.reasons == ("boot b1: broker has been at one Queue for 31 s",)
