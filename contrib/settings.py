"""The settings of a web framework for a runtime, and their checks."""

from __future__ import annotations

from typing import Any

from ..api.runtime import Runtime
from ..rules.limits import Limits
from ..rules.validation import options_of

WORK_IN = ("worker", "web")
"""Who runs jobs: processes of their own, which a command of the framework starts; or each process that serves requests
too."""

OPTIONS = tuple(name.upper() for name in (*options_of(Runtime), *Limits.__slots__))
"""The options of `Runtime`, as settings are written."""


def check_option(name: str, value: Any) -> None:
    """Refuse an option, named in capitals, that `Runtime` does not have, or cannot be made with."""
    Runtime(**{"store": ":memory:", name.lower(): value})
