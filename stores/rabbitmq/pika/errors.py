"""Translates pika's deliveries into `Arrival`s, and its errors into reasons that hide passwords."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Any

from pika import exceptions

from ..address import Address
from ..link import Arrival

REFUSALS = {403: "access refused", 406: "precondition failed", 530: "not allowed"}
"""Reply codes that do not heal by themselves."""

CODES = {**REFUSALS, 404: "not found", 405: "locked by another"}
"""A missing queue or exchange is made when the next session begins."""


def why(error: Any, address: Address) -> tuple[str, bool]:
    """An error in words, without secrets, and whether only a person can heal it."""
    cause = error
    # pika wraps the cause in "the connection workflow failed", "the socket failed", ...
    for _ in range(10):
        inner = getattr(cause, "exceptions", None) or getattr(cause, "exception", None) or getattr(cause, "args", None)
        inner = inner[-1] if isinstance(inner, list | tuple) else inner
        if not isinstance(inner, BaseException):
            break
        cause = inner
    # pika reports a reached limit as a missing right, and keeps the server's text.
    limit = re.search(r'NOT_ALLOWED - ([^"]*\blimit\b[^"]*)', str(cause))
    if limit is not None:
        return f"not allowed (530): {limit.group(1)}"[:300], True
    if isinstance(cause, exceptions.ProbableAuthenticationError | exceptions.AuthenticationError):
        return "it refuses the user or the password", True
    if isinstance(cause, exceptions.ProbableAccessDeniedError):
        return f"the user may not use the virtual host {address.vhost!r}, or there is no such one", True
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted: {cause.verify_message}", True
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {cause.reason or cause}", True
    if isinstance(cause, exceptions.ConnectionClosedByBroker | exceptions.ChannelClosedByBroker):
        code, text = cause.reply_code, cause.reply_text
        if code == 403 and "ACCESS_REFUSED - Login was refused" in text:
            return "it refuses the user or the password", True
        if code == 530 or (isinstance(cause, exceptions.ConnectionClosedByBroker) and code == 403 and "vhost" in text):
            return f"the user may not use the virtual host {address.vhost!r}, or there is no such one", True
        return f"{CODES.get(code, 'closed')} ({code}): {text}"[:300], code in REFUSALS
    if isinstance(cause, socket.gaierror):
        return f"its host name is not known: {cause.strerror}", False
    if isinstance(cause, OSError) and cause.strerror:
        return f"it cannot be reached: {cause.strerror}", False
    if isinstance(cause, exceptions.IncompatibleProtocolError):
        return "the connection ended before any AMQP was spoken: is that a RabbitMQ's port, with or without TLS?", False
    if isinstance(cause, exceptions.ConnectionOpenAborted):
        return "it did not answer in time while the connection was opened", False
    return (str(cause) or type(cause).__name__)[:300], False


def bytes_max_of(error: Any) -> int | None:
    """The server's max_message_size, if a channel was closed for it."""
    said = re.search(r"larger than (?:configured )?max size (\d+)", str(getattr(error, "reply_text", "")))
    return None if said is None else int(said.group(1))


def arrival_of(method: Any, properties: Any, body: bytes, *, session: int, tag: int) -> Arrival:
    """A delivery. Its publisher may have put anything into its properties."""
    headers = properties.headers or {}
    count = headers.get("x-delivery-count")
    return Arrival(
        session=session,
        tag=tag,
        consumer=method.consumer_tag,
        body=body,
        redeliveries=count if type(count) is int and count >= 0 else int(method.redelivered),
        reply_to=_text(properties.reply_to),
        headers=headers,
        priority=properties.priority or 0,
        message_id=_text(properties.message_id),
    )


def _text(value: Any) -> str | None:
    """Values that are not text come as bytes."""
    return value if isinstance(value, str) else None
