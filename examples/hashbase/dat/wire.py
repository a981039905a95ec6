"""Protocol buffers, as far as a dat uses them: varints, and fields of wire type 0 and 2.

What is decoded here was signed by the archive's owner, who may be hostile: every loop ends at the end of the buffer.
"""

from __future__ import annotations

VARINT_BYTES_MAX = 10

Fields = dict[int, int | bytes]


class Malformed(Exception):
    """The bytes are not what they should be; the caller knows which block they came from."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Decodes an unsigned 64-bit varint.

    Returns:
        The value, and where the next byte is.
    """
    value = 0
    for n in range(VARINT_BYTES_MAX):
        if at + n >= len(data):
            raise Malformed("a number runs past the end")
        byte = data[at + n]
        value |= (byte & 0x7F) << 7 * n
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, at + n + 1
    raise Malformed("a number is longer than 64 bits")


def fields(data: bytes) -> Fields:
    """Decodes the fields of a message. Of a repeated field the last one counts, as protocol buffers have it."""
    found: Fields = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        value, at = varint(data, at)
        if wire_type == 0:
            found[number] = value
        elif wire_type == 2:
            if value > len(data) - at:
                raise Malformed(f"field {number} runs past the end")
            found[number] = data[at : at + value]
            at += value
        else:
            raise Malformed(f"field {number} has wire type {wire_type}; a dat has only 0 and 2")
    return found


def number(message: Fields, field: int) -> int:
    """A number of a message; missing ones are 0."""
    value = message.get(field, 0)
    if not isinstance(value, int):
        raise Malformed(f"expected field {field} to be a number")
    return value


def text(message: Fields, field: int) -> bytes | None:
    """The bytes of a message's field; None when it is absent."""
    value = message.get(field)
    if isinstance(value, int):
        raise Malformed(f"expected field {field} to be bytes")
    return value
