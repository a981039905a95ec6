"""Archives that nobody's disk damaged: forged ones, and sound ones whose owner is hostile."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from dat_cases import BY_NAME, PROOF
from dat_forge import (
    DIRECTORY_MODE,
    entry,
    field,
    header,
    index,
    public,
    signer,
    stat,
    varint,
    write_archive,
    write_feed,
)
from hashbase.dat import Corrupt, NotFound, NotLocal, TooLarge, lookup, read_file

PATH = PROOF.encode()
TEXT = b"a proof"


def _file(**figures: int) -> bytes:
    return entry(PATH, stat(**{"size": len(TEXT), "blocks": 1, **figures}))


def test_an_archive_of_our_own_making_is_read(tmp_path: Path) -> None:
    url = write_archive(tmp_path, [_file()], [TEXT])

    assert read_file(tmp_path, url, PROOF) == TEXT


@pytest.mark.parametrize("feed", ["metadata", "content"])
def test_a_feed_signed_by_another_key_is_refused(tmp_path: Path, feed: str) -> None:
    url = write_archive(tmp_path, [_file()], [TEXT])
    folder = tmp_path / url[6:8] / url[8:]
    author = signer("forged/content")
    blocks = [header(public(author)), _file()] if feed == "metadata" else [TEXT]
    true_key = (folder / feed / "key").read_bytes()
    shutil.rmtree(folder / feed)
    write_feed(folder / feed, blocks, signer("somebody else"))

    with pytest.raises(Corrupt, match=f"{feed}: expected the key"):
        read_file(tmp_path, url, PROOF)
    (folder / feed / "key").write_bytes(true_key)
    with pytest.raises(Corrupt, match=f"{feed}: the signature in slot . does not fit"):
        read_file(tmp_path, url, PROOF)
    (folder / feed / "key").unlink()
    with pytest.raises(Corrupt, match=f"{feed}: the signature in slot . does not fit"):
        read_file(tmp_path, url, PROOF)


def test_a_good_content_feed_of_another_archive_is_refused(tmp_path: Path) -> None:
    url = write_archive(tmp_path, [_file()], [TEXT])
    other = write_archive(tmp_path, [_file()], [b"another"], name="another")
    folder, others = (tmp_path / u[6:8] / u[8:] for u in (url, other))
    shutil.rmtree(folder / "content")
    shutil.copytree(others / "content", folder / "content")
    (folder / "content/key").unlink()

    with pytest.raises(Corrupt, match="content: the signature"):
        read_file(tmp_path, url, PROOF)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_good_signature_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    key = signer("forged")
    author = signer("forged/content")
    blocks = [header(public(author)), _file(), _file(), _file()]
    folder = tmp_path / public(key).hex()[:2] / public(key).hex()[2:]
    write_feed(folder / "metadata", blocks, key, slots={3: length})

    with pytest.raises(Corrupt, match="signature in slot 3 does not fit"):
        read_file(tmp_path, f"dat://{public(key).hex()}", PROOF)


def test_the_whole_archive_of_another_key_is_refused(tmp_path: Path) -> None:
    case = BY_NAME["a-valid"]
    other = "ab" * 32
    shutil.copytree(case.folder, tmp_path / other[:2] / other[2:])
    (tmp_path / other[:2] / other[2:] / "metadata/key").unlink()

    with pytest.raises(Corrupt):
        read_file(tmp_path, f"dat://{other}", PROOF)


def test_a_feed_that_is_no_hyperdrive_is_refused(tmp_path: Path) -> None:
    for n, block in enumerate((header(bytes(32), b"hypertrie"), header(bytes(31)), field(2, bytes(32)), b"\xff", b"")):
        key = signer(f"feed {n}")
        folder = tmp_path / public(key).hex()[:2] / public(key).hex()[2:]
        write_feed(folder / "metadata", [block, _file()], key)

        with pytest.raises(Corrupt, match="metadata block 0"):
            read_file(tmp_path, f"dat://{public(key).hex()}", PROOF)


BROKEN: dict[str, Sequence[bytes]] = {
    "no protocol buffer": [b"\xff\xff\xff"],
    "a varint that never ends": [b"\x80" * 40],
    "a varint of more than 64 bits": [varint(1 << 3) + b"\xff" * 9 + b"\x7f"],
    "a field past the end": [varint(1 << 3 | 2) + varint(1 << 62) + b"/x"],
    "wire type 5": [varint(1 << 3 | 5) + b"\0\0\0\0"],
    "no path": [field(2, stat(size=1, blocks=1))],
    "a number for a path": [field(1, 7)],
    "bytes for a size": [entry(PATH, field(1, 0o100644) + field(4, b"7"))],
    "an index that lists a later entry": [entry(PATH, None, index([[9]]))],
    "an index that lists the header": [entry(PATH, None, b"\0\1\0")],
    "an index with a count of 2^60": [entry(PATH, None, b"\0" + varint(1 << 60) + b"\1")],
    "an index that ends early": [entry(PATH, None, b"\0\2\1\x80")],
    "a size that is not that of its blocks": [_file(size=6)],
    "a size larger than its blocks": [_file(size=8)],
    "a size without blocks": [_file(blocks=0)],
}


@pytest.mark.parametrize("name", BROKEN)
def test_signed_nonsense_is_damage(tmp_path: Path, name: str) -> None:
    url = write_archive(tmp_path, BROKEN[name], [TEXT])

    with pytest.raises(Corrupt):
        read_file(tmp_path, url, PROOF)


def test_a_name_that_is_no_utf8_is_only_another_name(tmp_path: Path) -> None:
    odd = entry(b"/\xff\xfe", stat(size=0, blocks=0))
    url = write_archive(tmp_path, [odd, entry(PATH, stat(size=7, blocks=1), index([[1], [], []]))], [TEXT])

    assert read_file(tmp_path, url, PROOF) == TEXT


@pytest.mark.parametrize(
    ("figures", "kind"),
    [
        ({"size": 1 << 63}, TooLarge),
        ({"blocks": 1 << 63}, TooLarge),
        ({"offset": 1 << 63}, TooLarge),
        ({"offset": (1 << 64) - 1}, TooLarge),
        ({"blocks": 2}, NotLocal),
        ({"offset": 1}, NotLocal),
        ({"mode": DIRECTORY_MODE}, NotFound),
        ({"mode": 0o120777}, NotFound),
        ({"mode": 0}, NotFound),
    ],
)
def test_an_owners_figures_are_held_against_limits(tmp_path: Path, figures: dict[str, int], kind: type) -> None:
    url = write_archive(tmp_path, [_file(**figures)], [TEXT])

    with pytest.raises(kind):
        read_file(tmp_path, url, PROOF)


def test_an_empty_file_needs_no_content_feed(tmp_path: Path) -> None:
    url = write_archive(tmp_path, [_file(size=0, blocks=0)])

    assert read_file(tmp_path, url, PROOF) == b""


def test_empty_blocks_need_no_data_file(tmp_path: Path) -> None:
    url = write_archive(tmp_path, [_file(size=0, blocks=3)], [b"", b"", b""])
    (tmp_path / url[6:8] / url[8:] / "content/data").unlink()

    assert read_file(tmp_path, url, PROOF) == b""


def test_a_lookup_ends_after_so_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "ENTRIES_READ_MAX", 20)
    others = [entry(b"/%d" % n, stat(size=0, blocks=0)) for n in range(30)]
    url = write_archive(tmp_path, [*others, entry(b"/last", None, index([list(range(1, 31))]))])

    with pytest.raises(TooLarge, match="more than 20 entries"):
        read_file(tmp_path, url, PROOF)


def test_no_cut_of_a_signed_entry_gives_other_bytes(tmp_path: Path) -> None:
    whole = _file()
    for n in range(len(whole)):
        url = write_archive(tmp_path, [whole[:n]], [TEXT], name=f"cut {n}")

        try:
            assert read_file(tmp_path, url, PROOF) == TEXT
        except (Corrupt, NotFound):
            continue
