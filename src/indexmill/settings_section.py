"""What every section of the settings is: no field that nobody knows, and none that changes later."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["MIB", "SettingsSection"]

#: What sizes are told in.
MIB = 1024 * 1024


class SettingsSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
