"""What can be wrong with a stored dat, and whether waiting helps.

| class        | when                                                                    | try again later?            |
|--------------|-------------------------------------------------------------------------|-----------------------------|
| `NotLocal`   | a folder, feed, entry or block has not been downloaded                  | yes                         |
| `NotFound`   | a sound archive whose newest version has no file at that path           | only if the archive changes |
| `TooLarge`   | a sound archive whose owner asks for more than we are willing to read   | only if the archive changes |
| `Corrupt`    | bytes on disk contradict a hash, a signature, a header, a schema        | no, a person must look      |
| `BadAddress` | the URL or the path is none                                             | no                          |
"""

from __future__ import annotations


class DatError(Exception):
    """The base of all that `read_file` raises. The message names the feed and the block or node where there is one."""


class NotLocal(DatError):
    """What is needed is not on this disk. It may still be syncing; the same call may succeed later."""


class NotFound(DatError):
    """The archive is sound and its newest version has no file there: absent, deleted, or a directory."""


class TooLarge(DatError):
    """The archive is sound, but reading it would go past a limit. Its owner, who may be hostile, chose the figures."""


class Corrupt(DatError):
    """Bytes on disk contradict one another or the author's signature. Nothing of it may be used."""


class BadAddress(DatError, ValueError):
    """Not a dat URL, or not a path."""
