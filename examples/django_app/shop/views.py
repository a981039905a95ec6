"""The shop's pages."""

import os

from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from lamplighter import UnknownJob
from lamplighter.contrib.django import jobs

from .models import Count, Order


def home(request):
    """All orders, and a form for one more."""
    orders = Order.objects.order_by("-pk")[:20]
    return render(request, "shop/home.html", {"orders": orders, "count": Count.objects.last()})


@require_POST
def order(request):
    """Order something. There is no order without its job, and no job without its order."""
    with transaction.atomic():
        made = Order.objects.create(item=request.POST["item"][:100])
        pace = min(float(request.POST.get("seconds_per_page", 1)), 5.0)
        job = jobs.queue("receipt", {"order": made.pk, "seconds_per_page": pace})
        Order.objects.filter(pk=made.pk).update(receipt_job=job.id)
        if made.item == "nothing":
            raise ValueError("nothing cannot be ordered")
    return redirect("show", pk=made.pk)


def show(request, pk):
    """One order, and how far its receipt is."""
    made = get_object_or_404(Order, pk=pk)
    try:
        job = jobs.get(made.receipt_job).to_dict()
    except UnknownJob:
        # It ended long ago.
        job = None
    return JsonResponse({"item": made.item, "receipt": made.receipt, "job": job, "pid": os.getpid()})


@require_POST
def cancel(request, pk):
    """Call a receipt off."""
    jobs.cancel(get_object_or_404(Order, pk=pk).receipt_job)
    return redirect("show", pk=pk)
