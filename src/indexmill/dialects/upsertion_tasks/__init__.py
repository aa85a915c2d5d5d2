"""Front door 1: the internal task API of Embedding Studio (upsertion tasks and deletion tasks)."""

from __future__ import annotations

from indexmill.dialects.upsertion_tasks.routes import task_routers

__all__ = ["task_routers"]
