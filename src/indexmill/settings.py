"""The one Settings class: `settings.yaml` overridden by environment, every check made at start."""

from __future__ import annotations

import ipaddress
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    FieldSerializationInfo,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableVariable

from indexmill.access_settings import AuthSettings, LimitSettings
from indexmill.crawl_settings import CrawlSettings
from indexmill.errors import SettingsError
from indexmill.server_settings import SECRET_KEY_BYTES, ServerSettings, revealed_secret
from indexmill.settings_file import check_settings_file, settings_file
from indexmill.settings_section import MIB, SettingsSection
from indexmill.settings_variables import check_variables

__all__ = [
    "REGION",
    "SECRET_KEY_BYTES",
    "ArtifactSettings",
    "CallbackSettings",
    "CelerySettings",
    "DatabaseSettings",
    "FlowerSettings",
    "ListJobsSettings",
    "ModelSettings",
    "ReaderSettings",
    "RetentionSettings",
    "S3Settings",
    "SearchSettings",
    "ServerSettings",
    "Settings",
    "SourceSettings",
    "WorkerSettings",
    "is_loopback",
    "load_settings",
]

#: A region of an S3 store.
REGION = r"[a-z0-9][a-z0-9-]{0,39}"
#: Of a window's deadline: at least so much of it is left when a fetch begins, of which a step may wait to its end.
FETCH_SHARE = 0.6


def is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False


def default_data_folder() -> Path:
    """`/var/lib/indexmill` for root (PostgreSQL's own system user must reach it), else the XDG data folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/indexmill")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "indexmill"


class DatabaseSettings(SettingsSection):
    """The ledger's database; without `url` the service runs an embedded PostgreSQL in the data folder."""

    url: str | None = None
    #: The same database without a pooler in between: prepared statements are used only here.
    direct_url: str | None = None
    pool_size: int = Field(default=16, ge=2, le=200)
    connect_timeout_seconds: float = Field(default=10, gt=0)
    start_timeout_seconds: float = Field(default=600, gt=0)

    @field_validator("url", "direct_url")
    @classmethod
    def _postgresql(cls, url: str | None, info: ValidationInfo) -> str | None:
        # PostgreSQL's other form, `host=... dbname=...`, is taken too. The URL may hold a password: it is not shown.
        if (
            url is not None
            and not url.startswith(("postgresql://", "postgres://"))
            and ("://" in url or "=" not in url)
        ):
            raise ValueError(
                f"database.{info.field_name}: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
                f"got {url.partition(':')[0]!r}..."
            )
        return url


_MIN_PASSWORD = 12
#: Broker mode -> the form of its URL, and what it may begin with.
_BROKER_URLS = {
    "redis": ("redis://HOST:PORT/DB", ("redis://", "rediss://", "redis+socket://", "sentinel://")),
    "rabbitmq": ("amqp://USER:PASSWORD@HOST:PORT/VHOST", ("amqp://", "amqps://", "pyamqp://")),
}


class CelerySettings(SettingsSection):
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


class CallbackSettings(SettingsSection):
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


class FlowerSettings(SettingsSection):
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


class WorkerSettings(SettingsSection):
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
    max_text_bytes: int = Field(default=50 * MIB, ge=1)

    @model_validator(mode="after")
    def _renewed_before_it_expires(self) -> WorkerSettings:
        if self.renew_seconds >= self.lease_seconds:
            raise ValueError(
                f"worker.renew_seconds: expected less than worker.lease_seconds, which is {self.lease_seconds:g}, "
                f"got {self.renew_seconds:g}; whatever takes longer than a lease would be taken from its worker"
            )
        return self


class ReaderSettings(SettingsSection):
    """What reading one document file may take."""

    #: Below `worker.window_deadline_seconds`, after which the whole worker is replaced.
    timeout_seconds: float = Field(default=40, gt=0)
    memory_bytes: int = Field(default=2048 * MIB, ge=256 * MIB)
    max_expansion_bytes: int = Field(default=512 * MIB, ge=1024)


class ModelSettings(SettingsSection):
    """What may be deployed."""

    #: The fault options of the provider `deterministic`: they crash workers and write files. For tests.
    allow_faults: bool = False


def _check_endpoint(name: str, endpoint: str, *, allow_http: bool) -> None:
    if not endpoint.startswith(("https://", "http://")) or not _has_host(endpoint):
        raise ValueError(f"{name}: expected http(s)://host[:port], got {endpoint!r}")
    if endpoint.startswith("http://") and not allow_http:
        raise ValueError(
            f"{name}: expected https://, got {endpoint!r}; "
            "set sources.s3.allow_http to send data and credentials unencrypted"
        )


