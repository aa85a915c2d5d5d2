"""Where the secret key comes from, and what is derived from it."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from indexmill.errors import ServiceError, SettingsError
from indexmill.security.keyring import Keyring, open_keyring
from indexmill.settings import Settings, load_settings

KEYS = [base64.b64encode(bytes([each]) * 32).decode() for each in range(3)]
REMOTE = {"url": "postgresql://db.example/indexmill"}


def test_it_is_made_once_in_the_data_folder_for_this_user_only(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path / "data")
    made = open_keyring(settings)
    assert open_keyring(settings) == made
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["secret_key"]
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert open_keyring(Settings(data_folder=tmp_path / "other")) != made


def test_those_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    found: list[Keyring] = []
    threads = [
        threading.Thread(target=lambda: found.append(open_keyring(Settings(data_folder=tmp_path)))) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe"])
def test_a_damaged_one_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret_key").write_bytes(content)
    with pytest.raises(ServiceError, match="secret_key"):
        open_keyring(Settings(data_folder=tmp_path))
    assert (tmp_path / "secret_key").read_bytes() == content


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot be read or made"):
        open_keyring(Settings(data_folder=tmp_path / "file"))


def test_with_a_database_of_ones_own_it_must_be_a_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"server\.secret_key.*openssl"):
        open_keyring(load_settings(data_folder=tmp_path, database=REMOTE))
    settings = load_settings(data_folder=tmp_path, database=REMOTE, server={"secret_key": KEYS[0]})
    assert open_keyring(settings).keys == (b"\0" * 32,)
    assert list(tmp_path.iterdir()) == []


def test_earlier_ones_come_after_it(tmp_path: Path) -> None:
    settings = load_settings(data_folder=tmp_path, server={"secret_key": KEYS[0], "old_secret_keys": KEYS[1:]})
    assert open_keyring(settings).keys == tuple(bytes([each]) * 32 for each in range(3))


@pytest.mark.parametrize("key", ["secret words", "", base64.b64encode(b"x" * 31).decode(), KEYS[0] + "!"])
def test_what_is_no_key_is_refused_at_the_start_and_not_shown(key: str) -> None:
    for server in ({"secret_key": key}, {"old_secret_keys": [key]}):
        with pytest.raises(SettingsError, match="32 random bytes") as refused:
            load_settings(server=server)
        assert not key or key not in str(refused.value)


def test_it_is_shown_to_this_service_s_own_processes_alone(tmp_path: Path) -> None:
    settings = load_settings(data_folder=tmp_path, server={"secret_key": KEYS[0], "old_secret_keys": KEYS[1:]})
    for shown in (repr(settings), settings.model_dump_json(), repr(open_keyring(settings))):
        assert not any(key in shown for key in KEYS)
        assert repr(b"\0" * 32) not in shown
    assert Settings(**json.loads(json.dumps(settings.revealed()))) == settings


def test_keys_are_derived_as_the_standard_says() -> None:
    keyring = Keyring((b"a" * 32, b"b" * 32))
    expected = HKDF(SHA256(), 32, b"indexmill keys 1", b"sign urls").derive(b"a" * 32)
    assert keyring.derived("sign urls")[0] == expected
    assert len({*keyring.derived("sign urls"), *keyring.derived("seal secrets")}) == 4
