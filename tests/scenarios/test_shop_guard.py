"""Guards under edits of the shop: the bug's turns green with the fix, an order's bears what changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_fluxrun.judgement.corpus import Placed
from pytest_fluxrun.run import Run
from pytest_fluxrun.values import decode
from tests.scenarios.service import Case, Project, load, node_ids

_CAPTURE = "    charge_id = await payments.capture(hold_id, total_cents)\n"
_SAVE = "    await run_in_threadpool(_save, order)\n"
_PRICE = "    price_cents = await run_in_threadpool(_price, new.sku)\n"
_RECEIPT = "    background.add_task(send_receipt, order.id, charge_id, new.email)\n"
_VIEW = "    return OrderView.model_validate(order)\n"
_LINE = '    logger.info("order %s paid: %d %s", order.id, total_cents, new.currency)\n'
_CHARGE = "        charge = group.create_task(payments.charge(order.charge_id))\n"
_PARCEL = "        parcel = group.create_task(payments.parcel(order.id))\n"
_REFUND = 'await payments.refund(charge_id, "broken")\n'

HARMLESS = {
    "log line": ("POST /orders", _CAPTURE, _CAPTURE + '    logger.warning("charged %s", charge_id)\n'),
    "clock reads": ("POST /orders", _CAPTURE, "    time.time(), datetime.now(UTC)\n" + _CAPTURE),
    "identical read": ("POST /orders", _PRICE, _PRICE + _PRICE),
    "identical request": ("GET /tracking", _CHARGE, "        await payments.charge(order.charge_id)\n" + _CHARGE),
    "renamed coroutine": ("POST /orders", "", ""),
    "reordered calls": ("GET /tracking", _CHARGE + _PARCEL, _PARCEL + _CHARGE),
    "metric": (
        "POST /orders",
        _CAPTURE,
        "    began = time.perf_counter()\n" + _CAPTURE + '    logger.info("took %f", time.perf_counter() - began)\n',
    ),
    "draw after": ("POST /orders", _LINE, _LINE + '    logger.info("trace %s", uuid.uuid4())\n'),
}
HARMFUL = {
    "amount": (
        "POST /orders", _CAPTURE, _CAPTURE.replace("total_cents)", "total_cents + 1)"),
        "regressed", "changed-effect", ".request.body.amount: ",
    ),
    "dropped effect": ("POST /orders", _RECEIPT, "", "regressed", "missing-effect", "/v1/receipts"),
    "new effect": ("POST /orders", _SAVE, "    " + _REFUND + _SAVE, "diverged", "unrecorded", "/v1/refunds"),
    "new effect, swallowed": (
        "POST /orders", _SAVE, f"    try:\n        {_REFUND}    except Exception:\n        pass\n{_SAVE}",
        "diverged", "unrecorded", "/v1/refunds",
    ),
    "response field": (
        "POST /orders", _VIEW, _VIEW.rstrip() + '.model_copy(update={"status": "done"})\n',
        "regressed", "outcome", "response.body.status: 'paid' → 'done'",
    ),
    "where": ("GET /orders", "Order.status == status", "Order.status != status", "diverged", "unrecorded", "sqlite3"),
    "socket": (
        "POST /orders", _SAVE, '    __import__("socket").create_connection(("127.0.0.1", 9))\n' + _SAVE,
        "leaked", "leak", "127.0.0.1",
    ),
    "endless loop": ("POST /orders", _SAVE, "    while True:\n        pass\n" + _SAVE, "diverged", "deadline", "6 s"),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(shop: Project) -> dict[str, Run]:
    return shop.open()


@pytest.fixture
def guarded(
    shop: Project, runs: dict[str, Run], copied: Callable[[Project], Project]
) -> Callable[..., tuple[Project, Placed]]:
    """A copy of the shop and the one run of it that is wanted, by request, status and a word of its recording."""

    def guarded(request: str, status: int, word: str = "") -> tuple[Project, Placed]:
        name = next(name for name, run in runs.items() if _is(run, request, status) and word in repr(run))
        project = copied(shop)
        return project, next(placed for placed in project.placed() if placed.name == name)

    return guarded


def _is(run: Run, request: str, status: int) -> bool:
    if run.entry_kind != "asgi" or not run.outcome["response"] or run.outcome["response"]["status"] != status:
        return False
    method, _, path = request.partition(" ")
    scope = decode(run.input)["scope"]
    wanted = scope["path"].endswith(path) and scope["method"] == method
    return wanted and (path != "/orders" or method == "POST" or "status=paid" in scope["query_string"])


def _replayed(project: Project, placed: Placed, *options: str) -> tuple[int, Case]:
    suite = project.replay(*node_ids([placed]), "--fluxrun-no-confirm", *options)
    assert len(suite.cases) == 1, suite.output
    return suite.exit_code, suite.cases[0]


def _edit(path: Path, before: str, after: str) -> None:
    source = path.read_text()
    assert before in source
    path.write_text(source.replace(before, after, 1))


def test_bug_is_red_until_fixed_and_again_when_reverted(guarded: Callable[..., tuple[Project, Placed]]) -> None:
    """The expired coupon's failure is reproduced, then fixed, then reproduced."""
    project, placed = guarded("POST /orders", 500, "SPRING")
    project.guard(placed, expect="fix", fix={"status": 409, "body": {"error": "coupon_expired"}})
    fix = load(project.root / "fix.py")
    seen = []
    for change in (lambda _: None, fix.apply, fix.revert):
        change(project.root)
        code, case = _replayed(project, placed)
        seen.append((code, case.properties["fluxrun.verdict"], case.properties["fluxrun.reason"]))
    assert [(1, "reproduced", "reproduced"), (0, "fixed", "fixed"), (1, "reproduced", "reproduced")] == seen


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_edit_stays_green(name: str, guarded: Callable[..., tuple[Project, Placed]]) -> None:
    """What changes no outcome and no effect is no regression."""
    request, before, after = HARMLESS[name]
    project, placed = guarded(request, 201 if request.startswith("POST") else 200)
    orders = project.root / "shop" / "orders.py"
    if name == "renamed coroutine":
        orders.write_text(orders.read_text().replace("send_receipt(order_id", "mail_receipt(order_id").replace(
            "add_task(send_receipt", "add_task(mail_receipt"))  # fmt: skip
    else:
        _edit(orders, before, after)
    code, case = _replayed(project, placed)
    assert ("match", "match") == (case.properties["fluxrun.verdict"], case.properties["fluxrun.reason"]), case.text
    assert code == 0


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_edit_turns_red(name: str, guarded: Callable[..., tuple[Project, Placed]]) -> None:
    """The verdict, its reason and the first divergence say what it was."""
    request, before, after, verdict, reason, told = HARMFUL[name]
    project, placed = guarded(request, 201 if request.startswith("POST") else 200)
    _edit(project.root / "shop" / "orders.py", before, after)
    deadline = ("-o", "fluxrun_timeout_s=6") if reason == "deadline" else ()  # start-up has to fit in, too
    code, case = _replayed(project, placed, *deadline)
    assert (1, "failed") == (code, case.result)
    assert (verdict, reason) == (case.properties["fluxrun.verdict"], case.properties["fluxrun.reason"]), case.text
    assert told in case.properties["fluxrun.first_divergence"]
    assert told in case.text


def test_swallowed_error_turns_red(guarded: Callable[..., tuple[Project, Placed]]) -> None:
    """A run that raised, guarded as recorded: an answer in place of the error is another outcome."""
    project, placed = guarded("GET /debug/error", 500, "kind=value")
    _edit(project.root / "shop" / "catalogue.py", "    raise ValueError(note)\n", "    return\n")
    code, case = _replayed(project, placed)
    assert (1, "regressed", "outcome") == (code, case.properties["fluxrun.verdict"], case.properties["fluxrun.reason"])
    assert case.text.startswith("regressed: status 500 → 200\n")
    assert "error: " in case.text
