"""Damaged and changing archives: the right bytes or an error that fits, never other bytes and never a crash."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from dat_cases import BY_NAME, PROOF, Case
from hashbase.dat import Corrupt, DatError, NotFound, NotLocal, read_file

F = BY_NAME["f-overwritten"]
GOOD = read_file(F.root / "archives", F.url, PROOF)

MUTATIONS = 20_000 if os.environ.get("LAMPLIGHTER_TORTURE") else 1_200
BASES = ("f-overwritten", "several-blocks", "early-signature", "b-wrong-secret", "many-files", "deleted-beside-others")
FILES = tuple(
    f"{feed}/{name}" for feed in ("metadata", "content") for name in ("tree", "signatures", "bitfield", "data", "key")
)

Change = Callable[[bytearray], None]


def _write(at: int, new: bytes) -> Change:
    def change(raw: bytearray) -> None:
        raw[at : at + len(new)] = new

    return change


def _cut(at: int) -> Change:
    def change(raw: bytearray) -> None:
        del raw[at:]

    return change


def _swap(first: int, second: int, length: int) -> Change:
    def change(raw: bytearray) -> None:
        a, b = raw[first : first + length], raw[second : second + length]
        raw[first : first + length], raw[second : second + length] = b, a

    return change


DAMAGE: dict[str, tuple[str, Change, str]] = {
    "a byte of the proof": ("content/data", _write(15427, b"X"), "block 32 does not match its hash"),
    "the hash of the proof": ("content/tree", _write(32 + 40 * 64, b"X"), "block 32 does not match its hash"),
    "the length of the proof": ("content/tree", _write(32 + 40 * 64 + 39, b"\1"), "block 32 does not match its hash"),
    "a length beyond 8 MB": ("content/tree", _write(32 + 40 * 64 + 36, b"\1\0\0\0"), "at most 8388608"),
    "a length of 2^63": ("content/tree", _write(32 + 40 * 64 + 32, b"\x80"), "node 64 claims"),
    "an offset of 2^63": ("content/tree", _write(32 + 40 * 31 + 32, b"\x80"), "node 31 claims"),
    "an offset of 2^50": ("content/tree", _write(32 + 40 * 31 + 33, b"\4"), "data ends at byte"),
    "a small offset": ("content/tree", _write(32 + 40 * 31 + 39, b"\0"), "block 32 does not match its hash"),
    "a sibling": ("content/tree", _write(32 + 40 * 66, b"X"), "signature in slot 33 does not fit"),
    "another root": ("content/tree", _write(32 + 40 * 31, b"X"), "signature in slot 33 does not fit"),
    "the proof's own hash zeroed": ("content/tree", _write(32 + 40 * 64, bytes(40)), "its hash, node 64, is not"),
    "a cut tree": ("content/tree", _cut(32 + 40 * 60), "its hash, node 64, is not"),
    "a tree cut inside a node": ("content/tree", _cut(32 + 40 * 60 + 7), "whole entries of 40 bytes"),
    "cut data": ("content/data", _cut(15500), "data ends at byte 15500"),
    "cut metadata": ("metadata/data", _cut(700), "data ends at byte 700"),
    "the newest signature": ("content/signatures", _write(2144, b"X"), "signature in slot 33 does not fit"),
    "signatures swapped": ("metadata/signatures", _swap(32 + 64 * 8, 32 + 64 * 11, 64), "slot 11 does not fit"),
    "a signature cut off": ("metadata/signatures", _cut(32 + 64 * 11), "block 11 is here, but the newest"),
    "a signature zeroed": ("metadata/signatures", _write(32 + 64 * 11, bytes(64)), "block 11 is here, but the newest"),
    "half a signature": ("metadata/signatures", _cut(32 + 64 * 11 + 32), "whole entries of 64 bytes"),
    "all signatures gone": ("metadata/signatures", _cut(32), "newest signature covers 0 blocks"),
    "a bit beyond the length": ("metadata/bitfield", _write(32 + 1, b"\xff"), "block 15 is here, but the newest"),
    "half a page": ("content/bitfield", _cut(32 + 1000), "whole entries of 3584 bytes"),
    "no header": ("content/bitfield", _cut(0), "expected a header of 32 bytes, got 0"),
    "half a header": ("content/tree", _cut(20), "expected a header of 32 bytes, got 20"),
    "the magic number": ("content/tree", _write(0, b"\0"), "not that of a SLEEP file"),
    "the kind": ("content/tree", _write(3, b"\1"), "not that of a SLEEP file"),
    "the version": ("content/tree", _write(4, b"\1"), "not that of a SLEEP file"),
    "a page of no bytes": ("content/bitfield", _write(5, b"\0\0"), "not that of a SLEEP file"),
    "the algorithm": ("content/signatures", _write(8, b"ed25519"), "not that of a SLEEP file"),
    "a long algorithm": ("content/signatures", _write(7, b"\xff"), "not that of a SLEEP file"),
    "another key": ("metadata/key", _write(0, b"X"), "expected the key 660cabb7"),
    "another content key": ("content/key", _write(0, b"X"), "expected the key 17fa9ba3"),
    "a longer key": ("content/key", _write(32, b"X"), "expected the key 17fa9ba3"),
}


def _damaged(tmp_path: Path, file: str, change: Change) -> None:
    path = F.copy_to(tmp_path) / file
    raw = bytearray(path.read_bytes())
    change(raw)
    path.write_bytes(raw)


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_and_yields_nothing(tmp_path: Path, name: str) -> None:
    file, change, message = DAMAGE[name]
    _damaged(tmp_path, file, change)

    with pytest.raises(Corrupt, match=message):
        read_file(tmp_path, F.url, PROOF)


LEFT_OUT: dict[str, tuple[str, Change, str]] = {
    "the proof's bit": ("content/bitfield", _write(32 + 4, b"\x40"), "content block 32"),
    "the head's bit": ("metadata/bitfield", _write(32 + 1, b"\xe0"), "metadata block 11"),
    "a sibling": ("content/tree", _write(32 + 40 * 66, bytes(40)), "hashes that link it to a signature"),
    "a root": ("content/tree", _write(32 + 40 * 31, bytes(40)), "its offset needs node 31"),
    "all pages": ("content/bitfield", _cut(32), "content block 32"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_a_partial_copy_may_leave_out_is_unavailable_and_no_damage(tmp_path: Path, name: str) -> None:
    file, change, message = LEFT_OUT[name]
    _damaged(tmp_path, file, change)

    with pytest.raises(NotLocal, match=message):
        read_file(tmp_path, F.url, PROOF)


@pytest.mark.parametrize("name", ["metadata/signatures", "content/signatures"])
def test_a_signatures_file_that_claims_billions_of_blocks_is_not_walked_through(tmp_path: Path, name: str) -> None:
    os.truncate(F.copy_to(tmp_path) / name, 32 + 64 * (1 << 32))

    with pytest.raises(Corrupt, match="slots"):
        read_file(tmp_path, F.url, PROOF)


def test_a_bitfield_that_claims_billions_of_blocks_is_not_read(tmp_path: Path) -> None:
    os.truncate(F.copy_to(tmp_path) / "content/bitfield", 32 + 3584 * (1 << 24))

    with pytest.raises(Corrupt, match="pages"):
        read_file(tmp_path, F.url, PROOF)


def test_an_older_version_of_the_file_is_never_given_when_the_newer_one_is_damaged(tmp_path: Path) -> None:
    older = b"XXXX"
    _damaged(tmp_path, "content/data", _write(15427, older))

    with pytest.raises(Corrupt):
        read_file(tmp_path, F.url, PROOF)


@pytest.mark.parametrize("moment", range(1, 11))
def test_a_folder_that_vanishes_under_the_reader_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    folder = F.copy_to(tmp_path)
    opened = 0
    real = os.open

    def open_(path: Path, flags: int) -> int:
        nonlocal opened
        opened += 1
        if opened == moment:
            folder.rename(tmp_path / "gone")
        return real(path, flags)

    monkeypatch.setattr("hashbase.dat.sleep.os.open", open_)

    with pytest.raises(NotLocal):
        read_file(tmp_path, F.url, PROOF)


class _Writer:
    """Does something between two reads of the files."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, before: Callable[[Path], bool], act: Callable[[], None]
    ) -> None:
        self._real, self._before, self._act = os.open, before, act
        monkeypatch.setattr("hashbase.dat.sleep.os.open", self._open)

    def _open(self, path: Path, flags: int) -> int:
        if self._before(path):
            self._act()
        return self._real(path, flags)


