"""Environment variables that are meant for a setting, and name none: pydantic would pass them over."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic.fields import FieldInfo

from indexmill.errors import SettingsError

__all__ = ["check_variables"]


def check_variables(prefix: str, sections: Mapping[str, FieldInfo]) -> None:
    """`sections`: the fields of the settings, by name.

    Raises:
        SettingsError: a variable names a section that is not there, or has one underscore in the place of two.
    """
    for variable, value in os.environ.items():
        if not variable.startswith(prefix):
            continue
        name = variable.removeprefix(prefix).lower()
        section, nested, _ = name.partition("__")
        if nested and section not in sections:
            raise SettingsError(
                f"{variable}: expected a section of the settings, there is none called {section!r}; "
                "docs/operations.md lists them"
            )
        # Kubernetes sets such variables for a service that is called, say, indexmill-server.
        if nested or value.startswith("tcp://"):
            continue
        for section, field in sections.items():
            setting = name.removeprefix(f"{section}_")
            if setting != name and setting in getattr(field.annotation, "model_fields", {}):
                raise SettingsError(
                    f"{variable}: expected two underscores between section and name, "
                    f"{prefix}{section.upper()}__{setting.upper()}"
                )
