"""Lamplighter in a Django project: `from lamplighter.contrib.django import jobs, scheduler, runtime`.

Put "lamplighter.contrib.django" into INSTALLED_APPS. The runtime is made of `settings.LAMPLIGHTER` when one of these
names is imported first. Importing starts nothing: `manage.py lamplighter run` does the work, and in any other process
the first call starts a producer, which leaves the work to it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...errors import missing_extra

try:
    import django
except ImportError as error:
    raise missing_extra("Django", "`lamplighter.contrib.django`", "django") from error

if TYPE_CHECKING:
    from ...api.jobs import Jobs
    from ...api.runtime import Runtime
    from ...api.scheduler import Scheduler
    from .tasks import LamplighterBackend

    runtime: Runtime
    jobs: Jobs
    scheduler: Scheduler
else:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "LamplighterBackend":
            # Django has its own Tasks from 6.0 on.
            from .tasks import LamplighterBackend

            return LamplighterBackend
        child = sys.modules.get(f"{__name__.partition('.')[0]}.handlers.child")
        if child is not None and child.IS_CHILD.is_set():
            # A child process of a handler imports the jobs module by its name, and nobody else sets Django up there.
            django.setup()
        from .configured import configured_runtime

        made = configured_runtime()
        globals().update(runtime=made, jobs=made.jobs, scheduler=made.scheduler)
        return globals()[name]


__all__ = ["LamplighterBackend", "jobs", "runtime", "scheduler"]
