"""The file of the settings: where it is, and what is said of one that is no mapping of sections."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from indexmill.errors import SettingsError

__all__ = ["check_settings_file", "settings_file"]


def settings_file() -> Path:
    """`INDEXMILL_SETTINGS_FILE`, else `settings.yaml` in the working directory; it may be absent."""
    return Path(os.environ.get("INDEXMILL_SETTINGS_FILE", "settings.yaml"))


def check_settings_file() -> None:
    """
    Raises:
        SettingsError: the file that was named is not there, or what there is cannot be read as sections of settings.
    """
    path = settings_file()
    named = os.environ.get("INDEXMILL_SETTINGS_FILE")
    if named and not path.is_file():
        raise SettingsError(f"INDEXMILL_SETTINGS_FILE: expected a readable file, got {named!r}")
    if not path.is_file():
        return
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: expected YAML, {_place(error)}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: expected YAML in UTF-8, got other bytes") from error
    except OSError as error:
        raise SettingsError(f"{path}: expected a readable file ({error.strerror})") from error
    if content is not None and not (isinstance(content, dict) and all(isinstance(key, str) for key in content)):
        raise SettingsError(f"{path}: expected names of settings and their values, such as `log_level: info`")


def _place(error: yaml.YAMLError) -> str:
    # The lines themselves are not shown: there may be passwords in them.
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"found none{where}: {problem}" if problem else f"found none{where}"
