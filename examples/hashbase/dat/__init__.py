"""Reads one file out of a stored dat, and proves that the holder of its key published it.

The archives are hyperdrive 9 archives as an archive host keeps them on disk (SLEEP files). Everything is local: no
network, no Node, nothing is written. From the outside in:

    reader.py    read_file: one file's bytes, or one of the errors below
    lookup.py    finds a path in the newest version (append-tree)
    entries.py   what a block of the metadata feed says
    wire.py      protocol buffers, as far as a dat uses them
    feed.py      one feed: which blocks are here, and is a block the author's?
    sleep.py     the four files of a feed
    flat.py      arithmetic of the flat in-order tree
    address.py   dat URLs and folders
    errors.py    what can be wrong, and whether waiting helps
"""

from __future__ import annotations

from .address import dat_key, folder_of
from .errors import BadAddress, Corrupt, DatError, NotFound, NotLocal, TooLarge
from .reader import read_file

__all__ = ["BadAddress", "Corrupt", "DatError", "NotFound", "NotLocal", "TooLarge", "dat_key", "folder_of", "read_file"]
