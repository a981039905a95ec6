"""Writes archives that hyperdrive would not: forged, hostile, and with any shape of metadata."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b, sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hashbase.dat import flat

FILE_MODE, DIRECTORY_MODE = 0o100644, 0o040755


def signer(name: str) -> Ed25519PrivateKey:
    """A key pair that follows from a name."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def header(content_key: bytes, kind: bytes = b"hyperdrive") -> bytes:
    return field(1, kind) + field(2, content_key)


def stat(*, size: int, blocks: int, offset: int = 0, mode: int = FILE_MODE) -> bytes:
    return field(1, mode) + field(4, size) + field(5, blocks) + field(6, offset)


def index(levels: Iterable[Sequence[int]], flags: int = 1) -> bytes:
    """Encodes an index; members are given as they are, ascending."""
    out = varint(flags)
    for members in levels:
        out += varint(len(members))
        for last, member in zip([0, *members], members, strict=False):
            out += varint(member - last)
    return out


def entry(path: bytes, stat_: bytes | None, index_: bytes = b"\1\0\0\0") -> bytes:
    return field(1, path) + (b"" if stat_ is None else field(2, stat_)) + field(3, index_)


def write_feed(
    feed_dir: Path,
    blocks: Sequence[bytes],
    key: Ed25519PrivateKey,
    *,
    slots: dict[int, int] | None = None,
    page_bytes: int = 3584,
) -> None:
    """Writes one feed, whole.

    Args:
        feed_dir: where.
        blocks: its blocks.
        key: signs it.
        slots: which length the signature in each slot is for; by default the last slot, for all blocks.
        page_bytes: size of a bitfield page.
    """
    feed_dir.mkdir(parents=True)
    nodes = _nodes(blocks)
    tree = bytearray(40 * (2 * len(blocks) - 1)) if blocks else bytearray()
    for number, (digest, size) in nodes.items():
        tree[40 * number : 40 * number + 40] = digest + size.to_bytes(8, "big")
    if slots is None:
        slots = {len(blocks) - 1: len(blocks)} if blocks else {}
    signatures = bytearray(64 * (max(slots, default=-1) + 1))
    for slot, length in slots.items():
        signatures[64 * slot : 64 * slot + 64] = key.sign(_root_digest(nodes, length))
    bits = sum(0x80 >> block % 8 << 8 * (1023 - block // 8) for block in range(len(blocks)))
    (feed_dir / "key").write_bytes(public(key))
    (feed_dir / "data").write_bytes(b"".join(blocks))
    (feed_dir / "tree").write_bytes(_sleep(2, 40, b"BLAKE2b") + tree)
    (feed_dir / "signatures").write_bytes(_sleep(1, 64, b"Ed25519") + signatures)
    page = bits.to_bytes(1024, "big") + bytes(page_bytes - 1024)
    (feed_dir / "bitfield").write_bytes(_sleep(0, page_bytes, b"") + page)


def write_archive(
    archives_dir: Path, entries: Sequence[bytes], content: Sequence[bytes] = (), *, name: str = "forged"
) -> str:
    """Writes an archive whose signatures are all good, whatever its entries say; gives its URL."""
    key = public(signer(name)).hex()
    folder = archives_dir / key[:2] / key[2:]
    author = signer(name + "/content")
    write_feed(folder / "metadata", [header(public(author)), *entries], signer(name))
    if content:
        write_feed(folder / "content", content, author)
    return f"dat://{key}"


def _sleep(kind: int, entry_bytes: int, algorithm: bytes) -> bytes:
    head = b"\x05\x02\x57" + bytes([kind, 0]) + entry_bytes.to_bytes(2, "big") + bytes([len(algorithm)]) + algorithm
    return head.ljust(32, b"\0")


def _nodes(blocks: Sequence[bytes]) -> dict[int, tuple[bytes, int]]:
    nodes = {2 * n: (_hash(b"\0", len(b).to_bytes(8, "big"), b), len(b)) for n, b in enumerate(blocks)}
    step = 2
    while step <= len(blocks):
        for left in range(step // 2 - 1, 2 * len(blocks) - step, 2 * step):
            right = left + step
            if right in nodes and left in nodes:
                size = nodes[left][1] + nodes[right][1]
                parent = _hash(b"\1", size.to_bytes(8, "big"), nodes[left][0], nodes[right][0])
                nodes[left + step // 2] = (parent, size)
        step *= 2
    return nodes


def _root_digest(nodes: dict[int, tuple[bytes, int]], length: int) -> bytes:
    parts = [nodes[n][0] + n.to_bytes(8, "big") + nodes[n][1].to_bytes(8, "big") for n in flat.roots(length)]
    return _hash(b"\2", *parts)


def _hash(*parts: bytes) -> bytes:
    return blake2b(b"".join(parts), digest_size=32).digest()
