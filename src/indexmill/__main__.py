"""`python -m indexmill` is the command `indexmill`."""

from __future__ import annotations

from indexmill.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
