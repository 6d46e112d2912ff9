"""No live side effect during a replay: the layers that a process can put up and take down again.

docs/explanation/fence.md says what each one stops and what it can't. Imports no test framework and no library, and is
never loaded in production.
"""

from __future__ import annotations

from pytest_fluxrun.fence.around import Fence
from pytest_fluxrun.fence.attempts import Attempt
from pytest_fluxrun.fence.descriptors import baseline, sever

__all__ = ["Attempt", "Fence", "baseline", "sever"]
