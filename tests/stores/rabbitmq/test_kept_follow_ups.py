"""What follows a job whose end was kept while its delivery was lost: it is ended so when it comes back."""

from __future__ import annotations

import pytest
from lamplighter import UsageError

from support.conformance.kit import DONE, FAILED, NOW, RETRY, SUCCEEDED, new, put, take, want

from .test_memory import model  # noqa: F401

PARTS = (new("", root_id=""), new("named", root_id=""))


@pytest.fixture
def lost(model):  # noqa: F811
    """A store, its link, and a job that runs there and whose delivery was lost and will come again."""
    server, link, store = model
    put(store, new("a"))
    (claimed,) = take(store)
    link.lose("the connection was cut")
    server.let_pass(1.0)
    return store, link, claimed


def moves_and_news_of_a_turn(store, now):
    with store.turn("b", now) as turn:
        """It has come back."""
    return [(moved.event, moved.job, dict(moved.fields)) for moved in turn.transitions], turn.news


def test_it_is_queued_when_the_job_comes_back(lost) -> None:
    store, _, claimed = lost

    with store.turn("b", NOW) as turn:
        assert turn.jobs.settle(claimed, SUCCEEDED._replace(then=PARTS), DONE) is None
        assert turn.transitions == []
    (end, *births), news = moves_and_news_of_a_turn(store, NOW + 1)

    assert news == [("claim.kept", {"job_id": "a", "job_name": "work", "claim_no": 1})]
    assert len(store.state.memory.kept) == 0
    assert (end[0], end[1].id, end[2]["then"]) == ("job.done", "a", 2)
    assert [(event, job.id, job.root_id, fields["then_of"]) for event, job, fields in births] == [
        ("job.queued", "a.1.1", "a", "a"),
        ("job.queued", "named", "a", "a"),
    ]
    assert sorted(job.id for job in take(store, begun=2)) == ["a.1.1", "named"]


def test_a_kept_end_whose_follow_up_is_too_large_is_no_end_as_done(lost) -> None:
    """The server's limit is known only once it has refused something; the work is not to be said to be done then."""
    store, link, claimed = lost
    large = PARTS[0]._replace(data=f'"{"x" * 3_000}"')

    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, SUCCEEDED._replace(then=(PARTS[0], large)), DONE)
    link.bytes_max = 2_000
    (end,), _ = moves_and_news_of_a_turn(store, NOW + 1)

    assert (end[0], end[1].id) == ("job.dead", "a")
    assert "max_message_size is 2000" in end[1].error


def test_an_end_whose_follow_up_the_server_would_refuse_changes_nothing(lost) -> None:
    store, link, claimed = lost
    link.bytes_max = 2_000

    with pytest.raises(UsageError, match="max_message_size is 2000"), store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, SUCCEEDED._replace(then=(PARTS[0]._replace(data="7" * 3_000),)), DONE)

    assert store.state.deliveries.held.get(claimed.key) is not None


def test_an_attempt_whose_end_was_kept_has_killed_no_process(model) -> None:  # noqa: F811
    """Its begin stayed in the ledger, so that three such attempts ended a job that had harmed nobody as poison."""
    server, link, store = model
    put(store, new("a"))
    store.until_come(want(1), 0)
    link.lose("the connection was cut")
    server.let_pass(1.0)
    (claimed,) = take(store)
    began = dict(store.state.shared.marks)
    link.lose("the connection was cut")
    server.let_pass(1.0)

    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, FAILED, RETRY)
    came_back = take(store)
    (again,) = take(store)

    assert (began, came_back, store.state.shared.marks) == ({"a": [NOW]}, [], {})
    assert (again.id, again.attempt, again.interruptions) == ("a", 1, 0)
