"""Which errors are tried again, as a pure rule, and what may be given as `retry_on` and `discard_on`."""

from __future__ import annotations

import pytest
from lamplighter import Cancel, Discard, Runtime, Snooze, UsageError
from lamplighter.rules.lifecycle import check_exceptions, class_names, is_tried_again


class Refused(ConnectionError): ...


@pytest.mark.parametrize(
    ("error", "retry_on", "discard_on", "again"),
    [
        (KeyError, None, None, True),
        (KeyError, None, KeyError, False),
        (KeyError, None, LookupError, False),
        (KeyError, OSError, None, False),
        (Refused, OSError, None, True),
        (Refused, OSError, ConnectionError, False),
        (Refused, (Refused, ValueError), OSError, True),
        (Refused, ConnectionError, Exception, True),
        (SystemExit, Exception, None, False),
    ],
)
def test_the_nearest_class_that_is_named_decides(error, retry_on, discard_on, again):
    named = check_exceptions(retry_on, "retry_on"), check_exceptions(discard_on, "discard_on") or frozenset()

    assert is_tried_again(class_names(error), *named) is again


def test_what_is_no_error_of_the_function_is_tried_again():
    assert is_tried_again((), frozenset({"OSError"}), frozenset({"Exception"}))


def test_a_class_is_named_with_its_module():
    assert class_names(Refused)[:2] == (f"{__name__}.Refused", "ConnectionError")


@pytest.mark.parametrize("given", ["OSError", OSError(), int, (OSError, "KeyError"), lambda error: True, ["a"], 3])
@pytest.mark.parametrize("option", ["retry_on", "discard_on"])
def test_what_is_no_exception_class_is_refused(option, given):
    with pytest.raises(UsageError, match=f"expected {option} to be an exception class, or a tuple of some, got: "):
        Runtime(":memory:").jobs.add_handler("work", print, **{option: given})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"retry_on": ()}, r"expected retry_on to name an exception, got: \(\); write max_attempts=1 for none"),
        ({"retry_on": Snooze}, "expected retry_on to name errors, got: Snooze, which says itself"),
        ({"discard_on": Cancel}, "expected discard_on to name errors, got: Cancel, which says itself"),
        ({"discard_on": (KeyError, Discard)}, "expected discard_on to name errors, got: Discard, which says itself"),
        ({"retry_on": OSError, "discard_on": [OSError]}, "expected retry_on or discard_on .* got both for: OSError"),
        ({"autoretry_for": (OSError,)}, "unknown option autoretry_for; did you mean retry_on?"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, says):
    with pytest.raises(UsageError, match=says):
        Runtime(":memory:").jobs.handler("work", **options)(print)
