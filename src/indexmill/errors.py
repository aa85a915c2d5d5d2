"""The exception tree. No HTTP in here: each front door maps these to its own error shapes.

IndexmillError
├── SettingsError            the settings are wrong; the service does not start
├── ServiceError             a process that the service needs did not start or answer
├── NotFound
│   ├── JobNotFound
│   ├── ModelNotFound
│   ├── CollectionNotFound
│   ├── KnowledgeBaseNotFound
│   ├── DataSourceNotFound
│   ├── KeyNotFound
│   └── TenantNotFound
├── Conflict
│   ├── JobExists            same external id, another request
│   ├── BodiesExpired        the items of a finished job are no longer kept
│   ├── ModelExists          same model id, another definition
│   └── IndexingJobRunning   one job at a time works on a knowledge base
├── InvalidRequest           a value that no front door accepts
├── Unauthorized             no credentials, or some that open nothing
├── LimitReached             a tenant's limit; passes after `retry_after` seconds
├── Forbidden                a setting or a role does not allow it
│   └── LinkRefused          a signed URL that is not ours, was changed or has expired
├── SourceRefused            an address, a folder or a scheme that may not be read
├── SourceError              a data source cannot be read at all: code, sentence
├── ModelError               the model itself is wrong (key, dimension, missing): stops its lane
├── SearchTimeout            a search took longer than it may
├── TransientError           may work when tried again
└── ItemError                one item is wrong: stage, code, sentence
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexmill.domain.failure import FailureCode, Stage

__all__ = [
    "BodiesExpired",
    "CollectionNotFound",
    "Conflict",
    "DataSourceNotFound",
    "Forbidden",
    "IndexingJobRunning",
    "IndexmillError",
    "InvalidRequest",
    "ItemError",
    "JobExists",
    "JobNotFound",
    "KeyNotFound",
    "KnowledgeBaseNotFound",
    "LimitReached",
    "LinkRefused",
    "ModelError",
    "ModelExists",
    "ModelNotFound",
    "NotFound",
    "SearchTimeout",
    "ServiceError",
    "SettingsError",
    "SourceError",
    "SourceRefused",
    "TenantNotFound",
    "TransientError",
    "Unauthorized",
]


class IndexmillError(Exception):
    """Something in Indexmill went wrong; the message is fit for an operator and for a client."""


class SettingsError(IndexmillError):
    """The settings are wrong."""


class ServiceError(IndexmillError):
    """A process that the service needs did not start or answer."""


class NotFound(IndexmillError):
    """What was asked for does not exist."""


class JobNotFound(NotFound):
    """No job has this id."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Job with ID `{reference}` not found")
        self.reference = reference


class ModelNotFound(NotFound):
    """No deployed model has this id."""

    def __init__(self, model: str, known: list[str]) -> None:
        names = ", ".join(f"`{name}`" for name in known) or "none"
        super().__init__(f"Embedding model `{model}` is not deployed; deployed models: {names}")
        self.model = model
        self.known = known


class CollectionNotFound(NotFound):
    """No collection has this name."""

    def __init__(self, name: str, known: list[str]) -> None:
        names = ", ".join(f"`{each}`" for each in known) or "none"
        super().__init__(f"Collection `{name}` not found; collections: {names}")
        self.name = name


class KnowledgeBaseNotFound(NotFound):
    """No knowledge base has this id."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Knowledge base `{reference}` not found")
        self.reference = reference


class DataSourceNotFound(NotFound):
    """The knowledge base has no data source with this id."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Data source `{reference}` not found in this knowledge base")
        self.reference = reference


class KeyNotFound(NotFound):
    """No API key has this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"API key `{key_id[:64]}` not found; `indexmill keys list` shows their ids")


class TenantNotFound(NotFound):
    """No tenant has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Tenant `{name[:255]}` not found; `indexmill tenants list` shows them")


class Conflict(IndexmillError):
    """The request contradicts what is stored."""


class JobExists(Conflict):
    """The external id belongs to a job with another request."""

    def __init__(self, external_id: str) -> None:
        super().__init__(
            f"Task with ID `{external_id}` already exists with different items or another model; "
            "send the same request again or choose another ID"
        )


class BodiesExpired(Conflict):
    """The job's items are no longer kept, so it cannot run again."""


class ModelExists(Conflict):
    """The model id is deployed with another definition."""


class IndexingJobRunning(Conflict):
    """One job at a time works on a knowledge base."""

    def __init__(self, knowledge_base: str, job: str) -> None:
        super().__init__(
            f"Knowledge base `{knowledge_base}` already has an indexing job running: `{job}`; "
            "wait for its end or cancel it"
        )
        self.job = job


class InvalidRequest(IndexmillError):
    """A value that cannot be accepted."""


class Unauthorized(IndexmillError):
    """Nobody that this service knows: no credentials, or some that open nothing."""


class LimitReached(IndexmillError):
    """A tenant's limit; there is more in `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)


class Forbidden(IndexmillError):
    """The settings or the caller's role do not allow it; the message names which."""


class LinkRefused(Forbidden):
    """A signed URL that this service has not made so, or that has expired."""


class SourceRefused(IndexmillError):
    """A source may not be read."""

    def __init__(self, message: str, *, setting: str | None = None) -> None:
        super().__init__(message)
        #: What an operator may set to allow it; None where nothing does.
        self.setting = setting


class SourceError(IndexmillError):
    """A data source as a whole cannot be read. `code` names the part that failed, for programs."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class ModelError(IndexmillError):
    """The embedding model itself cannot work: a wrong key, a wrong dimension, missing weights."""


class SearchTimeout(IndexmillError):
    """A search took longer than it may."""


class TransientError(IndexmillError):
    """The cause may pass by itself; the work is tried again later."""


class ItemError(IndexmillError):
    """One item cannot be indexed; its neighbours can."""

    def __init__(self, stage: Stage, code: FailureCode, sentence: str, *, retryable: bool) -> None:
        super().__init__(sentence)
        self.stage = stage
        self.code = code
        self.sentence = sentence
        self.retryable = retryable
