"""What cannot work is said at the start, in a sentence and with the exit code of wrong settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexmill.cli.exit_codes import ExitCode
from indexmill.cli.main import run
from indexmill.errors import SettingsError
from indexmill.settings import Settings, SourceSettings
from indexmill.sources.spool import open_spool
from indexmill.sources.start_check import check_sources


def test_folders_are_made_and_nothing_is_left_in_the_spool(tmp_path: Path) -> None:
    check_sources(Settings(data_folder=tmp_path / "data"))
    assert (tmp_path / "data" / "inbox").is_dir()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"] == []


@pytest.mark.parametrize("name", ["spool", "fetched", "inbox"])
def test_a_file_where_a_folder_should_be_is_a_wrong_setting(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SettingsError, match="data_folder"):
        check_sources(Settings(data_folder=tmp_path))


def test_a_full_spool_does_not_keep_the_service_from_starting(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path, sources=SourceSettings(spool_max_bytes=5))
    open_spool(settings).write([b"12345"])
    check_sources(settings)


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_the_commands_say_it_and_exit_as_for_wrong_settings(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spool").touch()
    monkeypatch.setenv("INDEXMILL_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv("INDEXMILL_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr("indexmill.serve.set_up_logging", lambda _: None)
    monkeypatch.setattr("indexmill.worker.worker.set_up_logging", lambda _: None)
    assert run([command]) == ExitCode.USAGE
    assert "spool" in capsys.readouterr().err
