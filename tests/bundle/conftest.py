"""One project's keys, trust and index, fixed, with the small X25519 wraps."""

from __future__ import annotations

import pytest

from pytest_fluxrun.bundle import Algorithm, Index, Producer, ProjectKey, Recipient, Token, Trust


@pytest.fixture(scope="session")
def project_key() -> ProjectKey:
    """Return the project's key."""
    return ProjectKey.from_seed(Algorithm.X25519, bytes(range(32)))


@pytest.fixture(scope="session")
def token() -> Token:
    """Return production's token."""
    return Token.from_seed(bytes(range(16)), bytes(range(32, 64)))


@pytest.fixture(scope="session")
def trust(project_key: ProjectKey, token: Token) -> Trust:
    """Return a trust file's content that knows both."""
    return Trust("shop", (Recipient(project_key.public, "team"),), (Producer.of(token, note="production"),))


@pytest.fixture(scope="session")
def index() -> Index:
    """Return the index of a run."""
    return Index(
        run_id="01jd3k0000000000000000000a",
        project="shop",
        entry="orders.create",
        route="POST /orders/{order_id}",
        status=500,
        started_at_unix_ns=1_732_000_000_000_000_000,
        duration_us=1234,
        counts={"http": 2},
        fluxrun_version="0.1.0",
        python_version="3.11.9",
    )
