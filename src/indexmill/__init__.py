"""Indexmill keeps vector indexes up to date: four job APIs, one engine, one ledger of every job."""

from __future__ import annotations

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("indexmill")
