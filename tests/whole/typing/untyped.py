"""Handlers of an application without annotations: no type checker finds anything here either."""
# mypy: allow-untyped-defs, allow-untyped-calls

from lamplighter import Runtime

runtime = Runtime(":memory:")


@runtime.jobs.handler("one")
def one(job):
    return job.data


@runtime.jobs.handler
async def two(job):
    return job.data


one.queue()
one.queue({"a": 1}, delay=5)
two.many([1, "2"])
print(one.queue(1).data["a"], runtime.jobs.join(two.queue()).result)
