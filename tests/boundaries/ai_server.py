"""A local server that speaks the wire formats of OpenAI (chat completions, responses) and Anthropic (messages).

A model asks for the weather of each city named, once, then says what it heard; ids and wordings are random, so that
only a recording can repeat them. The model's name says what goes wrong on the way: `flaky-429`, `flaky-529`, `drop`.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving

__all__ = ["AiServer", "ai_server"]

Event = tuple[str, dict[str, Any] | str]
_CITY = re.compile(r"\b(?:Oslo|Lima|Kyoto)\b")
_FAILURES = {"flaky-429": (429, 2), "flaky-500": (500, 1), "flaky-529": (529, 1), "broken": (500, 99)}
"""By model: the status that comes first, and how often."""


class AiServer(ThreadingHTTPServer):
    """Counts requests: all of them, and per model."""

    daemon_threads = True
    hits = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.by_model: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def ai_server() -> Iterator[AiServer]:
    """Serve on loopback for the block."""
    server = AiServer()
    with serving(server):
        yield server


class _Handler(BaseHTTPRequestHandler):
    server: AiServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.hits += 1
        self.server.by_model[asked["model"]] += 1
        status, times = _FAILURES.get(asked["model"], (200, 0))
        if self.server.by_model[asked["model"]] <= times:
            self._fail(status)
            return
        whole, events = _ROUTES[self.path](asked)
        if asked.get("stream"):
            self._stream(events, drop_at=4 if asked["model"] == "drop" else None)
        else:
            self._json(200, whole)

    def _fail(self, status: int) -> None:
        kind = {429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
        headers = {"retry-after-ms": "40"} if status == 429 else {}
        error = {"type": kind, "message": f"try again {secrets.token_hex(3)}", "code": None, "param": None}
        self._json(status, {"type": "error", "error": error}, headers)

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"content-type": "application/json", **_ids()} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: Iterator[Event], drop_at: int | None) -> None:
        self.send_response(200)
        for name, value in {"content-type": "text/event-stream; charset=utf-8", **_ids()}.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, (name, data) in enumerate(events):
            if number == drop_at:
                self.close_connection = True
                return
            head = f"event: {name}\n" if name else ""
            self._chunk(f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode())
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


def _ids() -> dict[str, str]:
    request = secrets.token_hex(12)
    return {"x-request-id": f"req_{request}", "request-id": f"req_{request}"}


def _pieces(text: str) -> Iterator[str]:
    """A text in tokens of a few characters."""
    while text:
        size = random.randint(1, 7)
        yield text[:size]
        text = text[size:]


def _said(heard: list[str]) -> str:
    """The model's last words."""
    return f"I heard {len(heard)} answers: {'; '.join(heard)}. {secrets.token_hex(random.randint(2, 9))} – “done”."


def _wanted(texts: list[str]) -> list[str]:
    return sorted({city for text in texts for city in _CITY.findall(text)})


# -- OpenAI: chat completions ------------------------------------------------------------------------------------------


def _chat(asked: dict[str, Any]) -> tuple[dict[str, Any], Iterator[Event]]:
    messages = asked["messages"]
    heard = [message["content"] for message in messages if message["role"] == "tool"]
    cities = _wanted([message["content"] for message in messages if message["role"] == "user"])
    calls = [] if heard or not asked.get("tools") else [_chat_call(city) for city in cities]
    text = None if calls else _said(heard)
    usage = {"prompt_tokens": len(str(messages)), "completion_tokens": random.randint(5, 90)}
    usage["total_tokens"] = sum(usage.values())
    base = {"id": f"chatcmpl-{secrets.token_hex(8)}", "created": int(time.time()), "model": asked["model"]}
    reason = "tool_calls" if calls else "stop"
    message = {"role": "assistant", "content": text, "refusal": None} | ({"tool_calls": calls} if calls else {})
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
    return whole, _chat_events(base, text, calls, reason, usage)


