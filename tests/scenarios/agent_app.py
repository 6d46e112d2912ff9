"""Agents as services run them: model, tool, model, answer; with both SDKs, sync, async and streamed to the client."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest_fluxrun as fluxrun

fluxrun.init(project="agents")

import anthropic
import openai
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

MODELS = os.environ["MODELS"]
oai = openai.OpenAI(base_url=f"{MODELS}/v1", api_key=os.environ["OPENAI_API_KEY"], max_retries=3)
aoai = openai.AsyncOpenAI(base_url=f"{MODELS}/v1", api_key=os.environ["OPENAI_API_KEY"], max_retries=3)
claude = anthropic.Anthropic(base_url=MODELS, api_key=os.environ["ANTHROPIC_API_KEY"], max_retries=3)
aclaude = anthropic.AsyncAnthropic(base_url=MODELS, api_key=os.environ["ANTHROPIC_API_KEY"], max_retries=3)

_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI_TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": _PARAMETERS}}]
CLAUDE_TOOLS: Any = [{"name": "weather", "description": "The weather", "input_schema": _PARAMETERS}]
api = FastAPI()


def weather(city: str) -> str:
    """A tool that no two calls of answer alike."""
    return f"{city}: {random.randint(-20, 35)} degrees"


@api.get("/health")
async def health() -> str:
    return "up"


@fluxrun.capture("agent.ask")
def ask(question: str, model: str = "steady") -> dict[str, Any]:
    """OpenAI, sync, whole answers."""
    messages: list[Any] = [{"role": "user", "content": question}]
    usage = []
    while True:
        answer = oai.chat.completions.create(model=model, messages=messages, tools=OPENAI_TOOLS)
        message = answer.choices[0].message
        usage.append(answer.usage.total_tokens if answer.usage else 0)
        if not message.tool_calls:
            return {"said": message.content, "usage": usage, "id": answer.id, "request": answer._request_id}
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            result = weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


@api.post("/openai")
def openai_sync(body: dict[str, str]) -> Any:
    return ask(**body)


@api.post("/openai/stream")
async def openai_stream(body: dict[str, str]) -> StreamingResponse:
    """OpenAI, async, streamed: every delta goes on to the client."""

    async def tokens() -> AsyncIterator[str]:
        messages: list[Any] = [{"role": "user", "content": body["question"]}]
        for _ in range(3):
            calls: dict[int, dict[str, str]] = {}
            stream = await aoai.chat.completions.create(
                model=body.get("model", "steady"),
                messages=messages,
                tools=OPENAI_TOOLS,
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                if chunk.usage:
                    yield _event("usage", chunk.usage.total_tokens)
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield _event("token", choice.delta.content)
                    for call in choice.delta.tool_calls or ():
                        held = calls.setdefault(call.index, {"id": call.id or "", "name": "", "arguments": ""})
                        held["name"] += (call.function and call.function.name) or ""
                        held["arguments"] += (call.function and call.function.arguments) or ""
                        yield _event("delta", (call.function and call.function.arguments) or "")
            if not calls:
                return
            messages.append({"role": "assistant", "tool_calls": [_called(call) for call in calls.values()]})
            for call in calls.values():
                result = weather(**json.loads(call["arguments"]))
                yield _event("tool", result)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    return StreamingResponse(tokens(), media_type="text/event-stream")


def _called(call: dict[str, str]) -> dict[str, Any]:
    return {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@api.post("/responses")
async def responses(body: dict[str, str]) -> Any:
    """OpenAI's other API, whole and streamed, at once."""

    async def streamed() -> list[str]:
        async with aoai.responses.stream(model="steady", input=body["question"]) as stream:
            return [event.delta if event.type == "response.output_text.delta" else event.type async for event in stream]

    whole, pieces = await asyncio.gather(
        aoai.responses.create(model="steady", input=body["question"]), asyncio.create_task(streamed())
    )
    return {"whole": whole.output_text, "pieces": pieces}


@api.post("/anthropic")
def anthropic_sync(body: dict[str, str]) -> Any:
    """Anthropic, sync, whole answers."""
    messages: list[Any] = [{"role": "user", "content": body["question"]}]
    while True:
        answer = claude.messages.create(
            model=body.get("model", "steady"), max_tokens=200, messages=messages, tools=CLAUDE_TOOLS
        )
        if answer.stop_reason != "tool_use":
            return {"said": answer.content[0].text, "usage": answer.usage.output_tokens, "id": answer.id}
        messages.append({"role": "assistant", "content": [block.model_dump() for block in answer.content]})
        messages.append({"role": "user", "content": _results(answer.content)})


@api.post("/anthropic/stream")
async def anthropic_stream(body: dict[str, str]) -> StreamingResponse:
    """Anthropic, async, streamed through the SDK's helper."""

    async def tokens() -> AsyncIterator[str]:
        messages: list[Any] = [{"role": "user", "content": body["question"]}]
        while True:
            async with aclaude.messages.stream(
                model=body.get("model", "steady"), max_tokens=200, messages=messages, tools=CLAUDE_TOOLS
            ) as stream:
                async for event in stream:
                    if event.type in ("text", "input_json"):
                        yield _event(event.type, event.text if event.type == "text" else event.partial_json)
                answer = await stream.get_final_message()
            yield _event("usage", answer.usage.output_tokens)
            if answer.stop_reason != "tool_use":
                return
            messages.append({"role": "assistant", "content": [block.model_dump() for block in answer.content]})
            messages.append({"role": "user", "content": _results(answer.content)})

    return StreamingResponse(tokens(), media_type="text/event-stream")


def _results(content: Any) -> list[dict[str, Any]]:
    return [
        {"type": "tool_result", "tool_use_id": block.id, "content": weather(**block.input)}
        for block in content
        if block.type == "tool_use"
    ]


@api.post("/at-once")
async def at_once(body: dict[str, str]) -> Any:
    """The same question to both providers several times at once, each answer another."""

    async def one(number: int) -> str:
        if number % 2:
            answer = await aoai.chat.completions.create(
                model="steady", messages=[{"role": "user", "content": body["question"]}]
            )
            return str(answer.choices[0].message.content)
        message = await aclaude.messages.create(
            model="steady", max_tokens=9, messages=[{"role": "user", "content": body["question"]}]
        )
        return f"{message.id} {message.usage.output_tokens}"

    return await asyncio.gather(*(one(number) for number in range(6)))


@api.exception_handler(openai.APIError)
@api.exception_handler(anthropic.APIError)
async def upstream_failed(request: Request, error: Exception) -> JSONResponse:
    """The provider's failure as the client sees it."""
    told = {"type": type(error).__name__, "message": str(error), "status": getattr(error, "status_code", None)}
    return JSONResponse(told, 502)


app = fluxrun.instrument(api, name="agents")
