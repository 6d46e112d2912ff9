"""`python -m pytest_fluxrun`: the `fluxrun` command."""

from __future__ import annotations

from pytest_fluxrun.cli import main

if __name__ == "__main__":
    main()
