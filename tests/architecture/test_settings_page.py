"""`docs/operations.md` has every setting with its default, and every metric; every exit code is in the README."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel

from indexmill.cli.exit_codes import MEANINGS
from indexmill.settings import Settings
from tests.architecture.source_tree import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
ROW = re.compile(r"^\| `([a-z_]+(?:\.[a-z0-9_]+)*)` \| (.+?) \| .+ \|$", re.MULTILINE)


def _defaults(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Dotted name -> default; None where it is made at the start."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= _defaults(field.annotation, f"{prefix}{name}.")
        else:
            found[prefix + name] = None if field.default_factory is not None else field.default
    return found


def test_the_page_lists_every_setting() -> None:
    assert sorted(dict(ROW.findall(PAGE))) == sorted(_defaults(Settings))


@pytest.mark.parametrize(("name", "default"), list(_defaults(Settings).items()))
def test_the_page_says_the_default(name: str, default: Any) -> None:
    written = dict(ROW.findall(PAGE))[name]
    if default is not None:
        assert written == f"`{default}`"
    else:
        assert written in {"none", "one a core"} or name == "data_folder"


def test_the_readme_lists_every_exit_code() -> None:
    listed = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE)}
    assert listed == {int(code): meaning for code, meaning in MEANINGS.items()}


def test_the_page_lists_every_metric() -> None:
    source = (ROOT / "src" / "indexmill" / "ledger" / "metrics.py").read_text("utf-8")
    made = re.findall(r'(Gauge|Counter)MetricFamily\(\s*"(indexmill_[a-z_]+)"', source)
    # Prometheus' format ends the names of counters so.
    names = {name + ("_total" if kind == "Counter" else "") for kind, name in made}
    assert set(re.findall(r"^\| `(indexmill_[a-z_]+)[`{]", PAGE, re.MULTILINE)) == names
