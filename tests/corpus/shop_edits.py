"""Edits of the shop that keep its behaviour."""

from __future__ import annotations

from tests.corpus.editing import Edit

__all__ = ["EDITS"]

_ORDERS = "shop/orders.py"
_CATALOGUE = "shop/catalogue.py"
_PAYMENTS = "shop/payments_client.py"
_COUPONS = "shop/coupons.py"
_WEBHOOKS = "shop/webhooks.py"
_MAIN = "shop/main.py"
_RATES = "shop/rates.py"

_CAPTURE = "    charge_id = await payments.capture(hold_id, total_cents)\n"
_PRICE = "    price_cents = await run_in_threadpool(_price, new.sku)\n"
_RATE = "    rate = await run_in_threadpool(rates.rate, new.currency)\n"
_TOTAL = "    total_cents = int(full_cents * Decimal(100 - percent) / 100)\n"
_TASKS = """\
    async with asyncio.TaskGroup() as group:
        charge = group.create_task(payments.charge(order.charge_id))
        parcel = group.create_task(payments.parcel(order.id))
    return {"charge": charge.result(), "parcel": parcel.result()}
"""
_PRODUCTS = """\
    query = select(Product).order_by(Product.price_cents, Product.sku)
    if below_cents is not None:
        query = query.where(Product.price_cents < below_cents)
    with open_session() as session:
        return [ProductView.model_validate(product) for product in session.scalars(query)]
"""
_SESSION_PRICE = """\
    with open_session() as session:
        product = session.get(Product, sku)
    if product is None:
        raise UnknownProduct
    return product.price_cents
"""
_ORDER = """\
    with open_session() as session:
        order = session.get(Order, str(order_id))
    if order is None:
"""
_STAMP = """\
async def stamp(request: Request, call_next: RequestResponseEndpoint) -> Response:
    \"\"\"Give every response an id and say how long it took.\"\"\"
    started_s = time.perf_counter()
    request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
"""
_RETRIES = """\
        for attempt in range(_TRIES):
            response = await self._send(self._client.build_request("POST", path, json=body, headers=headers))
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            pause_s = _FIRST_PAUSE_S * 2**attempt + random.uniform(0, 0.01)
            logger.warning("payments are busy, try %d of %d, waiting %.3f s", attempt + 1, _TRIES, pause_s)
            await asyncio.sleep(pause_s)
"""
_LOOKS = """\
    for _ in range(_RECEIPT_LOOKS):
        with open_session() as session:
            receipt = session.get(Receipt, str(order_id))
        if receipt:
            return {"number": receipt.number, "sent_at": receipt.sent_at.isoformat()}
        time.sleep(_RECEIPT_PAUSE_S)
    raise NoReceipt
"""