def _has_host(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
        return bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        return False


class S3Settings(SettingsSection):
    """The object store behind `s3://`; what is not set comes from the environment, as with other S3 clients."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    #: Send no credentials, not even those of the environment: for public buckets.
    anonymous: bool = False
    #: Whether the endpoint may be http://.
    allow_http: bool = False
    #: The only buckets that `s3://` sources may name; empty: every bucket that the credentials can read.
    buckets: list[str] = []

    @model_validator(mode="after")
    def _complete(self) -> S3Settings:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("sources.s3: expected both access_key_id and secret_access_key, or none of them, got one")
        if self.endpoint is not None:
            _check_endpoint("sources.s3.endpoint", self.endpoint, allow_http=self.allow_http)
        return self

    @field_serializer("secret_access_key", when_used="json")
    def _reveal(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return revealed_secret(value, info)


class SourceSettings(SettingsSection):
    """What may be read by URI or path, how much of it, and where uploads lie."""

    allowed_folders: list[Path] = []
    allow_private_addresses: bool = False
    #: Host names, host:port, addresses or networks that are not public and may be read all the same.
    allowed_hosts: list[str] = []
    max_bytes: int = Field(default=256 * MIB, ge=1)
    timeout_seconds: float = Field(default=30, gt=0)
    max_redirects: int = Field(default=5, ge=0, le=50)
    #: Files of data sources that a worker process fetches at once, while it reads the one before them.
    parallel_fetches: int = Field(default=8, ge=1, le=64)
    #: `s3://bucket/prefix`, where several hosts work on the same jobs; else the data folder.
    spool_url: str | None = Field(default=None, pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")
    spool_max_bytes: int = Field(default=10 * 1024 * MIB, ge=1)
    s3: S3Settings = S3Settings()
    #: Region of a data source -> endpoint; `*`: of every other region, in whose place `{region}` stands.
    regions: dict[str, str] = {}

    @model_validator(mode="after")
    def _endpoints(self) -> SourceSettings:
        for region, endpoint in self.regions.items():
            name = f"sources.regions.{region}"
            _check_endpoint(name, endpoint, allow_http=self.s3.allow_http)
            if region != "*" and not re.fullmatch(REGION, region):
                raise ValueError(f"{name}: expected a region of a-z, 0-9 and `-`, or `*`, got {region!r}")
            if "{" in endpoint.replace("{region}", "") or ("{" in endpoint and region != "*"):
                raise ValueError(f"{name}: expected no braces but {{region}} below `*`, got {endpoint!r}")
            host = urlsplit(endpoint).netloc
            if "{region}" in host and "." not in host.partition("{region}")[2]:
                # Else whoever names a region names a host of the operator's own network.
                raise ValueError(f"{name}: expected a domain after {{region}}, got {endpoint!r}")
        return self

    @field_validator("allowed_folders")
    @classmethod
    def _absolute(cls, folders: list[Path]) -> list[Path]:
        for folder in folders:
            if not folder.is_absolute() or ".." in folder.parts:
                raise ValueError(f"sources.allowed_folders: expected absolute paths without `..`, got {str(folder)!r}")
        return folders


class ArtifactSettings(SettingsSection):
    """Front door 2: which model and splitting its collections are made with."""

    model: str = "wordllama-256"
    #: Of a collection that is made by the first request that names it; later changes do not reach those that are there.
    chunk_tokens: int = Field(default=256, ge=1, le=100_000)
    chunk_overlap: int = Field(default=32, ge=0)
    #: How long a synchronous request waits for its task.
    sync_timeout_seconds: float = Field(default=600, gt=0)
    #: What an unknown task id is answered with; `pending` imitates the original.
    unknown_task: Literal["not_found", "pending"] = "not_found"

    @model_validator(mode="after")
    def _overlap_below_size(self) -> ArtifactSettings:
        if self.chunk_overlap >= self.chunk_tokens:
            raise ValueError(
                f"artifacts.chunk_overlap: expected less than artifacts.chunk_tokens ({self.chunk_tokens}), "
                f"got {self.chunk_overlap}"
            )
        return self


class SearchSettings(SettingsSection):
    """When a collection gets an HNSW index, and what it must be worth."""

    #: Chunks up to which search is exact and no index is made.
    exact_chunks: int = Field(default=50_000, ge=1)
    #: What an index must find of the ten nearest chunks, on average; a worse one is not used.
    min_recall: float = Field(default=0.98, gt=0, le=1)
    #: Stored vectors that are searched for when it is measured.
    recall_sample: int = Field(default=200, ge=1, le=10_000)
    #: What building an index may take of the database's memory; beyond it, it is slower.
    index_memory_bytes: int = Field(default=256 * MIB, ge=8 * MIB)


class ListJobsSettings(SettingsSection):
    """Front door 4: the jobs that are listed where no state is asked for; `active` are those that have not ended."""

    default_states: Literal["all", "active"] = "all"


class RetentionSettings(SettingsSection):
    """How long finished work is kept."""

    body_days: float = Field(default=7, gt=0)
    job_days: float = Field(default=180, gt=0)
    staging_hours: float = Field(default=1, gt=0)
    tombstone_days: float = Field(default=1, ge=1)


_PREFIX: Final = "INDEXMILL_"


class Settings(BaseSettings):
    """Everything an operator can set. Environment: `INDEXMILL_SERVER__PORT=8081`; file: `settings.yaml`."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data_folder: Path = Field(default_factory=default_data_folder)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    limits: LimitSettings = LimitSettings()
    database: DatabaseSettings = DatabaseSettings()
    celery: CelerySettings = CelerySettings()
    callbacks: CallbackSettings = CallbackSettings()
    flower: FlowerSettings = FlowerSettings()
    worker: WorkerSettings = WorkerSettings()
    models: ModelSettings = ModelSettings()
    sources: SourceSettings = SourceSettings()
    crawl: CrawlSettings = CrawlSettings()
    readers: ReaderSettings = ReaderSettings()
    artifacts: ArtifactSettings = ArtifactSettings()
    search: SearchSettings = SearchSettings()
    list_jobs: ListJobsSettings = ListJobsSettings()
    retention: RetentionSettings = RetentionSettings()

    @property
    def callback_url(self) -> str | None:
        """Where callbacks are sent; None where nothing is configured."""
        if self.callbacks.amqp_url is not None:
            return self.callbacks.amqp_url
        return self.celery.broker_url if self.celery.broker_mode == "rabbitmq" else None

    @model_validator(mode="after")
    def _files_are_read_within_a_window(self) -> Settings:
        deadline = self.worker.window_deadline_seconds
        if self.sources.timeout_seconds > deadline * FETCH_SHARE:
            raise ValueError(
                f"sources.timeout_seconds: expected at most {FETCH_SHARE:g} times worker.window_deadline_seconds, "
                f"which is {deadline * FETCH_SHARE:g}, got {self.sources.timeout_seconds:g}; "
                "set it lower, or the deadline higher"
            )
        for name, seconds in (("readers", self.readers.timeout_seconds), ("crawl", self.crawl.timeout_seconds)):
            if seconds >= deadline:
                raise ValueError(
                    f"{name}.timeout_seconds: expected less than worker.window_deadline_seconds, "
                    f"which is {deadline:g}, got {seconds:g}; set it lower, or the deadline higher"
                )
        return self

    @model_validator(mode="after")
    def _keys_of_issuers_are_nobody_elses(self) -> Settings:
        for issuer in self.auth.issuers:
            url = urlsplit(issuer.jwks_url)
            allowed = {url.hostname, url.netloc.lower()}.intersection(self.sources.allowed_hosts)
            if url.scheme == "http" and not allowed:
                raise ValueError(
                    f"auth.issuers.jwks_url: expected https://, got {issuer.jwks_url!r}; whoever is on the way could "
                    "answer with keys of their own. A host of your own network may be asked by http:// where "
                    "`sources.allowed_hosts` names it"
                )
        return self

    @model_validator(mode="after")
    def _somewhere_to_call_back(self) -> Settings:
        if self.callbacks.allowed_exchanges and self.callback_url is None:
            raise ValueError(
                "callbacks.amqp_url: expected amqp://USER:PASSWORD@HOST:PORT/VHOST because callbacks.allowed_exchanges "
                "names exchanges and celery.broker_mode is not 'rabbitmq', got nothing"
            )
        return self

    def revealed(self) -> dict[str, object]:
        """As JSON values, secrets in clear: for this service's own processes alone."""
        return self.model_dump(mode="json", context={"reveal": True})

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


def load_settings(**overrides: object) -> Settings:
    """The checked settings.

    Raises:
        SettingsError: one line a problem, each with what was expected and what came.
    """
    check_settings_file()
    check_variables(_PREFIX, Settings.model_fields)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # keyword names are the field names
    except ValidationError as error:
        raise SettingsError("; ".join(_problem(dict(item)) for item in error.errors())) from error
    except UnreadableVariable as error:
        section = str(error).split('"')[1].upper()
        raise SettingsError(
            f"INDEXMILL_{section}: expected JSON in the environment for lists and whole sections, as in "
            """INDEXMILL_SOURCES__ALLOWED_FOLDERS='["/srv/docs"]', got something else"""
        ) from error


def _problem(item: dict[str, object]) -> str:
    location = item.get("loc")
    name = ".".join(str(part) for part in location) if isinstance(location, tuple) else ""
    message = str(item.get("msg", "")).removeprefix("Value error, ")
    # Of these two the value is not shown: it may be a password below a mistyped name.
    if item.get("type") == "extra_forbidden":
        return f"{name}: expected the name of a setting, there is none of this name; docs/operations.md lists them"
    if item.get("type") == "model_type":
        return f"{name}: expected a section, with its settings below it, got something else"
    return message if item.get("type") == "value_error" else f"{name}: {message}, got {item.get('input')!r}"
