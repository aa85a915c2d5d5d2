"""DeterministicModel: reproducible vectors, a log of its work, faults on demand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexmill.errors import InvalidRequest, ModelError, TransientError
from indexmill.models.deterministic import DeterministicModel


def test_equal_texts_have_equal_unit_vectors() -> None:
    vectors = DeterministicModel(dimension=16).embed(["a", "b", "a"]).vectors
    assert vectors.shape == (3, 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])


def test_vectors_are_the_same_in_every_process() -> None:
    code = (
        "from indexmill.models.deterministic import DeterministicModel as M;"
        "print(M(dimension=2).embed(['text']).vectors.tobytes().hex())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert other.strip() == DeterministicModel(dimension=2).embed(["text"]).vectors.tobytes().hex()


def test_white_space_has_a_zero_vector() -> None:
    embedded = DeterministicModel().embed([" ", "two words"])
    assert not embedded.vectors[0].any()
    assert embedded.tokens.tolist() == [0, 2]


def test_each_text_is_logged_before_a_fault(tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = DeterministicModel(log_path=str(log), fail_on=["bad"])
    model.embed(["one", "two"])
    with pytest.raises(ValueError, match="refuse"):
        model.embed(["a bad one"])
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == 3
    assert {process for _, process in lines} == {str(os.getpid())}


def test_faults_happen_only_while_the_file_exists(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    model = DeterministicModel(transient_on=["flaky"], only_while=str(switch))
    switch.touch()
    with pytest.raises(TransientError):
        model.embed(["flaky"])
    switch.unlink()
    assert model.embed(["flaky"]).vectors.any()


def test_a_model_error_stops_every_call() -> None:
    with pytest.raises(ModelError, match="wrong key"):
        DeterministicModel(model_error="wrong key").embed(["any"])


def test_crash_on_kills_the_process() -> None:
    code = (
        "from indexmill.models.deterministic import DeterministicModel as M;"
        "M(crash_on=['boom']).embed(['fine']); M(crash_on=['boom']).embed(['boom'])"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == -9


@pytest.mark.parametrize("dimension", [0, -1, 5000, 2.5, "8", True])
def test_a_wrong_dimension_is_refused(dimension: int) -> None:
    with pytest.raises(InvalidRequest, match="dimension"):
        DeterministicModel(dimension=dimension)