EDITS = (
    Edit(
        "rename a background task and its arguments",
        "rename",
        (
            (
                _ORDERS,
                "send_receipt(order_id: str, charge_id: str, email: str)",
                "mail_receipt(of: str, paid: str, to: str)",
            ),
            (_ORDERS, "payments.send_receipt(charge_id, email)", "payments.send_receipt(paid, to)"),
            (_ORDERS, "Receipt(order_id=order_id, number", "Receipt(order_id=of, number"),
            (_ORDERS, "number, order_id)\n    return number", "number, of)\n    return number"),
            (_ORDERS, "add_task(send_receipt,", "add_task(mail_receipt,"),
        ),
        unless=("changed-effect", "regressed"),
    ),
    Edit(
        "rename a background task",
        "rename",
        (
            (_ORDERS, "async def send_receipt", "async def mail_receipt"),
            (_ORDERS, "add_task(send_receipt,", "add_task(mail_receipt,"),
        ),
    ),
    Edit(
        "rename local variables",
        "rename",
        ((_ORDERS, "hold_id", "held"), (_ORDERS, "total_cents = int(", "total_cents = int(")),
    ),
    Edit("rename an endpoint's function", "rename", ((_ORDERS, "async def place_order(", "async def create_order("),)),
    Edit(
        "rename a method that a task runs",
        "rename",
        (
            (_PAYMENTS, "async def charge(", "async def charge_state("),
            (_ORDERS, "payments.charge(", "payments.charge_state("),
        ),
    ),
    Edit(
        "extract a function",
        "extract",
        (
            (_ORDERS, _TOTAL, "    total_cents = _discounted(full_cents, percent)\n"),
            (
                _ORDERS,
                "def _price(sku",
                "def _discounted(cents: int, percent: int) -> int:\n    return int(cents * Decimal(100 - percent) / 100)\n\n\ndef _price(sku",
            ),
        ),
    ),
    Edit(
        "extract a coroutine with two of the calls",
        "extract",
        (
            (_ORDERS, _PRICE + _RATE, "    price_cents, rate = await _terms(new)\n"),
            (
                _ORDERS,
                "def _price(sku",
                "async def _terms(new: NewOrder) -> tuple[int, Decimal]:\n"
                + _PRICE
                + _RATE
                + "    return price_cents, rate\n\n\ndef _price(sku",
            ),
        ),
    ),
    Edit(
        "extract a module",
        "extract",
        (
            (
                _ORDERS,
                _ORDERS and "def _shipping_cents(goods_cents: int) -> int:\n",
                "def _unused(goods_cents: int) -> int:\n",
            ),
            (
                _ORDERS,
                "from shop.rates import rates\n",
                "from shop.rates import rates\nfrom shop.shipping import _shipping_cents\n",
            ),
        ),
        added={
            "shop/shipping.py": '"""What shipping costs."""\n\nimport os\n\n\n'
            "def _shipping_cents(goods_cents: int) -> int:\n"
            '    free_from_cents = int(os.environ.get("SHOP_FREE_SHIPPING_CENTS", "5000"))\n'
            "    return 0 if goods_cents >= free_from_cents else 490\n"
        },
    ),
    Edit(
        "inline a function",
        "inline",
        (
            (
                _CATALOGUE,
                '        rows = [Product(sku=sku, name=name, price_cents=int(price)) for sku, name, price in _rows(b"".join(parts))]\n',
                '        lines = csv.reader(io.StringIO(b"".join(parts).decode()))\n'
                "        rows = [Product(sku=sku, name=name, price_cents=int(price)) for sku, name, price in lines]\n",
            ),
        ),
    ),
    Edit(
        "reorder two awaits of which one may fail",
        "reorder",
        ((_ORDERS, _PRICE + _RATE, _RATE + _PRICE),),
        unless=("unrecorded", "diverged"),
    ),
    Edit(
        "reorder two tasks",
        "reorder",
        (
            (
                _ORDERS,
                _TASKS,
                _TASKS.replace(
                    "        charge = group.create_task(payments.charge(order.charge_id))\n"
                    "        parcel = group.create_task(payments.parcel(order.id))\n",
                    "        parcel = group.create_task(payments.parcel(order.id))\n"
                    "        charge = group.create_task(payments.charge(order.charge_id))\n",
                ),
            ),
        ),
    ),
    Edit(
        "await two reads at once of which one may fail",
        "reorder",
        (
            (
                _ORDERS,
                _PRICE + _RATE,
                "    price_cents, rate = await asyncio.gather(\n"
                "        run_in_threadpool(_price, new.sku), run_in_threadpool(rates.rate, new.currency)\n    )\n",
            ),
        ),
        unless=("unrecorded", "diverged"),
    ),
    Edit(
        "await two tasks one after the other",
        "reorder",
        (
            (
                _ORDERS,
                _TASKS,
                "    charge = await payments.charge(order.charge_id)\n"
                "    parcel = await payments.parcel(order.id)\n"
                '    return {"charge": charge, "parcel": parcel}\n',
            ),
        ),
    ),
    Edit(
        "gather in place of a task group",
        "reorder",
        (
            (
                _ORDERS,
                _TASKS,
                "    charge, parcel = await asyncio.gather(payments.charge(order.charge_id), payments.parcel(order.id))\n"
                '    return {"charge": charge, "parcel": parcel}\n',
            ),
        ),
    ),
    Edit("repeat an identical read", "cache", ((_ORDERS, _PRICE, _PRICE + _PRICE),)),
    Edit(
        "cache an identical read",
        "cache",
        (
            (
                _ORDERS,
                "def _price(sku: str) -> int:\n",
                "@functools.lru_cache\ndef _price(sku: str) -> int:\n",
            ),
            (_ORDERS, "import asyncio\n", "import asyncio\nimport functools\n"),
        ),
    ),
    Edit(
        "add log records",
        "logs",
        (
            (_ORDERS, _CAPTURE, _CAPTURE + '    logger.warning("charged %s at %s", charge_id, datetime.now(UTC))\n'),
            (_COUPONS, "        coupon.uses += 1\n", '        coupon.uses += 1\n        print("used", code)\n'),
        ),
    ),
    Edit(
        "add metrics",
        "metrics",
        (
            (
                _MAIN,
                "    response = await call_next(request)\n",
                "    began_s = time.monotonic()\n    response = await call_next(request)\n"
                "    METRICS[request.url.path, response.status_code] += time.monotonic() - began_s\n",
            ),
            (_MAIN, "api = FastAPI(", "METRICS: Counter[object] = Counter()\napi = FastAPI("),
            (_MAIN, "import uuid\n", "import uuid\nfrom collections import Counter\n"),
        ),
    ),
    Edit(
        "add a trace id",
        "metrics",
        (
            (
                _ORDERS,
                '    logger.info("order %s paid: %d %s", order.id, total_cents, new.currency)\n',
                '    logger.info("order %s paid: %d %s, trace %s", order.id, total_cents, new.currency, uuid.uuid4())\n',
            ),
        ),
    ),
    Edit(
        "add a trace id before another one",
        "metrics",
        (
            (
                _MAIN,
                "    started_s = time.perf_counter()\n",
                '    logger.debug("trace %s", uuid.uuid4())\n    started_s = time.perf_counter()\n',
            ),
        ),
    ),
    Edit(
        "add a switch that is off",
        "switch",
        (
            (
                _ORDERS,
                _CAPTURE,
                '    if os.environ.get("SHOP_NEW_CHECKOUT") == "on":\n        raise NotImplementedError\n' + _CAPTURE,
            ),
        ),
    ),
    Edit(
        "add a retry that isn't used",
        "retry",
        (
            (
                _PAYMENTS,
                "        try:\n            return await self._client.send(request)\n",
                "        try:\n            for _ in range(2):\n                try:\n                    return await self._client.send(request)\n"
                "                except httpx.ConnectError:\n                    await asyncio.sleep(0.1)\n"
                "            return await self._client.send(request)\n",
            ),
        ),
    ),
    Edit(
        "retry in a loop of another shape",
        "retry",
        (
            (
                _PAYMENTS,
                _RETRIES,
                "        attempt = 0\n        while attempt < _TRIES:\n"
                '            response = await self._send(self._client.build_request("POST", path, json=body, headers=headers))\n'
                "            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:\n"
                "                break\n"
                "            attempt += 1\n"
                "            await asyncio.sleep(_FIRST_PAUSE_S * 2 ** (attempt - 1) + random.uniform(0, 0.01))\n",
            ),
        ),
    ),
    Edit(
        "the ORM's query as text",
        "sql",
        (
            (
                _CATALOGUE,
                _PRODUCTS,
                '    where = "" if below_cents is None else "WHERE price_cents < :below"\n'
                '    query = text(f"SELECT sku, name, price_cents FROM products {where} ORDER BY price_cents, sku")\n'
                '    values = {} if below_cents is None else {"below": below_cents}\n'
                "    with open_session() as session:\n"
                "        return [ProductView.model_validate(row) for row in session.execute(query, values)]\n",
            ),
            (_CATALOGUE, "import func, select\n", "import func, select, text\n"),
        ),
    ),
    Edit(
        "select in place of session.get",
        "sql",
        (
            (
                _ORDERS,
                "        order = session.get(Order, str(order_id))\n",
                "        order = session.scalar(select(Order).where(Order.id == str(order_id)))\n",
            ),
        ),
    ),
    Edit(
        "one column in place of the object",
        "sql",
        (
            (
                _ORDERS,
                _SESSION_PRICE,
                "    with open_session() as session:\n"
                "        price_cents = session.scalar(select(Product.price_cents).where(Product.sku == sku))\n"
                "    if price_cents is None:\n        raise UnknownProduct\n    return price_cents\n",
            ),
        ),
    ),
    Edit(
        "a read whose answer nothing uses",
        "sql",
        (
            (
                _CATALOGUE,
                "    async with open_async_session() as session:\n        sums =",
                "    async with open_async_session() as session:\n        await session.scalar(select(func.max(Order.total_cents)))\n        sums =",
            ),
        ),
        unless=("unrecorded", "diverged"),
    ),
    Edit(
        "insert in place of merge",
        "sql",
        (
            (
                _ORDERS,
                "    await run_in_threadpool(_save, order)\n    logger",
                "    await run_in_threadpool(_insert, order)\n    logger",
            ),
            (
                _ORDERS,
                "def _save(row",
                "def _insert(row: Order) -> None:\n    with open_session.begin() as session:\n        session.add(row)\n\n\ndef _save(row",
            ),
        ),
    ),
    Edit(
        "a sync endpoint as a coroutine",
        "async",
        (
            (
                _ORDERS,
                "def read_order(order_id: uuid.UUID) -> OrderView:\n",
                "async def read_order(order_id: uuid.UUID) -> OrderView:\n",
            ),
            (
                _ORDERS,
                "    return OrderView.model_validate(_order(order_id))\n",
                "    return OrderView.model_validate(await run_in_threadpool(_order, order_id))\n",
            ),
        ),
    ),
    Edit(
        "a sync endpoint on the asynchronous engine",
        "async",
        (
            (_ORDERS, "def list_orders(", "async def list_orders("),
            (
                _ORDERS,
                "    with open_session() as session:\n        return [OrderView.model_validate(order) for order in session.scalars(query)]\n",
                "    async with open_async_session() as session:\n        return [OrderView.model_validate(order) for order in await session.scalars(query)]\n",
            ),
            (
                _ORDERS,
                "import Order, Product, Receipt, open_session\n",
                "import Order, Product, Receipt, open_async_session, open_session\n",
            ),
        ),
    ),
    Edit(
        "a coroutine as a sync endpoint",
        "async",
        (
            (_CATALOGUE, "async def report(", "def report("),
            (
                _CATALOGUE,
                '    async with open_async_session() as session:\n        sums = [{"currency": c, "orders": n, "total_cents": total} for c, n, total in await session.execute(query)]\n',
                '    with open_session() as session:\n        sums = [{"currency": c, "orders": n, "total_cents": total} for c, n, total in session.execute(query)]\n',
            ),
        ),
    ),
    Edit(
        "a polling thread as a coroutine",
        "async",
        (
            (_ORDERS, "def read_receipt(order_id: uuid.UUID)", "async def read_receipt(order_id: uuid.UUID)"),
            (
                _ORDERS,
                "    _order(order_id)\n" + _LOOKS,
                "    await run_in_threadpool(_order, order_id)\n"
                + _LOOKS.replace("        time.sleep(", "        await asyncio.sleep("),
            ),
        ),
    ),
    Edit(
        "requests in place of httpx",
        "client",
        (
            (
                _PAYMENTS,
                "    async def parcel(self, order_id: str) -> dict[str, Any]:\n",
                '    async def parcel(self, order_id: str) -> dict[str, Any]:\n        return await asyncio.to_thread(lambda: requests.get(f"{PAYMENTS_URL}/v1/parcels/{order_id}", timeout=2).json())\n\n    async def old_parcel(self, order_id: str) -> dict[str, Any]:\n',
            ),
            (_PAYMENTS, "import httpx\n", "import httpx\nimport requests\n"),
        ),
    ),
    Edit(
        "httpx2 in place of httpx",
        "upgrade",
        (
            (_PAYMENTS, "import httpx\n", "import httpx2 as httpx\n"),
            (_RATES, "import httpx\n", "import httpx2 as httpx\n"),
        ),
    ),
    Edit(
        "aiohttp in place of httpx",
        "client",
        (
            (
                _PAYMENTS,
                '        return await self._get("/v1/quotes", amount=amount_cents)\n',
                '        async with aiohttp.ClientSession() as http, http.get(f"{PAYMENTS_URL}/v1/quotes", params={"amount": amount_cents}) as answer:\n            return await answer.json()\n',
            ),
            (_PAYMENTS, "import httpx\n", "import aiohttp\nimport httpx\n"),
        ),
    ),
    Edit(
        "integers in place of Decimal",
        "arithmetic",
        ((_ORDERS, _TOTAL, "    total_cents = full_cents * (100 - percent) // 100\n"),),
    ),
    Edit(
        "a constructor in place of model_validate",
        "library",
        (
            (
                _COUPONS,
                "    return CouponView(code=coupon.code, percent=coupon.percent, days_left=max(0, left.days))\n",
                '    return CouponView.model_validate({"days_left": max(0, left.days), "percent": coupon.percent, "code": coupon.code})\n',
            ),
        ),
    ),
    Edit(
        "hmac.digest in place of hmac.new",
        "library",
        (
            (
                _WEBHOOKS,
                'hmac.new(WEBHOOK_SECRET, signed_at.encode() + b"." + body, hashlib.sha256).hexdigest()',
                'hmac.digest(WEBHOOK_SECRET, signed_at.encode() + b"." + body, "sha256").hex()',
            ),
        ),
    ),
    Edit(
        "os.urandom in place of secrets",
        "library",
        ((_COUPONS, "secrets.token_hex(4)", "os.urandom(4).hex()"), (_COUPONS, "import secrets\n", "import os\n")),
        unless=("changed-effect", "regressed"),
    ),
    Edit(
        "time.time in place of datetime.now",
        "clock",
        (
            (
                _CATALOGUE,
                '"made_at": datetime.now(UTC).isoformat()',
                '"made_at": datetime.fromtimestamp(time.time(), UTC).isoformat()',
            ),
            (_CATALOGUE, "import logging\n", "import logging\nimport time\n"),
        ),
        unless=("outcome", "regressed"),
    ),
    Edit(
        "read the clock earlier",
        "clock",
        (
            (
                _COUPONS,
                "    now = datetime.now(UTC)\n    with open_session.begin() as session:\n        coupon = _find(session, code)\n",
                "    with open_session.begin() as session:\n        coupon = _find(session, code)\n        now = datetime.now(UTC)\n",
            ),
        ),
    ),
    Edit(
        "a middleware in place of a base class",
        "library",
        ((_MAIN, "api.add_middleware(BaseHTTPMiddleware, dispatch=stamp)\n", 'api.middleware("http")(stamp)\n'),),
    ),
)
