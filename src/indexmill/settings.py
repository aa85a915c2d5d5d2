"""The one Settings class: `settings.yaml` overridden by environment, every check made at start."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from indexmill.errors import SettingsError

__all__ = [
    "CallbackSettings",
    "CelerySettings",
    "DatabaseSettings",
    "FlowerSettings",
    "ModelSettings",
    "RetentionSettings",
    "ServerSettings",
    "Settings",
    "WorkerSettings",
    "load_settings",
]

MIB = 1024 * 1024


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_data_folder() -> Path:
    """`/var/lib/indexmill` for root (PostgreSQL's own system user must reach it), else the XDG data folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/indexmill")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "indexmill"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Section):
    """Where the API listens and how much it accepts."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    body_limit_bytes: int = Field(default=64 * MIB, ge=1024)

    @model_validator(mode="after")
    def _loopback_only(self) -> ServerSettings:
        if not is_loopback(self.host):
            raise ValueError(
                f"server.host: expected a loopback address (127.0.0.1, ::1 or localhost), got {self.host!r}. "
                "Indexmill has no API keys yet, so it refuses to listen where others could reach it; "
                "put an authenticating proxy on this host in front of it"
            )
        return self


class DatabaseSettings(_Section):
    """The ledger's database; without `url` the service runs an embedded PostgreSQL in the data folder."""

    url: str | None = None
    #: The same database without a pooler in between: prepared statements are used only here.
    direct_url: str | None = None
    pool_size: int = Field(default=16, ge=2, le=200)
    connect_timeout_seconds: float = Field(default=10, gt=0)
    start_timeout_seconds: float = Field(default=600, gt=0)


_MIN_PASSWORD = 12
#: Broker mode -> the form of its URL, and what it may begin with.
_BROKER_URLS = {
    "redis": ("redis://HOST:PORT/DB", ("redis://", "rediss://", "redis+socket://", "sentinel://")),
    "rabbitmq": ("amqp://USER:PASSWORD@HOST:PORT/VHOST", ("amqp://", "amqps://", "pyamqp://")),
}


class CelerySettings(_Section):
    """The broker that wakes workers."""

    broker_mode: Literal["local", "redis", "rabbitmq"] = "local"
    broker_url: str | None = None
    queue: str = Field(default="indexmill", pattern=r"^[A-Za-z0-9_-]{1,64}$")

    @model_validator(mode="after")
    def _url_for_remote_brokers(self) -> CelerySettings:
        form, schemes = _BROKER_URLS.get(self.broker_mode, ("", ()))
        if schemes and not (self.broker_url or "").startswith(schemes):
            # The URL may hold a password: only its scheme is shown.
            came = f"{self.broker_url.partition(':')[0]!r}..." if self.broker_url else "nothing"
            raise ValueError(
                f"celery.broker_url: expected {form} because celery.broker_mode is {self.broker_mode!r}, got {came}"
            )
        return self


class CallbackSettings(_Section):
    """Messages about jobs, sent to exchanges that callers name."""

    #: RabbitMQ; by default the job broker, where that is one.
    amqp_url: str | None = Field(default=None, repr=False)
    allowed_exchanges: tuple[str, ...] = ()
    #: How long a message is offered to a broker that is up but refuses it.
    give_up_hours: float = Field(default=72, gt=0, le=24 * 90)

    @model_validator(mode="after")
    def _amqp(self) -> CallbackSettings:
        if self.amqp_url is not None and not self.amqp_url.startswith(("amqp://", "amqps://")):
            raise ValueError(
                f"callbacks.amqp_url: expected amqp://USER:PASSWORD@HOST:PORT/VHOST, "
                f"got {self.amqp_url.partition(':')[0]!r}..."
            )
        return self


class FlowerSettings(_Section):
    """Where `indexmill flower` shows the workers."""

    host: str = "127.0.0.1"
    port: int = Field(default=5555, ge=0, le=65535)
    #: USER:PASSWORD, asked for by the browser.
    basic_auth: str | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _password_where_others_can_reach_it(self) -> FlowerSettings:
        if self.basic_auth is None:
            if not is_loopback(self.host):
                raise ValueError(
                    f"flower.basic_auth: expected USER:PASSWORD because flower.host is {self.host!r}, got nothing; "
                    "without a password Flower listens on loopback only"
                )
        else:
            user, _, password = self.basic_auth.partition(":")
            if not user or len(password) < _MIN_PASSWORD:
                raise ValueError(
                    f"flower.basic_auth: expected USER:PASSWORD with a password of {_MIN_PASSWORD} characters or more"
                )
        return self


class WorkerSettings(_Section):
    """Windows, leases and watchdogs; all durations in seconds."""

    processes: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    lease_seconds: float = Field(default=10, ge=1)
    renew_seconds: float = Field(default=2, gt=0)
    sweep_seconds: float = Field(default=1, gt=0)
    window_seconds: float = Field(default=0.1, gt=0, le=10)
    window_deadline_seconds: float = Field(default=60, ge=1)
    drain_seconds: float = Field(default=20, gt=0)
    max_tries: int = Field(default=8, ge=1)
    lane_probe_seconds: float = Field(default=30, gt=0)
    lane_give_up_seconds: float = Field(default=600, gt=0)
    max_text_bytes: int = Field(default=50_000_000, ge=1)


class ModelSettings(_Section):
    """What may be deployed."""

    #: The fault options of the provider `deterministic`: they crash workers and write files. For tests.
    allow_faults: bool = False


class RetentionSettings(_Section):
    """How long finished work is kept."""

    body_days: float = Field(default=7, gt=0)
    job_days: float = Field(default=180, gt=0)
    staging_hours: float = Field(default=1, gt=0)
    tombstone_days: float = Field(default=1, ge=1)


class Settings(BaseSettings):
    """Everything an operator can set. Environment: `INDEXMILL_SERVER__PORT=8081`; file: `settings.yaml`."""

    model_config = SettingsConfigDict(
        env_prefix="INDEXMILL_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data_folder: Path = Field(default_factory=default_data_folder)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    celery: CelerySettings = CelerySettings()
    callbacks: CallbackSettings = CallbackSettings()
    flower: FlowerSettings = FlowerSettings()
    worker: WorkerSettings = WorkerSettings()
    models: ModelSettings = ModelSettings()
    retention: RetentionSettings = RetentionSettings()

    @property
    def callback_url(self) -> str | None:
        """Where callbacks are sent; None where nothing is configured."""
        if self.callbacks.amqp_url is not None:
            return self.callbacks.amqp_url
        return self.celery.broker_url if self.celery.broker_mode == "rabbitmq" else None

    @model_validator(mode="after")
    def _somewhere_to_call_back(self) -> Settings:
        if self.callbacks.allowed_exchanges and self.callback_url is None:
            raise ValueError(
                "callbacks.amqp_url: expected amqp://USER:PASSWORD@HOST:PORT/VHOST because callbacks.allowed_exchanges "
                "names exchanges and celery.broker_mode is not 'rabbitmq', got nothing"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=settings_file()))


def settings_file() -> Path:
    """`INDEXMILL_SETTINGS_FILE`, else `settings.yaml` in the working directory; it may be absent."""
    return Path(os.environ.get("INDEXMILL_SETTINGS_FILE", "settings.yaml"))


def load_settings(**overrides: object) -> Settings:
    """The checked settings.

    Raises:
        SettingsError: one line a problem, each with what was expected and what came.
    """
    named = os.environ.get("INDEXMILL_SETTINGS_FILE")
    if named and not Path(named).is_file():
        raise SettingsError(f"INDEXMILL_SETTINGS_FILE: expected a readable file, got {named!r}")
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # keyword names are the field names
    except ValidationError as error:
        raise SettingsError("; ".join(_problem(dict(item)) for item in error.errors())) from error


def _problem(item: dict[str, object]) -> str:
    location = item.get("loc")
    name = ".".join(str(part) for part in location) if isinstance(location, tuple) else ""
    message = str(item.get("msg", "")).removeprefix("Value error, ")
    return message if item.get("type") == "value_error" else f"{name}: {message}, got {item.get('input')!r}"
