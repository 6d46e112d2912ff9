"""`fluxrun list`: from the index, without a key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_fluxrun.judgement.guard import Guard, digest, write_guard


def write_guard_for(shop: Any, bundle: Any, **fields: Any) -> None:
    """Write a guard beside a bundle."""
    name = bundle.name.removesuffix(".fluxrun")
    guard = Guard(run=name[-26:], sha256=digest(bundle.read_bytes()), **fields)
    write_guard(bundle.with_name(f"{name}.guard.toml"), guard)


def lines_of(output: str) -> list[str]:
    """The lines below the header."""
    return output.splitlines()[1:]


def test_one_line_a_run_newest_last(shop: Any) -> None:
    """Lines come in the order of the runs' start, and begin with enough of the id."""
    late, early = shop.function_run(started_ns=2_000_000_000), shop.function_run(started_ns=1_000_000_000)
    shop.store(late)
    shop.store(early)

    lines = lines_of(shop.fluxrun("list").stdout)

    assert 2 == len(lines)
    assert [True, True] == [run.id.startswith(line.split()[0]) for run, line in zip((early, late), lines, strict=True)]
    assert "1970-01-01 00:00:01" in lines[0]


def test_ids_are_as_long_as_they_must_be(shop: Any) -> None:
    """Runs of one millisecond are told apart, and each shown id finds its run."""
    runs = [shop.function_run() for _ in range(3)]
    for run in runs:
        shop.store(run)

    shown = [line.split()[0] for line in lines_of(shop.fluxrun("list").stdout)]

    assert 3 == len({run.id for run in runs for one in shown if run.id.startswith(one)}) == len(set(shown))


def test_no_key_is_needed(shop: Any) -> None:
    """The index is plaintext: without key and trust file the list is the same."""
    shop.store(shop.function_run())
    with_key = shop.fluxrun("list").stdout
    shop.key_file.unlink()
    (shop.root / "fluxrun-trust.toml").unlink()

    assert with_key == shop.fluxrun("list").stdout


def test_columns_tell_result_calls_readiness_and_guard(shop: Any) -> None:
    """Status and error, counts per kind, reasons, and what the guard expects."""
    bundle = shop.store(shop.request_run(), status=500, error_type="builtins.TypeError", route="POST /orders")
    write_guard_for(shop, bundle, expect="fix", pending=True, proven="r41")
    shop.store(shop.function_run(reasons=["opaque:input"]))

    first, second = lines_of(shop.fluxrun("list").stdout)

    assert "shop" in first
    assert "POST /orders  500 TypeError  http:1  proven r41" in first
    assert first.endswith("fix, pending")
    assert "unready: opaque:input  -" in second


def test_filters(shop: Any) -> None:
    """--status, --entry and --unready leave the others out, and say how many."""
    shop.store(shop.request_run(), status=500)
    shop.store(shop.request_run(), status=404)
    shop.store(shop.function_run(reasons=["over-bound"]), error_type="ValueError")

    options = ["--status=5xx", "--status=404", "--status=error", "--entry=shop", "--unready"]

    shown = [len(lines_of(shop.fluxrun("list", option).stdout)) for option in options]

    assert [1, 1, 1, 2, 1] == shown
    assert "1 run in runs, 2 left out" in shop.fluxrun("list", "--unready").stderr
    assert "is no status" in shop.fluxrun("list", "--status", "many", code=2).stderr


def test_a_damaged_bundle_has_its_line(shop: Any) -> None:
    """It is listed with the reason, the others as ever, and the exit code is 1."""
    broken = shop.function_run()
    shop.store_bytes(broken, b"not a bundle at all, whatever its name")
    shop.store(shop.function_run())

    output = shop.fluxrun("list", code=1).stdout

    assert 3 == len(output.splitlines())
    assert "not-a-bundle:" in output


def test_a_guard_without_bundle_has_its_line(shop: Any) -> None:
    """It says that the bundle isn't here and which command fetches it."""
    bundle = shop.store(shop.function_run())
    write_guard_for(shop, bundle, expect="fix")
    bundle.unlink()

    (line,) = lines_of(shop.fluxrun("list", code=1).stdout)

    assert "not here: `fluxrun pull` fetches it" in line
    assert line.endswith("fix")


def test_another_store_can_be_listed(shop: Any) -> None:
    """--store reads the heads of the bundles there."""
    run = shop.function_run()
    shop.store(run, "elsewhere")

    result = shop.fluxrun("list", "--store", "elsewhere")

    assert run.id.startswith(lines_of(result.stdout)[0].split()[0])
    assert "1 run in " in result.stderr


def test_missing_directory_names_itself_and_the_next_command(shop: Any) -> None:
    """One paragraph: the directory, the reason, the command."""
    (shop.root / "runs").rmdir()

    result = shop.fluxrun("list", code=2)

    assert str(shop.root / "runs") in result.stderr
    assert "No such file" in result.stderr
    assert "fluxrun init" in result.stderr


def test_misspelt_setting_is_one_paragraph(shop: Any) -> None:
    """The setting, where it comes from, and the right name; no traceback."""
    table = shop.root / "pyproject.toml"
    table.write_text(table.read_text() + 'stroe = "x"\n')

    result = shop.fluxrun("list", code=2)

    assert "there is no setting 'stroe'" in result.stderr
    assert "did you mean 'store'?" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_a_bundle_names_cannot_steer_the_terminal(shop: Any) -> None:
    """A file name with an escape sequence is shown as text."""
    (shop.root / "runs" / "\x1b[2J.fluxrun").write_bytes(b"x" * 30)

    assert "\x1b" not in shop.fluxrun("list", code=1).stdout


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_runs_of_one_request_are_found_across_projects(shop: Any) -> None:
    """By trace id, its beginning or a request id; in the order of time, each with its project."""
    inner = replace(shop.function_run(started_ns=2_000_000_000), project="stock")
    outer = shop.function_run(started_ns=1_000_000_000)
    shop.store(inner, trace={"trace_id": TRACE, "parent_id": "00f067aa0ba902b7"})
    shop.store(outer, trace={"trace_id": TRACE, "request_id": "request-7"})
    shop.store(shop.function_run(), trace={"trace_id": TRACE[::-1]})
    shop.store(shop.function_run())

    by_id, by_beginning = (shop.fluxrun("list", f"--trace={wanted}").stdout for wanted in (TRACE, TRACE[:8]))
    (by_request,) = lines_of(shop.fluxrun("list", "--trace=request-7").stdout)

    assert by_id == by_beginning
    assert [("shop", True), ("stock", True)] == [
        (line.split()[3], run.id.startswith(line.split()[0]))
        for run, line in zip((outer, inner), lines_of(by_id), strict=True)
    ]
    assert outer.id.startswith(by_request.split()[0])


def test_a_trace_that_no_run_carries_is_an_error_that_says_where_it_looked(shop: Any) -> None:
    """With what was there instead, and the next step."""
    shop.store(shop.function_run(), trace={"trace_id": TRACE})
    shop.store(shop.function_run())

    told = shop.fluxrun("list", "--trace=request-7", code=2).stderr

    assert "no run in runs carries the trace or request id 'request-7': of 2 runs there, 1 carry no id at all" in told
    assert "--store" in told


def test_the_beginning_of_several_traces_is_refused(shop: Any) -> None:
    """It names them."""
    for digit in "12":
        shop.store(shop.function_run(), trace={"trace_id": "abcdabcd" + digit * 24})

    told = shop.fluxrun("list", "--trace=abcdabcd", code=2).stderr

    assert "begins 2 traces" in told
