"""A monthly billing: each tenant's customers are billed in turn, so that no large tenant keeps the others waiting.

python examples/flows/billing.py     # bills three tenants now, and prints who was billed in which order
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from lamplighter import Job, JobSpec, Rate, Runtime, Step

CUSTOMERS: Mapping[str, int] = {"acme": 40, "globex": 3, "initech": 1}
"""How many customers each tenant has. An application would ask its database."""

charged: list[str] = []
"""The keys under which the payment service has charged: the service charges once for each."""


@dataclass
class Invoice:
    tenant: str
    customer: int
    month: str


def charge(invoice: Invoice, *, key: str) -> str:
    """Stands for a call of the payment service, which may fail for a while."""
    if key not in charged:
        charged.append(key)
    return f"receipt-{key}"


def register(runtime: Runtime) -> None:
    jobs = runtime.jobs

    # A night that nobody was there for is made up for at the next start, within a day.
    runtime.scheduler.add("billing", "30 2 1 * *", key="billing", timezone="Europe/Berlin")

    @jobs.handler("billing")
    def billing(job: Job[None]) -> int:
        """All invoices of the month, each once: the id of a job says what it is for, so a second run queues none."""
        month = (job.slot or job.queued_at).strftime("%Y-%m")
        invoices = [
            bill.spec(Invoice(tenant, customer, month), id=f"bill-{month}-{tenant}-{customer}", group=tenant)
            for tenant, customers in CUSTOMERS.items()
            for customer in range(customers)
        ]
        job.then(*invoices, JobSpec(name="report", data=month, after_ended=invoices))
        return len(invoices)

    # The payment service takes a hundred calls a second, and two at once for each tenant.
    @jobs.handler("bill", concurrency=8, concurrency_per_group=2, rate=Rate(100, per=1), max_attempts=5)
    def bill(job: Job[Invoice]) -> str:
        receipt = job.step(Step("charge", retries=3), charge, job.data, key=job.id)
        job.step("mail", job.log.info, f"{receipt} is sent")
        return receipt

    @jobs.handler("report")
    def report(job: Job[str]) -> dict[str, int]:
        """Runs when all invoices have ended, however they did."""
        states: dict[str, int] = {}
        for invoice in job.parents():
            states[invoice.state] = states.get(invoice.state, 0) + 1
        job.log.info("billed", month=job.data, **states)
        return states


def main(store: str = "billing.db") -> None:
    runtime = Runtime(store)
    register(runtime)
    with runtime:
        night = runtime.scheduler.run_now("billing", key="billing")
        runtime.jobs.join(night, timeout=60)
        print(runtime.jobs.graph(night).join(timeout=60).of)
        print("charged in this order:", *charged)


if __name__ == "__main__":
    main(*sys.argv[1:])
