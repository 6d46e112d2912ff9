"""`fluxrun show`: a run from request to outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_fluxrun.bundle import Algorithm, ProjectKey, Token
from pytest_fluxrun.columns import pack
from pytest_fluxrun.run import Interaction, Read
from pytest_fluxrun.values import encode


def test_a_request_is_told_from_its_body_to_its_error(shop: Any) -> None:
    """Header, request, numbered calls with answers, reads, logs, response and error, in this order."""
    run = shop.request_run()
    shop.store(run)

    output = shop.fluxrun("show", run.id[:12]).stdout

    told = [
        f"run      {run.id}",
        "entry    shop (asgi) of project shop",
        "when     2025-10-09 08:53:20.000 UTC, took 12.0 ms",
        "release  r41; fluxrun 0.1.0, python 3.11.9",
        "> POST /orders?dry=1 HTTP/1.1",
        "  content-type: application/json",
        '  {"coupon": "SPRING"}',
        "· reads time.time ×2, os.urandom",
        "   1* +     4.0 ms     5.5 ms",
        'httpx  POST https://pay.example/charge {"amount": 1200, "key": "fluxrun-secret-1"}',
        '→ 402 {"error": "declined"}',
        "“ WARNING shop.orders: card declined",
        "< 500 Internal Server Error",
        "! raised TypeError: can't compare offsets",
    ]
    places = [output.find(part) for part in told]
    assert -1 not in places, told[places.index(-1)]
    assert places == sorted(places)


def test_pauses_are_told_apart_from_reads(shop: Any) -> None:
    """How long the code slept between two calls, by function."""
    run = shop.request_run()
    (segment,) = run.recording.segments
    pauses = (
        Read("time.sleep", "create|time.sleep(pause_s)", pack([0.5, 1.0])),
        Read("asyncio.sleep", "create|asyncio.sleep(2)", pack([2.0])),
    )
    segment = replace(segment, reads=(*segment.reads, *pauses))
    paused = replace(run, recording=replace(run.recording, segments=(segment,)))
    shop.store(paused)

    lines = [line.strip() for line in shop.fluxrun("show", paused.id).stdout.splitlines()]

    at = lines.index("· reads time.time ×2, os.urandom")
    assert ["· pauses 1.5 s by time.sleep ×2", "· pauses 2 s by asyncio.sleep"] == lines[at + 1 : at + 3]


def test_lanes_are_told_apart_where_there_are_several(shop: Any) -> None:
    """Calls of concurrent tasks are indented and named; a lone task isn't."""
    run = shop.request_run()
    (charge,) = run.recording.interactions
    beside = replace(charge, lane=0, started_ns=5_000_000)
    both = replace(run, recording=replace(run.recording, interactions=(charge, beside)))
    shop.store(both)

    output = shop.fluxrun("show", run.id).stdout

    assert "ms    [charge 1] httpx" in output
    assert "ms  httpx" in output


def test_values_shows_what_is_left_out_otherwise(shop: Any) -> None:
    """All headers, whole answers and each read, and still nothing that steers a terminal."""
    run = shop.request_run()
    shop.store(run)

    brief, whole = shop.fluxrun("show", run.id).stdout, shop.fluxrun("show", run.id, "--values").stdout

    assert "x-odd" not in brief
    assert "x-odd: \\x1b[31mred" in whole
    assert "time.time = 1760000000.001, 1760000000.002" in whole
    assert "\x1b" not in whole


def test_a_function_is_told_by_its_arguments_and_result(shop: Any) -> None:
    """Functions have arguments in place of a request."""
    failed = shop.function_run(-3)
    priced = shop.function_run(3, outcome={"returned": encode({"price": 3.0}), "error": None})
    for run in (failed, priced):
        shop.store(run)

    assert "> orders.price(-3)" in shop.fluxrun("show", failed.id).stdout
    assert "! raised ValueError: negative amount -3" in shop.fluxrun("show", failed.id).stdout
    assert "< returned {'price': 3.0}" in shop.fluxrun("show", priced.id).stdout


def test_answers_are_summed_up_by_their_shape(shop: Any) -> None:
    """Rows are counted, errors named, what can't be shown is said to be so."""
    request = {"database": "shop.db", "sql": "SELECT 1", "binds": [], "many": False}
    rows = {"columns": ["a"], "rows": encode([[1], [2]]), "rowcount": -1, "failure": None}
    refused = {"type": "sqlite3:OperationalError", "message": "no such table", "args": [], "attributes": {}}
    interactions = [
        Interaction("sqlite3", "sql", 1, 0, 1_000, 2_000, encode(request), answer=rows),
        Interaction("sqlite3", "sql", 1, 0, 3_000, 4_000, encode(request), error=refused, failed=True),
        Interaction("host:db", "host", 1, 0, 5_000, 6_000, {"undumpable": "TypeError: x"}, answer=None, effect=True),
    ]
    run = shop.function_run(interactions=interactions)
    shop.store(run)

    output = shop.fluxrun("show", run.id).stdout

    assert "→ 2 rows" in output
    assert "→ raised sqlite3.OperationalError: no such table" in output
    assert "(it could not be recorded: TypeError: x)" in output


def test_unknown_and_ambiguous_ids_say_what_there_is(shop: Any) -> None:
    """Neither guesses."""
    for _ in range(2):
        shop.store(shop.function_run())

    assert "no run '7zz' in" in shop.fluxrun("show", "7zz", code=2).stderr
    assert "fits 2 runs" in shop.fluxrun("show", "0", code=2).stderr


def test_a_locked_run_names_the_key_that_is_missing(shop: Any) -> None:
    """Another project's bundle isn't opened, and the message says which key it wants."""
    run = shop.function_run()
    stranger = ProjectKey.generate(Algorithm.X25519)
    shop.store_bytes(run, shop.bundle(run, recipient=stranger))

    result = shop.fluxrun("show", run.id, code=2)

    assert "is locked here" in result.stderr
    assert stranger.public.key_id.hex()[:8] in result.stderr


def test_an_untrusted_run_is_refused(shop: Any) -> None:
    """What an unknown producer signed isn't shown."""
    run = shop.function_run()
    shop.store_bytes(run, shop.bundle(run, signer=Token.generate()))

    assert "who isn't trusted" in shop.fluxrun("show", run.id, code=2).stderr
