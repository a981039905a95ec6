"""WHAT A TEST MUST OWN: time, chance, ids, threads, mailboxes, replies, failpoints."""

from .environment import Environment

__all__ = ["Environment"]
