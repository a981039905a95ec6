"""Arithmetic of the flat in-order tree that a feed's hashes form (RFC 7574 section 4.2).

Block `i` is leaf `2i`; odd numbers are parents. A feed whose length is no power of two has several roots.
"""

from __future__ import annotations


def leaf(block: int) -> int:
    """The node number of a block."""
    return 2 * block


def width(node: int) -> int:
    """2 to the power of the node's depth: the distance from a node to its parent."""
    return (node + 1) & ~node


def is_left(node: int) -> bool:
    """Whether a node is its parent's left child."""
    return not node & (2 * width(node))


def sibling(node: int) -> int:
    """The other child of a node's parent."""
    return node + 2 * width(node) if is_left(node) else node - 2 * width(node)


def parent(node: int) -> int:
    """The node above."""
    return node + width(node) if is_left(node) else node - width(node)


def roots(length: int) -> list[int]:
    """The roots of a feed of `length` blocks, in ascending order, which matters for hashing."""
    found, start = [], 0
    for bit in reversed(range(length.bit_length())):
        power = 1 << bit
        if length & power:
            found.append(start + power - 1)
            start += 2 * power
    return found


def root_above(block: int, length: int) -> int:
    """The root that covers a block in a feed of `length` blocks; `block` must be below `length`."""
    start = 0
    for bit in reversed(range(length.bit_length())):
        power = 1 << bit
        if length & power:
            if leaf(block) < start + 2 * power:
                return start + power - 1
            start += 2 * power
    raise ValueError(f"expected a block below {length}, got: {block}")
