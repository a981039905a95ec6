"""`read_file`: one file of a stored dat, verified, or an error that says what is wrong."""

from __future__ import annotations

from pathlib import Path

from .address import dat_key, folder_of
from .entries import Stat, content_key
from .errors import BadAddress, Corrupt, NotFound, NotLocal, TooLarge
from .feed import Feed
from .lookup import find
from .sleep import FEED_BLOCKS_MAX

FILE_BYTES_MAX = 16 * 1024 * 1024
FILE_BLOCKS_MAX = 4096
PATH_BYTES_MAX = 4096


def read_file(archives_dir: str | Path, url: str, path: str, *, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """Reads the newest version of a file out of an archive on disk and verifies all of it.

    Nothing is written, created or locked, so that it works beside a running archiver.

    Args:
        archives_dir: the folder that holds archives at `<key[0:2]>/<key[2:]>`.
        url: `dat://` and 64 hex digits.
        path: the file's path inside the archive.
        bytes_max: the largest file to read, in bytes. The archive's owner chose its size.

    Raises:
        NotLocal: something that is needed has not been downloaded; it may be there later.
        NotFound: the archive is sound and has no file there.
        TooLarge: the file is larger than `bytes_max`, or cut into more than 4,096 blocks.
        Corrupt: the archive is damaged or forged.
        BadAddress: `url` or `path` is none.
    """
    key = dat_key(url)
    folder = folder_of(Path(archives_dir), key)
    if not path.strip("/") or len(path) > PATH_BYTES_MAX:
        raise BadAddress(f"expected the path of a file, at most {PATH_BYTES_MAX} long, got: {path!r:.120}")
    try:
        return _read_once(folder, bytes.fromhex(key), path, bytes_max)
    except Corrupt:
        # A reader beside a writer may see the files at different moments. What is damaged stays so.
        return _read_once(folder, bytes.fromhex(key), path, bytes_max)


def _read_once(folder: Path, key: bytes, path: str, bytes_max: int) -> bytes:
    with Feed(folder / "metadata", key) as metadata:
        if metadata.length == 0:
            raise NotLocal("nothing of the archive has been downloaded yet")
        named = content_key(metadata.read(0))
        if metadata.length == 1:
            raise NotFound(f"{path} is not in the archive, which is empty")
        stat = find(metadata, path)
    if stat.size > bytes_max or stat.blocks > FILE_BLOCKS_MAX:
        raise TooLarge(f"{path} has {stat.size} bytes in {stat.blocks} blocks; expected at most {bytes_max} bytes")
    if stat.blocks == 0:  # an empty file needs no content feed
        return _whole(b"", stat, path)
    if stat.offset + stat.blocks > FEED_BLOCKS_MAX:
        raise TooLarge(f"{path} begins at content block {stat.offset}; expected at most {FEED_BLOCKS_MAX}")
    with Feed(folder / "content", named) as content:
        return _read_blocks(content, stat, path)


def _read_blocks(content: Feed, stat: Stat, path: str) -> bytes:
    numbers = range(stat.offset, stat.offset + stat.blocks)
    missing = [block for block in numbers if not content.has(block)]
    if missing:
        raise NotLocal(
            f"{path} needs content block {missing[0]}, which has not been downloaded ({len(missing)} missing)"
        )
    parts, size = [], 0
    for block in numbers:
        parts.append(content.read(block))
        size += len(parts[-1])
        if size > stat.size:
            break
    return _whole(b"".join(parts), stat, path)


def _whole(data: bytes, stat: Stat, path: str) -> bytes:
    if len(data) != stat.size:
        raise Corrupt(f"{path}: its blocks have {len(data)} bytes or more, but its entry says {stat.size}")
    return data
