"""logging in a run: kept beside it, and otherwise as if nothing were there."""

from __future__ import annotations

import logging
import threading

import pytest

from pytest_fluxrun.boundaries.logging import boundary
from tests.boundaries.sessions import recorded, seams

LOG = logging.getLogger("shop.orders")


def test_records_are_kept_as_plain_values(caplog: pytest.LogCaptureFixture) -> None:
    """Message, level, logger, error type and extra; the handlers see the same records as without."""
    caplog.set_level(logging.INFO, logger="shop")
    lock = threading.Lock()
    with seams(boundary, logging), recorded() as record:
        LOG.info("order %s of %d", "o-1", 3)
        LOG.debug("below the level")
        LOG.warning("slow", extra={"took_ms": 12, "lock": lock})
        try:
            raise ValueError("no")
        except ValueError:
            LOG.exception("failed")
        logging.getLogger("pytest_fluxrun.writer").error("our own")

    assert record.logs == [
        {"message": "order o-1 of 3", "level": "INFO", "logger": "shop.orders"},
        {
            "message": "slow",
            "level": "WARNING",
            "logger": "shop.orders",
            "extra": {"took_ms": 12, "lock": {"~": "opaque", "v": "_thread.lock"}},
        },
        {"message": "failed", "level": "ERROR", "logger": "shop.orders", "error": "builtins.ValueError"},
    ]
    assert [one.getMessage() for one in caplog.records] == ["order o-1 of 3", "slow", "failed", "our own"]


def test_a_message_that_cannot_be_made_is_kept_unformatted() -> None:
    """The app's log call fails exactly as it would without FluxRun: not at all, here, for nobody handles it."""
    logger = logging.getLogger("shop.quiet")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    with seams(boundary, logging), recorded() as record:
        logger.warning("%d items", "many")
        logger.warning("lone %s", "\ud800")

    assert [entry["message"] for entry in record.logs] == ["%d items", "lone ?"]


def test_outside_a_run_nothing_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """The seam is transparent without a session."""
    with seams(boundary, logging):
        with recorded() as record:
            pass
        LOG.warning("outside")

    assert (record.logs, caplog.messages) == ([], ["outside"])