def test_a_reading_that_meets_a_write_half_way_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = F.copy_to(tmp_path)
    whole = (folder / "content/data").read_bytes()
    (folder / "content/data").write_bytes(whole[:15500])
    rounds = 0

    def second_round(path: Path) -> bool:
        nonlocal rounds
        rounds += path.match("metadata/bitfield")
        return rounds == 2

    def finish_writing() -> None:
        (folder / "content/data").write_bytes(whole)

    _Writer(monkeypatch, second_round, finish_writing)

    assert read_file(tmp_path, F.url, PROOF) == GOOD
    assert rounds == 2


@pytest.mark.parametrize("then", ["signatures", "tree"])
def test_an_append_between_bitfield_and_signatures_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    folder = F.copy_to(tmp_path)
    newer = {file: (folder / file).read_bytes() for file in ("metadata/bitfield", "metadata/signatures")}
    older = {file: bytearray(raw) for file, raw in newer.items()}
    older["metadata/bitfield"][32:34] = b"\xff\x80"  # 9 blocks, as after the first sync
    older["metadata/signatures"][32 + 64 * 11 :] = bytes(64)
    for file, raw in older.items():
        (folder / file).write_bytes(raw)

    def append() -> None:
        for file, raw in newer.items():
            (folder / file).write_bytes(raw)

    _Writer(monkeypatch, lambda path: path.match(f"metadata/{then}"), append)

    # What it saw first had 9 blocks; the newest version is a moment away, and the older one is not given for it.
    with pytest.raises(NotLocal, match="metadata block 11"):
        read_file(tmp_path, F.url, PROOF)


