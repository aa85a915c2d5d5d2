"""Vectors at unit length: what search compares and what callers get."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["normalised"]


def normalised(vectors: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The vectors at unit length, and which of them are finite and not zero."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    valid = np.isfinite(lengths) & (lengths > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = (vectors / lengths[:, np.newaxis]).astype(np.float32)
    return unit, valid & np.isfinite(unit).all(axis=1)
