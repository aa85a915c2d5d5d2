"""The one way in: which kind a URI is, what is refused at admission, and how the worker is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import InvalidRequest, ItemError, SettingsError, SourceRefused
from indexmill.settings import S3Settings, Settings, SourceSettings
from indexmill.sources.http_client import parse_url
from indexmill.sources.uri import Sources, file_name_of, open_sources

FORBIDDEN = [
    "file:///etc/passwd",
    "/etc/passwd",
    "../x",
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost:5432",
    "http://LOCALHOST./",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://017700000001/",
    "http://127.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://0.0.0.0/",
    "http://user:pass@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "https://10.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
]
INVALID = [
    "",
    "ftp://example.com/a",
    "gopher://127.0.0.1/",
    "spool:" + "0" * 64,
    "javascript:alert(1)",
    "http://",
    "http:///path",
    "http:example.com",
    "http://example.com:99999/",
    "http://example.com:0/",
    "http://example.com/a b",
    "http://example.com\\@127.0.0.1/",
    "http://exa\nmple.com/",
    "http://[::1/",
    "http://127%2e0%2e0%2e1/",
    "http://example.com/" + "x" * 9000,
    "s3://b/key",
    "s3://Bucket/key",
    "s3://bucket",
    "s3://bucket/",
    "s3://bucket/a//b",
    "s3://bucket/../other",
    "s3://bucket/a\nb",
    "s3://bu%2fcket/key",
    "data:text/plain;base64,***",
]
ADMITTED = [
    "https://example.com/a.pdf",
    "HTTP://user:pass@example.com:8080/a?b=c#d",
    "http://1.1.1.1",
    "http://[2606:4700::1111]/",
    "s3://bucket/a/b ü%20.txt",
    "data:,x",
    "a.txt",
]


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    made = Sources(SourceSettings(), tmp_path)
    made.prepare()
    return made


@pytest.mark.parametrize("uri", FORBIDDEN)
def test_what_is_forbidden_is_refused_at_admission_and_again_by_the_worker(sources: Sources, uri: str) -> None:
    with pytest.raises(SourceRefused):
        sources.check_uri(uri)
    with pytest.raises(ItemError) as failure:
        sources.fetch(uri)
    assert (failure.value.stage, failure.value.code) == (Stage.LOAD, FailureCode.SOURCE_FORBIDDEN)
    assert not failure.value.retryable


@pytest.mark.parametrize("uri", INVALID)
def test_what_is_no_source_is_an_invalid_request_and_never_stops_a_worker(sources: Sources, uri: str) -> None:
    with pytest.raises(InvalidRequest, match="xpected"):
        sources.check_uri(uri)
    with pytest.raises(ItemError) as failure:
        sources.fetch(uri)
    assert (failure.value.code, failure.value.retryable) == (FailureCode.SOURCE_UNAVAILABLE, False)


@pytest.mark.parametrize("uri", ADMITTED)
def test_everything_else_is_admitted_without_asking_anybody(
    sources: Sources, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", None)
    monkeypatch.setattr("socket.socket", None)
    sources.check_uri(uri)


def test_nothing_is_written_for_what_is_refused(sources: Sources, tmp_path: Path) -> None:
    for uri in FORBIDDEN + INVALID:
        with pytest.raises(ItemError):
            sources.fetch(uri)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_listed_buckets_are_read_where_there_is_a_list_and_the_spool_never(tmp_path: Path) -> None:
    settings = SourceSettings(spool_url="s3://shared/spool/", s3=S3Settings(buckets=["open", "shared"]))
    sources = Sources(settings, tmp_path)
    sources.check_uri("s3://open/a")
    sources.check_uri("s3://shared/a")
    with pytest.raises(SourceRefused, match=r"sources\.s3\.buckets"):
        sources.check_uri("s3://closed/a")
    with pytest.raises(SourceRefused, match="spool"):
        sources.check_uri("s3://shared/spool/" + "0" * 64)


def test_without_the_extra_a_bucket_is_refused_with_its_name(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SourceRefused, match="extra `sources`"):
        sources.check_uri("s3://bucket/a")


def test_wrong_hosts_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"sources\.allowed_hosts"):
        open_sources(Settings(data_folder=tmp_path, sources=SourceSettings(allowed_hosts=["no host"])))


def test_preparing_makes_the_inbox_and_the_folder_of_fetched_files(tmp_path: Path) -> None:
    open_sources(Settings(data_folder=tmp_path)).prepare()
    assert {path.name for path in tmp_path.iterdir()} == {"inbox", "fetched"}


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://example.com/a/b.pdf?x=/y.txt#/z", "b.pdf"),
        ("https://example.com/a%2Fb%20c.pdf", "b c.pdf"),
        ("https://example.com/", None),
        ("https://example.com", None),
        ("s3://bucket/a/b.pdf", "b.pdf"),
        ("file:///a/b%20c.pdf", "b c.pdf"),
        ("/a/b.pdf", "b.pdf"),
        ("b%20.pdf", "b%20.pdf"),
        ("data:,x/y.pdf", None),
    ],
)
def test_a_uri_ends_with_a_file_name(uri: str, name: str | None) -> None:
    assert file_name_of(uri) == name


def test_a_url_is_asked_for_as_it_was_checked() -> None:
    url = parse_url("HTTPS://u:p@Exämple.com.:8443/ä/%2F?q=ü#fragment")
    assert url.text == "https://xn--exmple-cua.com:8443/%C3%A4/%2F?q=%C3%BC"
    assert url.userinfo == "u:p"
