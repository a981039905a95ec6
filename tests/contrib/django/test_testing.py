"""The tests of a Django project: jobs run on the test's thread, when the transactions that queue them end well."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client, TestCase, TransactionTestCase
from django.test.utils import setup_test_environment, teardown_test_environment
from lamplighter import UsageError
from lamplighter.testing import assert_queued


@pytest.fixture(params=["inside of a test's own transaction", "without one"])
def inline(shop: None, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """What a `TestCase` and what a `TransactionTestCase` have."""
    from lamplighter.contrib.django.testing import inline
    from shop.models import Order

    setup_test_environment(debug=True)
    try:
        if request.param == "without one":
            yield inline
            Order.objects.all().delete()
        else:
            with transaction.atomic(), transaction.atomic():
                yield inline
                transaction.set_rollback(True)
    finally:
        teardown_test_environment()


def receipts() -> list[str]:
    from shop.models import Order

    return list(Order.objects.order_by("pk").values_list("receipt", flat=True))


def test_a_view_that_queues_a_job_in_a_transaction_has_it_done(inline: Callable[..., Any]) -> None:
    with inline() as app:
        page = Client().post("/orders", {"item": "a lamp", "seconds_per_page": 2}, follow=True)

        job = assert_queued(app, "receipt", {"seconds_per_page": 2.0})
        assert page.json()["job"]["state"] == job.state == "done"
        assert page.json()["job"]["progress"]["total"] == 5
    assert receipts() == ["1 x a lamp"]


def test_what_is_rolled_back_is_not_run(inline: Callable[..., Any]) -> None:
    with inline() as app:
        answer = Client(raise_request_exception=False).post("/orders", {"item": "nothing"})

        assert answer.status_code == 500
        assert app.jobs.list() == []
        assert app.drain() == []
    assert receipts() == []


def test_a_savepoint_that_ends_well_is_no_commit(inline: Callable[..., Any]) -> None:
    from lamplighter.contrib.django import jobs
    from shop.models import Order

    with inline() as app:
        with transaction.atomic():
            order = Order.objects.create(item="a lamp")
            with transaction.atomic():
                job = jobs.queue("receipt", {"order": order.pk, "seconds_per_page": 0})
            assert app.jobs.list() == []

        assert app.jobs.get(job).state == "done"
    assert receipts() == ["1 x a lamp"]


def test_in_a_transaction_a_signal_waits_for_its_end_and_another_act_is_refused(inline: Callable[..., Any]) -> None:
    from lamplighter.contrib.django import jobs

    with inline() as app:
        handler = app.jobs.add_handler("ask", lambda job: job.wait("approval"))
        job = jobs.queue("ask")
        with transaction.atomic():
            jobs.signal(job, "approval", "yes")
            with pytest.raises(UsageError, match="on_commit"):
                jobs.cancel(job)
            assert app.jobs.get(job).awaits == "approval"

        assert app.jobs.get(job).result == "yes"
        app.jobs.remove_handler(handler)


def test_nothing_runs_before_it_is_told_to(inline: Callable[..., Any]) -> None:
    with inline(at_once=False) as app:
        Client().post("/orders", {"item": "a lamp"})
        before = receipts()

        assert "receipt" in [job.name for job in app.drain()]
    assert (before, receipts()) == ([""], ["1 x a lamp"])


def test_time_passes_when_it_is_told_to(inline: Callable[..., Any]) -> None:
    from shop.models import Count

    Count.objects.all().delete()
    with inline() as app:
        app.advance(seconds=6)

    assert Count.objects.count() == 3


def test_afterwards_the_jobs_are_the_projects_own_again(worker: Any) -> None:
    from lamplighter.contrib.django import jobs
    from lamplighter.contrib.django.testing import inline

    worker.stop()
    with inline():
        assert jobs.queue("count-nobody").state == "queued"
    assert type(jobs._submitter).__name__ == "TransactionalSubmitter"
    assert type(worker).__name__ == "DjangoRuntime"


class InTestCase(TestCase):
    """Django's own classes have their transactions as the fixture above has."""

    __test__ = False

    def test_order(self) -> None:
        order_with(self)


class InTransactionTestCase(TransactionTestCase):
    """The same with real commits."""

    __test__ = False

    def test_order(self) -> None:
        order_with(self)


def order_with(case: Any) -> None:
    from lamplighter.contrib.django.testing import inline

    case.enterContext(inline())
    case.client.post("/orders", {"item": "a lamp"})
    case.assertEqual(receipts(), ["1 x a lamp"])


@pytest.mark.parametrize("case", [InTestCase, InTransactionTestCase])
def test_the_cases_of_django_have_their_jobs_done(shop: None, case: type[unittest.TestCase]) -> None:
    setup_test_environment(debug=True)
    try:
        found = unittest.TextTestRunner(stream=None).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    finally:
        teardown_test_environment()

    assert found.wasSuccessful(), (found.errors, found.failures)
