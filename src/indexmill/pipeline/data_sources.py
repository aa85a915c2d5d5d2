"""Data sources as workers see them: opened with their secrets, listed, and read file by file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from indexmill.domain.knowledge_base import DataSourceKind
from indexmill.errors import DataSourceNotFound, SourceError
from indexmill.ledger.knowledge_bases import KnowledgeBases, OpenDataSource
from indexmill.settings import Settings
from indexmill.sources.listing import FoundFile, Listing, ListingPage
from indexmill.sources.source import FetchedSource, unavailable

__all__ = ["DataSources"]
