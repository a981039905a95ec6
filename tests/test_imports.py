"""What a program pays that only imports the package, or asks the command for help: next to nothing is loaded."""

from __future__ import annotations

import lamplighter
import pytest


@pytest.mark.parametrize("name", lamplighter.__all__)
def test_each_public_name_is_there_whoever_asks_first(name: str) -> None:
    assert getattr(lamplighter, name) is not None
    assert name in dir(lamplighter)


def test_the_version_is_found_when_it_is_asked_for():
    assert lamplighter.__version__
    assert "__version__" in dir(lamplighter)


def test_a_name_that_is_not_public_is_none_of_the_package() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        lamplighter.Nothing  # noqa: B018
