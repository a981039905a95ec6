"""Finds what a command is to work with in the application's own code."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any, TypeVar

from ..errors import UsageError, shown

T = TypeVar("T")


def load(target: str, what: str) -> tuple[ModuleType, Any]:
    """Import MODULE of MODULE:NAME, as uvicorn does; the module and the object. The module's own errors are raised.
    The current folder is searched too. `what` is the argument's name in errors."""
    module, _, path = target.partition(":")
    if path.startswith("//"):
        # A URL is not shown, because it may hold a password.
        raise UsageError(f"expected {what}, got a URL; the address of a store is given with --store")
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"expected {what}, got: {shown(target)}")
    sys.path.insert(0, os.getcwd())
    try:
        home = importlib.import_module(module)
    except ModuleNotFoundError as error:
        # The module may be there, and import another that is not: its own traceback says that best.
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        hint = f"; did you mean {module.removesuffix('.py')}:{path}?" if module.endswith(".py") else ""
        raise UsageError(f"expected {what}, got: {target}; no module {error.name!r} in {os.getcwd()}{hint}") from None
    if not path:
        raise UsageError(f"expected {what}, got: {shown(target)}")
    value: Any = home
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            raise UsageError(f"expected {what}, got: {target}; {module} has no {path}") from None
    return home, value


def load_a(kind: type[T], target: str, what: str) -> T:
    module = target.partition(":")[0]
    try:
        _, value = load(target, what)
    except UsageError as error:
        raise UsageError(f"{error}{_hint(kind, module)}") from None
    if not isinstance(value, kind):
        raise UsageError(
            f"expected {what}, a {kind.__name__}, got: {target}, a {type(value).__name__}{_hint(kind, module)}"
        )
    return value


def _hint(kind: type[object], module: str) -> str:
    found = [name for name, value in vars(sys.modules.get(module, object)).items() if isinstance(value, kind)]
    return f"; did you mean {' or '.join(f'{module}:{name}' for name in found)}?" if found else ""
