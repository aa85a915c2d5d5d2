"""Settings that depend on one another are checked at the start, and no error shows a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexmill.errors import SettingsError
from indexmill.settings import Settings, load_settings

SECRET = "not-to-be-shown"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("mode", "url", "form"),
    [
        ("redis", None, "redis://HOST:PORT/DB"),
        ("redis", f"amqp://u:{SECRET}@h//", "redis://HOST:PORT/DB"),
        ("rabbitmq", None, "amqp://USER:PASSWORD@HOST:PORT/VHOST"),
        ("rabbitmq", f"redis://:{SECRET}@h/0", "amqp://USER:PASSWORD@HOST:PORT/VHOST"),
    ],
)
def test_a_broker_mode_needs_a_url_of_its_kind(mode: str, url: str | None, form: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(celery={"broker_mode": mode, "broker_url": url})
    assert f"celery.broker_url: expected {form}" in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("url", ["amqp://u:p@h:5672/v", "amqps://h//"])
def test_rabbitmq_is_a_broker(url: str) -> None:
    assert load_settings(celery={"broker_mode": "rabbitmq", "broker_url": url}).celery.broker_url == url


def test_callbacks_go_to_their_own_broker_else_to_the_job_broker_that_is_one() -> None:
    own, jobs = "amqp://own//", "amqp://jobs//"
    broker = {"broker_mode": "rabbitmq", "broker_url": jobs}
    assert load_settings(celery=broker).callback_url == jobs
    assert load_settings(celery=broker, callbacks={"amqp_url": own}).callback_url == own
    assert load_settings().callback_url is None
    assert load_settings(celery={"broker_mode": "redis", "broker_url": "redis://h/0"}).callback_url is None


def test_exchanges_without_a_broker_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"callbacks\.amqp_url: expected amqp://"):
        load_settings(callbacks={"allowed_exchanges": ["main"]})
    with pytest.raises(SettingsError, match=r"callbacks\.amqp_url") as raised:
        load_settings(callbacks={"amqp_url": f"redis://:{SECRET}@h/0"})
    assert SECRET not in str(raised.value)


def test_exchanges_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEXMILL_CALLBACKS__ALLOWED_EXCHANGES", '["main", "other"]')
    monkeypatch.setenv("INDEXMILL_CALLBACKS__AMQP_URL", "amqp://h//")
    assert load_settings().callbacks.allowed_exchanges == ("main", "other")


def test_settings_survive_the_way_to_a_child_process() -> None:
    settings = load_settings(
        flower={"basic_auth": "watcher:a long password"},
        callbacks={"amqp_url": "amqp://h//", "allowed_exchanges": ["main"]},
        auth={"trusted_proxies": ["10.0.0.0/8", "fd00::1"]},
    )
    assert Settings(**settings.model_dump(mode="json")) == settings


def test_keys_of_issuers_come_by_https_unless_their_host_is_ones_own() -> None:
    issuer = {"issuer": "https://a/", "audience": "b", "tenant": "c"}
    load_settings(auth={"issuers": [{**issuer, "jwks_url": "https://login.example.com/keys"}]})
    plain = {"issuers": [{**issuer, "jwks_url": "http://keycloak:8080/keys"}]}
    with pytest.raises(SettingsError, match=r"jwks_url: expected https://"):
        load_settings(auth=plain)
    for allowed in ("keycloak", "keycloak:8080"):
        load_settings(auth=plain, sources={"allowed_hosts": [allowed]})


@pytest.mark.parametrize("renewed", [10, 11])
def test_a_lease_that_is_renewed_too_late_is_refused_at_the_start(renewed: float) -> None:
    with pytest.raises(SettingsError, match=r"worker\.renew_seconds: expected less than .* 10, got 1"):
        load_settings(worker={"renew_seconds": renewed})
    assert load_settings(worker={"renew_seconds": renewed, "lease_seconds": 12}).worker.renew_seconds == renewed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"database:\n  url: [{SECRET}\n", "expected YAML, found none in line 3, column 1"),
        ("- server\n", "expected names of settings"),
        ("1: 2\n", "expected names of settings"),
        (b"\xff\xfe", "expected YAML in UTF-8"),
        ("server:\n", "server: expected a section"),
        (f"database:\n  pasword: {SECRET}\n", "database.pasword: expected the name of a setting"),
        (f"database: postgresql://u:{SECRET}@h/d\n", "database: expected a section"),
        (f"database:\n  url: mysql://u:{SECRET}@h/d\n", "database.url: expected postgresql://USER:PASSWORD@HOST"),
    ],
)
def test_a_file_that_is_not_settings_is_said_in_one_line_without_its_values(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    (tmp_path / "settings.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert said in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_empty_file_is_one_without_settings(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("# nothing yet\n")
    assert load_settings() == Settings()


@pytest.mark.parametrize("url", ["postgresql://u:p@h/d", "postgres://h/d", "host=/run/postgresql dbname=d"])
def test_a_database_is_named_as_postgresql_does(url: str) -> None:
    assert load_settings(database={"url": url}).database.url == url


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("INDEXMILL_SERVER_PORT", "expected two underscores between section and name, INDEXMILL_SERVER__PORT"),
        ("INDEXMILL_LIST_JOBS_DEFAULT_STATES", "INDEXMILL_LIST_JOBS__DEFAULT_STATES"),
        ("INDEXMILL_SERVR__PORT", "none called 'servr'"),
        ("INDEXMILL_SERVER__PROT", "server.prot: expected the name of a setting"),
        ("INDEXMILL_SOURCES__ALLOWED_FOLDERS", "expected JSON in the environment"),
    ],
)
def test_a_mistyped_variable_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, variable: str, said: str) -> None:
    monkeypatch.setenv(variable, "8081]")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert said in str(raised.value)


def test_variables_that_are_not_meant_for_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {
        "INDEXMILL_URL": "http://127.0.0.1:8081",
        "INDEXMILL_API_KEY": "im_...",
        # As Kubernetes sets them for services that are called so.
        "INDEXMILL_PORT": "tcp://10.0.0.1:8080",
        "INDEXMILL_SERVER_PORT": "tcp://10.0.0.1:8080",
        "INDEXMILL_SERVER_SERVICE_HOST": "10.0.0.1",
    }.items():
        monkeypatch.setenv(variable, value)
    assert load_settings() == Settings()
