"""Views as JSON, both ways, and the control protocol: one question, one answer, each a line.

The two sides may be of different versions. So each line has this protocol's version, unknown fields are ignored, and an
unknown verb is refused by name.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeVar

import msgspec

from ..errors import LamplighterError, UsageError
from ..messages.controls import VERSION, Ask, Refusal
from .codec import encode_own, json_of

V = TypeVar("V")


def plain(view: Any) -> Any:
    """A view as dicts and lists: its one JSON shape."""
    return msgspec.to_builtins(view)


def encode_view(view: Any) -> bytes:
    return encode_own(view).encode()


def decode_view(text: bytes, kind: type[V]) -> V:
    """A view from its JSON text.

    Raises:
        UsageError: it is none.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"expected the JSON of a {kind.__name__}, got: {error}") from None


def encode_ask(ask: Ask) -> bytes:
    return bytes(json_of({"v": VERSION, **asdict(ask)})) + b"\n"


def decode_ask(line: bytes) -> Ask:
    """The question of a line.

    Raises:
        UsageError: it is none that this version understands.
    """
    try:
        version = msgspec.json.decode(line, type=_Versioned).v
        if version == VERSION:
            return msgspec.json.decode(line, type=Ask)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a question as a line of JSON, got: {error}") from None
    raise UsageError(f"expected v={VERSION}, got: {version}; ask with the version of Lamplighter that runs there")


def encode_answer(view: Any) -> bytes:
    return b'{"v":%d,"answer":%b}\n' % (VERSION, encode_view(view))


def encode_refusal(refusal: Refusal, says: str) -> bytes:
    return bytes(json_of({"v": VERSION, "refused": refusal, "says": says})) + b"\n"


def decode_answer(line: bytes, kind: type[V]) -> V:
    """The answer of a line.

    Raises:
        AskRefused: the line is a refusal.
        UsageError: it is no line of this version's.
    """
    try:
        found = msgspec.json.decode(line, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"expected an answer as a line of JSON, got: {error}") from None
    if found.refused is not None:
        raise AskRefused(found.says, found.refused)
    if found.v != VERSION:
        raise UsageError(f"expected an answer of v={VERSION}, got: {found.v}; ask with the version that runs there")
    return decode_view(bytes(found.answer), kind)


class AskRefused(LamplighterError):
    """The other side has refused a question; the message says why.

    Attributes:
        refusal: a `Refusal`, or another version's.
    """

    def __init__(self, message: str, refusal: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class _Versioned(msgspec.Struct):
    v: int


class _Answer(msgspec.Struct):
    v: int
    answer: msgspec.Raw = msgspec.Raw(b"null")
    refused: str | None = None
    says: str = ""
