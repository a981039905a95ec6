"""Sound and partial archives: each is read as hyperdrive itself would read it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from dat_cases import BY_NAME, CASES, GIVEN_MANIFEST, MADE, MADE_MANIFEST, PROOF, Case
from hashbase.dat import BadAddress, Corrupt, NotFound, NotLocal, TooLarge, dat_key, flat, folder_of, read_file
from hashbase.dat.feed import Feed
from hashbase.dat.sleep import Signatures, SleepFile, Tree
from hashbase.world import DATS

F = BY_NAME["f-overwritten"]
F_CONTENT_KEY = "17fa9ba365ef9b1f1a313ff87d18b2adb1efde39e016dbd373a3895eea27a745"


def _read(case: Case, path: str | None = None) -> bytes:
    return read_file(case.root / "archives", case.url, case.read if path is None else path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_archive_gives_the_bytes_or_the_error_of_its_manifest(case: Case) -> None:
    match case.outcome:
        case "verified" | "rejected":
            assert hashlib.sha256(_read(case)).hexdigest() == case.sha256
        case "no-proof":
            with pytest.raises(NotFound):
                _read(case)
        case _:
            assert case.outcome == "unavailable"
            with pytest.raises(NotLocal):
                _read(case)


@pytest.mark.parametrize("case", GIVEN_MANIFEST["cases"], ids=lambda case: str(case["name"]))
def test_every_file_of_the_given_archives_is_read_whole_or_said_to_be_missing(case: dict[str, Any]) -> None:
    for path, file in case["archive"]["files"].items():
        if file["local"]:
            data = read_file(DATS / "archives", case["job"]["data"]["url"], path)
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size"], file["sha256"])
        else:
            with pytest.raises(NotLocal):
                read_file(DATS / "archives", case["job"]["data"]["url"], path)


@pytest.mark.parametrize("case", MADE_MANIFEST["histories"], ids=lambda case: str(case["name"]))
def test_random_histories_read_as_hyperdrive_reads_them(case: dict[str, Any]) -> None:
    found: dict[str, str | None] = {}

    for path in case["reads"]:
        try:
            found[path] = hashlib.sha256(read_file(MADE / "archives", f"dat://{case['key']}", path)).hexdigest()
        except NotFound:
            found[path] = None

    assert found == case["reads"]


def test_the_values_of_the_format_notes_are_found_in_f_overwritten() -> None:
    folder = F.folder / "content"
    with SleepFile(folder, "tree") as file:
        nodes = Tree(file)
        assert nodes.node(64) == (
            bytes.fromhex("9439fa826c791c4e104632c6f5021276ad9be7b835117c8eed181280c37188dd"),
            244,
        )
        assert nodes.node(66) == (bytes.fromhex("9f22b033a24ff0cd1fb53bb58f5e2cfa3238c8274340f53a325e5a0f8928bff7"), 42)
        assert nodes.node(65) == (
            bytes.fromhex("692816a00faf80e71eb777ae79955808a8a7ffac40f1f3b892d5703d5eadc2b0"),
            286,
        )
        assert nodes.node(31) == (
            bytes.fromhex("0bd122bde1c8cc41c1d32c005a9b76d1692e2100d5a9ae85b63a153242533ce9"),
            15427,
        )
    with SleepFile(folder, "signatures") as file:
        slots = list(Signatures(file).newest_first())
    with Feed(folder, bytes.fromhex(F_CONTENT_KEY)) as feed:
        newest = feed.read(32)
        older = feed.read(23)
        length = feed.length

    assert [slot for slot, _ in slots] == [33, 30]
    assert slots[0][1].hex().startswith("ce6709ec")
    assert slots[0][1].hex().endswith("34cbb106")
    assert length == 34
    assert newest == _read(F)
    assert older != newest


def test_the_flat_tree_is_that_of_the_format_notes() -> None:
    assert flat.roots(34) == [31, 65]
    assert flat.roots(0) == []
    assert [flat.parent(n) for n in (0, 2, 1, 5, 64, 66)] == [1, 1, 3, 3, 65, 65]
    assert [flat.sibling(n) for n in (0, 2, 1, 5, 64, 66)] == [2, 0, 5, 1, 66, 64]


@pytest.mark.parametrize("length", range(1, 70))
def test_every_block_lies_below_one_root(length: int) -> None:
    for block in range(length):
        node = flat.leaf(block)
        while node not in flat.roots(length):
            node = flat.parent(node)

        assert flat.root_above(block, length) == node


def test_an_older_bitfield_with_pages_of_3328_bytes_is_read(tmp_path: Path) -> None:
    folder = F.copy_to(tmp_path)
    for feed in ("metadata", "content"):
        file = folder / feed / "bitfield"
        raw = bytearray(file.read_bytes()[: 32 + 3328])
        raw[5:7] = (3328).to_bytes(2, "big")
        file.write_bytes(raw)

    assert read_file(tmp_path, F.url, PROOF) == _read(F)


def test_one_early_signature_is_enough_when_the_newest_one_cannot_be_reached() -> None:
    case = BY_NAME["early-signature"]
    with SleepFile(case.folder / "content", "signatures") as file:
        slots = [slot for slot, _ in Signatures(file).newest_first()]

    assert len(slots) == 2
    assert hashlib.sha256(_read(case)).hexdigest() == case.sha256


@pytest.mark.parametrize("spelling", ["proofs/hashbase.test", "//proofs///hashbase.test/"])
def test_slashes_do_not_matter_in_a_path(spelling: str) -> None:
    assert _read(F, spelling) == _read(F)


@pytest.mark.parametrize("path", ["/..", "/proofs/../proofs/hashbase.test", "/\0", "/\udcff", "/proofs", "/dat.json/x"])
def test_a_path_that_names_no_file_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        _read(F, path)


@pytest.mark.parametrize("path", ["", "/", "///", "/x" * 3000])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(BadAddress, match="expected the path"):
        _read(F, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        F.key,
        f"http://{F.key}",
        f"dat://{F.key[:-1]}",
        f"dat://{F.key}0",
        f"dat://{F.key}//",
        f"dat://{F.key}\n",
        f"dat://{F.key}/proofs",
        "dat://../../" + "a" * 58,
        "dat://hashbase.test",
        "dat://" + "١" * 64,
    ],
)
def test_what_is_no_dat_url_is_refused(url: str) -> None:
    with pytest.raises(BadAddress, match="expected a dat URL"):
        read_file(DATS / "archives", url, PROOF)


def test_a_key_is_the_same_in_any_case_and_with_a_slash() -> None:
    assert dat_key(f"DAT://{F.key.upper()}/") == F.key
    assert read_file(DATS / "archives", f"dat://{F.key.upper()}/", PROOF) == _read(F)


@pytest.mark.parametrize("key", [F.key.upper(), F.key[:-1], "../" + F.key[3:], F.key + "\n", ""])
def test_no_folder_is_named_by_anything_but_a_key(key: str) -> None:
    with pytest.raises(BadAddress, match="expected a key"):
        folder_of(DATS, key)


def test_a_file_larger_than_the_caller_wants_is_not_read() -> None:
    case = BY_NAME["oversized"]

    with pytest.raises(TooLarge, match="70000 bytes"):
        read_file(case.root / "archives", case.url, PROOF, bytes_max=4096)


@pytest.mark.parametrize("missing", ["", "metadata", "content", "metadata/tree", "content/data", "content/signatures"])
def test_what_is_not_on_disk_is_unavailable(tmp_path: Path, missing: str) -> None:
    folder = F.copy_to(tmp_path)
    (folder / missing).rename(tmp_path / "elsewhere")

    with pytest.raises(NotLocal):
        read_file(tmp_path, F.url, PROOF)


@pytest.mark.parametrize("missing", ["metadata/key", "content/key"])
def test_the_key_files_are_not_needed(tmp_path: Path, missing: str) -> None:
    folder = F.copy_to(tmp_path)
    (folder / missing).unlink()

    assert read_file(tmp_path, F.url, PROOF) == _read(F)


def test_an_archive_reached_through_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / F.key[:2]).mkdir()
    (tmp_path / F.key[:2] / F.key[2:]).symlink_to(F.folder)

    assert read_file(tmp_path, F.url, PROOF) == _read(F)


@pytest.mark.parametrize("loop", ["metadata/data", "content/tree"])
def test_a_link_to_itself_is_unavailable(tmp_path: Path, loop: str) -> None:
    file = F.copy_to(tmp_path) / loop
    file.unlink()
    file.symlink_to(file)

    with pytest.raises(NotLocal):
        read_file(tmp_path, F.url, PROOF)


@pytest.mark.parametrize("file", ["metadata/bitfield", "content/data"])
def test_a_fifo_in_the_place_of_a_file_does_not_hold_the_reader(tmp_path: Path, file: str) -> None:
    path = F.copy_to(tmp_path) / file
    path.unlink()
    os.mkfifo(path)

    with pytest.raises(Corrupt, match="regular file"):
        read_file(tmp_path, F.url, PROOF)


def test_nothing_is_written_and_no_file_stays_open(tmp_path: Path) -> None:
    folder = F.copy_to(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
    open_before = len(os.listdir("/dev/fd"))

    read_file(tmp_path, F.url, PROOF)
    with pytest.raises(NotFound):
        read_file(tmp_path, F.url, "/nowhere")

    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))} == before
    assert len(os.listdir("/dev/fd")) == open_before
