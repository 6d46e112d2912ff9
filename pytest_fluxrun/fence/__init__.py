"""No live side effect during a replay: layers that any process can put up and take down again (see docs/explanation/fence.md).

Imports no test framework and no library. Never loaded in production.
"""

from __future__ import annotations

from pytest_fluxrun.fence.around import Fence
from pytest_fluxrun.fence.attempts import Attempt
from pytest_fluxrun.fence.descriptors import baseline, sever

__all__ = ["Attempt", "Fence", "baseline", "sever"]
