"""Why an item failed: the stage, a code for programs, a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Failure", "FailureCode", "Stage"]


class Stage(StrEnum):
    #: Reading the request's item or the source it names.
    LOAD = "load"
    EXTRACT = "extract"
    SPLIT = "split"
    EMBED = "embed"
    WRITE = "write"
    #: Outside the pipeline: a lost worker, a limit of the system.
    ENGINE = "engine"


class FailureCode(StrEnum):
    NO_CONTENT = "no_content"
    SOURCE_UNAVAILABLE = "source_unavailable"
    SOURCE_FORBIDDEN = "source_forbidden"
    TOO_LARGE = "too_large"
    TOO_MANY_CHUNKS = "too_many_chunks"
    INVALID_TEXT = "invalid_text"
    #: The content is of no type that can be read.
    UNSUPPORTED_TYPE = "unsupported_type"
    #: The name or the declared media type says another type than the content.
    MISMATCHED_TYPE = "mismatched_type"
    ENCRYPTED_FILE = "encrypted_file"
    MALFORMED_FILE = "malformed_file"
    EXTRACTION_TIMEOUT = "extraction_timeout"
    #: Memory, decompression or the number of parts.
    EXTRACTION_LIMIT = "extraction_limit"
    #: The extraction process died twice on the file.
    EXTRACTION_CRASHED = "extraction_crashed"
    INVALID_VECTOR = "invalid_vector"
    MODEL_REJECTED = "model_rejected"
    #: A document's metadata hold a value that its filter attribute does not take.
    MISFIT = "misfit"
    STORE_REJECTED = "store_rejected"
    TRIES_EXHAUSTED = "tries_exhausted"
    WORKER_LOST = "worker_lost"
    DEADLINE = "deadline"
    #: An index that misses too much of what exact search finds.
    RECALL_TOO_LOW = "recall_too_low"


@dataclass(frozen=True)
class Failure:
    """Why one item failed. `position` counts the job's items from 0; `sentence` has at most 1,500 characters."""

    position: int
    stage: Stage
    code: FailureCode
    sentence: str
    retryable: bool
    object_id: str
    payload: dict[str, Any] | None = None
    item_info: dict[str, Any] | None = None