def _mutate(rng: random.Random, raw: bytearray) -> None:
    """Changes bytes in one of the ways in which disks, backups and attackers do."""
    at = rng.randrange(len(raw)) if raw else 0
    entry = rng.choice((40, 64))
    match rng.choice(("flip", "byte", "cut", "extend", "zero entry", "zero rest", "swap", "copy", "huge", "noise")):
        case "flip" if raw:
            raw[at] ^= 1 << rng.randrange(8)
        case "byte" if raw:
            raw[at] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))
        case "cut":
            del raw[at:]
        case "extend":
            raw += rng.choice((bytes(entry), rng.randbytes(entry), rng.randbytes(rng.randrange(1, 5000)), b"\0"))
        case "zero entry" if len(raw) > 32 + entry:
            start = 32 + entry * rng.randrange((len(raw) - 32) // entry)
            raw[start : start + entry] = bytes(entry)
        case "zero rest":
            raw[at:] = bytes(len(raw) - at)
        case "swap" if len(raw) > 32 + 2 * entry:
            a, b = (32 + entry * rng.randrange((len(raw) - 32) // entry) for _ in range(2))
            raw[a : a + entry], raw[b : b + entry] = raw[b : b + entry], raw[a : a + entry]
        case "copy" if len(raw) > 32 + 2 * entry:
            a, b = (32 + entry * rng.randrange((len(raw) - 32) // entry) for _ in range(2))
            raw[a : a + entry] = raw[b : b + entry]
        case "huge" if len(raw) > 80:
            start = 32 + 40 * rng.randrange((len(raw) - 32) // 40) + 32
            raw[start : start + 8] = rng.choice((1 << 63, (1 << 64) - 1, 1 << 53, 1 << 40)).to_bytes(8, "big")
        case _:
            raw[at : at + 16] = rng.randbytes(16)


def _answer(archives_dir: Path, case: Case) -> bytes | type[DatError]:
    try:
        return read_file(archives_dir, case.url, case.read)
    except DatError as error:
        assert str(error)
        return type(error)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.timeout(600)
def test_no_change_to_one_file_gives_other_bytes_or_another_kind_of_answer(tmp_path: Path, name: str) -> None:
    case = BY_NAME[name]
    folder = case.copy_to(tmp_path)
    sound = _answer(tmp_path, case)
    originals = {file: (folder / file).read_bytes() for file in FILES if (folder / file).exists()}
    rng = random.Random(f"damage {name}")
    answers: Counter[str] = Counter()

    for n in range(MUTATIONS // len(BASES)):
        file = rng.choice(list(originals))
        raw = bytearray(originals[file])
        _mutate(rng, raw)
        (folder / file).write_bytes(raw)
        answer = _answer(tmp_path, case)
        (folder / file).write_bytes(originals[file])

        assert answer in (sound, NotLocal, Corrupt), f"change {n} to {file}"
        answers["sound" if answer == sound else str(answer)] += 1

    assert answers["sound"] and answers[str(Corrupt)], "both must have been reached, or the changes test nothing"
    assert _answer(tmp_path, case) == sound


@pytest.mark.timeout(600)
def test_no_number_of_changes_gives_other_bytes(tmp_path: Path) -> None:
    rng = random.Random("many changes")

    for n in range(MUTATIONS // 4):
        case = BY_NAME[rng.choice(BASES)]
        folder = case.copy_to(tmp_path)
        for _ in range(rng.randrange(2, 6)):
            path = folder / rng.choice(FILES)
            raw = bytearray(path.read_bytes())
            _mutate(rng, raw)
            path.write_bytes(raw)
        answer = _answer(tmp_path, case)
        shutil.rmtree(folder)

        # Several files put back together can make a sound older version, which nothing can tell from a new one.
        versions = (_answer(case.root / "archives", case), NotLocal, Corrupt, NotFound)
        assert answer in versions, f"round {n} of {case.name}"