def _chat_call(city: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {"id": f"call_{secrets.token_hex(8)}", "type": "function", "function": function}


def _chat_events(
    base: dict[str, Any], text: str | None, calls: list[dict[str, Any]], reason: str, usage: dict[str, int]
) -> Iterator[Event]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return "", {**base, "object": "chat.completion.chunk", "choices": [choice]}

    yield chunk({"role": "assistant", "content": None if calls else ""})
    for index, call in enumerate(calls):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield chunk({"tool_calls": [{**call, "index": index, "function": function}]})
        for piece in _pieces(call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for piece in _pieces(text or ""):
        yield chunk({"content": piece})
    yield chunk({}, reason)
    yield "", {**base, "object": "chat.completion.chunk", "choices": [], "usage": usage}
    yield "", "[DONE]"


# -- OpenAI: responses -------------------------------------------------------------------------------------------------


def _responses(asked: dict[str, Any]) -> tuple[dict[str, Any], Iterator[Event]]:
    text = _said([])
    item: dict[str, Any] = {"id": f"msg_{secrets.token_hex(8)}", "type": "message", "role": "assistant"}
    part = {"type": "output_text", "text": text, "annotations": []}
    base = {
        "id": f"resp_{secrets.token_hex(8)}",
        "object": "response",
        "created_at": int(time.time()),
        "model": asked["model"],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    usage = {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # type: ignore[dict-item]
    done = {**item, "status": "completed", "content": [part]}
    whole = {**base, "status": "completed", "output": [done], "usage": usage}

    def events() -> Iterator[Event]:
        steps: tuple[tuple[str, dict[str, Any]], ...] = (
            ("response.created", {"response": {**base, "status": "in_progress", "output": []}}),
            (
                "response.output_item.added",
                {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
            ),
            (
                "response.content_part.added",
                {"item_id": item["id"], "output_index": 0, "content_index": 0, "part": {**part, "text": ""}},
            ),
            *(
                (
                    "response.output_text.delta",
                    {"item_id": item["id"], "output_index": 0, "content_index": 0, "delta": piece},
                )
                for piece in _pieces(text)
            ),
            ("response.output_item.done", {"output_index": 0, "item": done}),
            ("response.completed", {"response": whole}),
        )
        for number, (name, data) in enumerate(steps):
            yield name, {"type": name, "sequence_number": number, **data}

    return whole, events()


# -- Anthropic: messages -----------------------------------------------------------------------------------------------


def _messages(asked: dict[str, Any]) -> tuple[dict[str, Any], Iterator[Event]]:
    blocks = [
        block for message in asked["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    heard = [str(block["content"]) for block in blocks if block["type"] == "tool_result"]
    cities = _wanted([message["content"] for message in asked["messages"] if isinstance(message["content"], str)])
    content: list[dict[str, Any]] = [{"type": "text", "text": "Let me look." if not heard else _said(heard)}]
    if not heard and asked.get("tools"):
        content += [
            {"type": "tool_use", "id": f"toolu_{secrets.token_hex(8)}", "name": "weather", "input": {"city": city}}
            for city in cities
        ]
    reason = "tool_use" if len(content) > 1 else "end_turn"
    usage = {"input_tokens": len(str(asked["messages"])), "output_tokens": random.randint(5, 90)}
    whole = {
        "id": f"msg_{secrets.token_hex(8)}",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }
    return whole, _message_events(whole)


def _message_events(whole: dict[str, Any]) -> Iterator[Event]:
    def event(name: str, **data: Any) -> Event:
        return name, {"type": name, **data}

    started = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield event("message_start", message=started)
    yield event("ping")
    for index, block in enumerate(whole["content"]):
        text = block["type"] == "text"
        empty = {**block, "text": ""} if text else {**block, "input": {}}
        yield event("content_block_start", index=index, content_block=empty)
        for piece in _pieces(block["text"] if text else json.dumps(block["input"])):
            delta = (
                {"type": "text_delta", "text": piece} if text else {"type": "input_json_delta", "partial_json": piece}
            )
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=ending, usage={"output_tokens": whole["usage"]["output_tokens"]})
    yield event("message_stop")


_ROUTES = {"/v1/chat/completions": _chat, "/v1/responses": _responses, "/v1/messages": _messages}
