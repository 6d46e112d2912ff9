"""What a redacted place may hold at replay: the recording has a token there, and the app may make the secret anew. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["same_but_redacted"]


def same_but_redacted(recorded: Any, got: Any, tokens: Sequence[str]) -> bool:
    """Whether two texts are equal but for what stands where the recorded one has tokens.

    Args:
        tokens: the run's; each has the length of the secret that it replaced.
    """
    if not isinstance(recorded, str) or not isinstance(got, str):
        return False
    present = [token for token in tokens if token in recorded]
    if not present:
        return False
    parts = re.split("|".join(map(re.escape, sorted(present, key=len, reverse=True))), recorded)
    return re.fullmatch(r".+?".join(map(re.escape, parts)), got, re.DOTALL) is not None
