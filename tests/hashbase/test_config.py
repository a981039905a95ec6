"""The configuration: one file, checked, with errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from dat_cases import SECRET
from hashbase.config import DEFAULT_FILE, Config, ConfigError, load
from hashbase.host import Host

GOOD = f"""
hostname = "hashbase.test"
data_dir = "data"
[proofs]
algorithm = "HS256"
secret = "{SECRET}"
"""


def _load(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    path = tmp_path / "hashbase.toml"
    path.write_text(text)
    return load(path, environ or {})


def test_the_file_that_comes_with_the_host_is_good() -> None:
    config = load(DEFAULT_FILE, {})

    assert (config.hostname, config.algorithm, config.secret) == ("hashbase.test", "HS256", SECRET)
    assert config.data_dir == DEFAULT_FILE.parent / "data"


def test_all_paths_follow_from_the_data_folder(tmp_path: Path) -> None:
    config = _load(tmp_path, GOOD)

    assert config.archives_dir == tmp_path / "data/archives"
    assert config.database == tmp_path / "data/hashbase.db"


def test_the_environments_secret_goes_before_the_files(tmp_path: Path) -> None:
    assert _load(tmp_path, GOOD, {"HASHBASE_SECRET": "e" * 32}).secret == "e" * 32
    assert _load(tmp_path, GOOD.replace("secret =", "#"), {"HASHBASE_SECRET": "e" * 32}).secret == "e" * 32


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ('"hashbase.test"', '"Hashbase.test"', "host name in lower case, got: 'Hashbase.test'"),
        ('"hashbase.test"', '"../etc"', "host name in lower case"),
        ('"hashbase.test"', '"a/b"', "host name in lower case"),
        ('"hashbase.test"', '"a.test\\n"', "host name in lower case"),
        ('"hashbase.test"', '""', "expected hostname to be a text, got: ''"),
        ('"hashbase.test"', "7", "expected hostname to be a text, got: 7"),
        ("hostname", "host_name", "expected hostname to be a text, got: nothing"),
        ("data_dir", "data_folder", "expected data_dir to be a text, got: nothing"),
        ('"HS256"', '"none"', "one of HS256, HS384, HS512, got: 'none'"),
        ('"HS256"', '"RS256"', "one of HS256, HS384, HS512, got: 'RS256'"),
        ('"HS256"', '"HS512"', "at least 64 bytes for HS512, got 41 bytes"),
        ("secret =", "#", "HASHBASE_SECRET in the environment"),
        (SECRET, "", "HASHBASE_SECRET in the environment"),
        (SECRET, "short", "at least 32 bytes for HS256, got 5 bytes"),
        ("[proofs]", "port = 80\n[proofs]", "unknown setting: port"),
        ("secret =", "key = 1\nsecret =", "unknown setting: proofs.key"),
        ("[proofs]", "[prooofs]", "expected algorithm to be a text, got: nothing"),
        (GOOD, 'hostname = "a.test"\ndata_dir = "d"\nproofs = 3', r"expected \[proofs\] to be a table, got: 3"),
        ("[proofs]", "[proofs", "line 4"),
    ],
)
def test_a_bad_setting_is_named_with_its_file(tmp_path: Path, was: str, becomes: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        _load(tmp_path, GOOD.replace(was, becomes))

    assert "hashbase.toml" in str(caught.value)


def test_an_empty_secret_in_the_environment_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HASHBASE_SECRET"):
        _load(tmp_path, GOOD, {"HASHBASE_SECRET": ""})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml", {})


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "hashbase.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match=r"hashbase\.toml"):
        load(tmp_path / "hashbase.toml", {})


def test_the_secret_is_in_no_message_and_no_repr(tmp_path: Path) -> None:
    assert SECRET not in repr(_load(tmp_path, GOOD))
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, GOOD.replace("HS256", "HS512"))
    assert SECRET not in str(caught.value)


def test_a_data_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected data_dir to be an existing folder"):
        Host(_load(tmp_path, GOOD))

    assert not (tmp_path / "data").exists()
