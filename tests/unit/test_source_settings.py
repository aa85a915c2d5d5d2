"""The settings of sources and crawls: errors are told at the start, the secret goes to the service's own processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from indexmill.errors import SettingsError
from indexmill.settings import Settings, load_settings

SECRET = {"access_key_id": "id", "secret_access_key": "very secret"}


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"allowed_folders": ["docs"]}, "absolute"),
        ({"allowed_folders": ["/srv/../etc"]}, "absolute"),
        ({"spool_url": "/srv/spool"}, "spool_url"),
        ({"spool_url": "s3://B/spool"}, "spool_url"),
        ({"s3": {"access_key_id": "id"}}, "both"),
        ({"s3": {"endpoint": "store:9000"}}, "http"),
        ({"s3": {"endpoint": "http://store:9000"}}, "allow_http"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"regions": {"nyc3": "nyc3.example"}}, r"regions\.nyc3"),
        ({"regions": {"nyc3": "http://nyc3.example"}}, "allow_http"),
        ({"regions": {"NYC 3": "https://nyc3.example"}}, "region of a-z"),
        ({"regions": {"nyc3": "https://{region}.example"}}, "braces"),
        ({"regions": {"*": "https://{host}.example"}}, "braces"),
        ({"regions": {"*": "https://{region}"}}, "domain after"),
        ({"regions": {"*": "https://store.{region}:9000/a.b"}}, "domain after"),
        ({"regions": {"nyc3": "https://"}}, r"host\[:port\]"),
        ({"regions": {"nyc3": "https://store:99999"}}, r"host\[:port\]"),
        ({"s3": {"endpoint": "https://store/?a=b"}}, r"host\[:port\]"),
    ],
)
def test_what_is_wrong_is_said_at_the_start(sources: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(sources=sources)


@pytest.mark.parametrize(
    ("crawl", "message"),
    [
        ({"max_pages": 5501}, "max_pages"),
        ({"delay_seconds": -1}, "delay_seconds"),
        ({"delay_seconds": 40}, "max_delay_seconds"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"user_agent": ""}, "user_agent"),
        ({"user_agent": "A\r\nCookie: b"}, "user_agent"),
        ({"user_agent": "A\n"}, "user_agent"),
        ({"user_agent": "(nobody)"}, "user_agent"),
    ],
)
def test_what_is_wrong_with_crawls_is_said_too(crawl: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(crawl=crawl)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"sources": {"timeout_seconds": 37}}, r"sources\.timeout_seconds: expected at most .* 36, got 37"),
        ({"readers": {"timeout_seconds": 60}}, r"readers\.timeout_seconds: expected less than .* 60, got 60"),
        ({"crawl": {"timeout_seconds": 60}}, r"crawl\.timeout_seconds: expected less than .* 60, got 60"),
        ({"worker": {"window_deadline_seconds": 40}}, r"sources\.timeout_seconds: .* 24, got 30"),
    ],
)
def test_a_file_that_takes_longer_than_a_window_is_refused_at_the_start(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(**sections)


def test_longer_reads_go_with_a_longer_window() -> None:
    load_settings(
        worker={"window_deadline_seconds": 600}, sources={"timeout_seconds": 360}, readers={"timeout_seconds": 500}
    )


def test_lists_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEXMILL_SOURCES__ALLOWED_FOLDERS", '["/srv/docs"]')
    monkeypatch.setenv("INDEXMILL_SOURCES__S3__REGION", "eu-central-1")
    settings = load_settings()
    assert settings.sources.allowed_folders == [Path("/srv/docs")]
    assert settings.sources.s3.region == "eu-central-1"


def test_the_secret_is_not_shown() -> None:
    settings = load_settings(sources={"s3": SECRET})
    for shown in (repr(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "very secret" not in shown


def test_this_service_s_own_processes_get_the_secret() -> None:
    settings = load_settings(sources={"s3": SECRET})
    # As a supervisor hands it to its children.
    handed = json.loads(json.dumps(settings.revealed()))
    assert Settings(**handed) == settings
