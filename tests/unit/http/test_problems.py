"""Every error that a caller can cause has a status and a code; a refused source is one of them."""

from __future__ import annotations

from indexmill.errors import Forbidden, SourceRefused
from indexmill.http.problems import problem_of


def test_a_refused_source_is_a_403_that_names_the_setting() -> None:
    problem = problem_of(SourceRefused("add it to `sources.allowed_hosts`", setting="sources.allowed_hosts"))
    assert problem is not None
    assert (problem.status, problem.code) == (403, "source_refused")
    assert "sources.allowed_hosts" in problem.message


def test_what_a_setting_forbids_is_a_403() -> None:
    problem = problem_of(Forbidden("callbacks.allowed_exchanges does not name 'main'"))
    assert problem is not None
    assert (problem.status, problem.code) == (403, "forbidden")
    assert "callbacks.allowed_exchanges" in problem.message
