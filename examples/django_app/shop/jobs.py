"""The shop's jobs and schedules. Lamplighter finds this module by its name."""

from django.db import transaction
from lamplighter import Snooze
from lamplighter.contrib.django import jobs, scheduler

from .models import Count, Order

PAGES = 5


@jobs.handler("receipt", timeout=30, concurrency=4)
def receipt(job):
    """Write the receipt of an order, page by page."""
    order = Order.objects.get(pk=job.data["order"])
    for page in range(1, PAGES + 1):
        if not job.sleep(job.data["seconds_per_page"]):
            # Cancelled, and what happens here no longer counts; or the worker stops, and the next one begins anew.
            raise Snooze(0)
        job.progress(page, PAGES)
    with transaction.atomic():
        Order.objects.filter(pk=order.pk).update(receipt=f"1 x {order.item}")
        jobs.mark_done(job)


@jobs.handler("count")
def count(job):
    """Note how many orders there are."""
    Count.objects.create(slot=job.slot, orders=Order.objects.count())


scheduler.add("count", "@every 2s", key="count")
