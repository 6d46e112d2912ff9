"""Where two outcomes differ, by path: bodies by content type, headers, cookies, errors, return values. Pure."""

from pytest_fluxrun.judgement.comparison.content import body_of, content_of
from pytest_fluxrun.judgement.comparison.difference import (
    ABSENT,
    OutcomeDifference,
    differing,
    matches_path,
    text_matches,
    under,
)
from pytest_fluxrun.judgement.comparison.headers import TRANSPORT_HEADERS, joined_headers
from pytest_fluxrun.judgement.comparison.outcomes import compare_outcomes, is_failure
from pytest_fluxrun.judgement.comparison.trees import contains, readable

__all__ = [
    "ABSENT",
    "TRANSPORT_HEADERS",
    "OutcomeDifference",
    "body_of",
    "compare_outcomes",
    "contains",
    "content_of",
    "differing",
    "is_failure",
    "joined_headers",
    "matches_path",
    "readable",
    "text_matches",
    "under",
]
