"""Redaction: no form of a planted secret survives, equality does, and what is no secret stays."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_fluxrun.errors import RedactionFailed
from pytest_fluxrun.recording.redaction import redact, redact_run
from pytest_fluxrun.recording.secret_names import DenyList, Sort
from pytest_fluxrun.run import Interaction, Recording, Run
from pytest_fluxrun.tokens import Tokens
from pytest_fluxrun.values import decode, encode

KEY = b"k" * 32


def redacted(tree: Any, **rules: Any) -> Any:
    return redact(tree, key=KEY, **rules).tree


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=8, max_size=40)


@given(SECRETS, st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_a_planted_secret_survives_in_no_form(text: str, offset: int) -> None:
    """Random secrets, found at one named place, gone from every other place and encoding."""
    secret = f"S3{text}9z"
    assume("=" not in secret and "://" not in secret and "," not in secret and ";" not in secret)
    assume(secret == secret.strip())
    padded = as_base64("x" * offset + secret + "tail")
    core = padded[4:-8]
    tree = {
        "headers": [["x-api-key", secret]],
        "body": json.dumps({"note": f"it is {secret}!"}),
        "ascii": json.dumps({"note": secret}, ensure_ascii=True),
        "nested": json.dumps({"inner": json.dumps({"deep": secret})}),
        "path": f"/x/{quote(secret, safe='')}",
        "form": f"q={quote_plus(secret)}",
        "coded": padded,
        "raw": encode(b"\x00" + secret.encode() + b"\xff"),
        "zipped": encode(gzip.compress(f"a {secret}".encode())),
        "keys": {secret: 1},
    }

    result = redact(tree, key=KEY)

    blob = orjson.dumps(result.tree).decode()
    forms = [
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        orjson.dumps(secret).decode()[1:-1],
    ]
    for form in (*forms, core):
        assert form not in blob
    assert secret.encode() not in decode(result.tree["raw"])
    assert secret.encode() not in gzip.decompress(decode(result.tree["zipped"]))
    assert secret not in json.loads(json.loads(result.tree["nested"])["inner"])["deep"]


PLACES: dict[str, Any] = {
    "header": {"headers": [["Authorization", "Bearer {}"]]},
    "signature": {"headers": [["stripe-signature", "t=1700000000,v1={}"]]},
    "cookie": {"headers": [["cookie", "theme=dark; sid={}"]]},
    "nameless cookie": {"headers": [["cookie", "theme=dark; shop={}"]]},
    "set-cookie": {"headers": [["set-cookie", "basket={}; Path=/; HttpOnly"]]},
    "json": {"body": '{"user": "bob", "password": "{}"}'},
    "nested json": {"body": '{"event": "{\\"client_secret\\": \\"{}\\"}"}'},
    "form": {"body": "user=bob&password={}"},
    "query": {"url": "https://x.example/cb?state=1&access_token={}"},
    "user info": {"url": "postgres://app:{}@db.example/shop"},
    "variable": {"reads": {"environment": {"STRIPE_KEY": ["{}"]}}},
    "log": {"message": "retry with token={} now"},
    "log extra": {"extra": {"apiKey": "{}"}},
    "error": {"args": ["login failed: password: {}"]},
    "sql literal": {"sql": "SELECT * FROM users WHERE api_token = '{}'"},
    "jwt": {"note": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}"},
    "project key": {"note": "it was {} all along"},
    "bytes": {"body": "bytes:password={}"},
    "tagged": {"v": {"~": "dict", "v": [["password", "{}"], [1, 2]]}},
}


def planted(node: Any, secret: str) -> Any:
    if isinstance(node, str) and node.startswith("bytes:"):
        return encode(node[6:].replace("{}", secret).encode())
    if isinstance(node, str):
        return node.replace("{}", secret)
    if isinstance(node, list):
        return [planted(item, secret) for item in node]
    return {key: planted(item, secret) for key, item in node.items()} if isinstance(node, dict) else node


@pytest.mark.parametrize("place", PLACES)
def test_each_place_is_searched(place: str) -> None:
    """The secret goes, at its place and in an echo elsewhere; what stands around it stays."""
    secret = "fluxrun-key-xq7v" if place == "project key" else "Xq7vR2mK9pL4wT8z"
    tree = planted(PLACES[place], secret)

    result = redact({"tree": tree, "echo": f"<{secret}>"}, key=KEY)

    token = result.tokens[0]
    assert secret not in orjson.dumps(result.tree).decode()
    assert (len(token), result.tree["echo"]) == (len(secret), f"<{token}>")
    assert result.tree["tree"] == planted(PLACES[place], token)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://postgres@db.example/shop",
        "postgresql+psycopg://shop_owner@db.example/shop",
        "postgresql://postgres:postgres@db.example/shop",
        "amqp://shop_owner@queue.example//",
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_PASSWORD_URL"])
def test_user_of_a_database_is_no_secret(address: str, name: str) -> None:
    """Nor is a password that is the product's name, which its scheme begins with: the address must stay one."""
    tree = {"reads": {"environment": {name: [address]}}, "echo": "shop_owner postgresql"}
    assert tree == redacted(tree)


def test_hash_of_a_password_keeps_what_code_takes_apart() -> None:
    """Algorithm, rounds and salt stay; the hash gets a token of its shape."""
    told = "pbkdf2_sha256$600000$c2FsdA$" + "0badc0de" * 8
    found = redacted({"row": {"password": told}})["row"]["password"]
    assert (told[:28], len(told)) == (found[:28], len(found))
    assert bytes.fromhex(found[28:]) != bytes.fromhex(told[28:])


def test_token_in_the_place_of_a_user_is_a_secret() -> None:
    """As Sentry's DSN and git over HTTPS have it."""
    assert "Xq7vR2mK9pL4" not in orjson.dumps(redacted({"dsn": "https://Xq7vR2mK9pL4@sentry.example/1"})).decode()


def test_basic_credentials_go_in_both_forms() -> None:
    """The header's base64 and the password in it."""
    tree = {"headers": [["authorization", f"Basic {as_base64('bob:hunter2-hunter2')}"]], "echo": "hunter2-hunter2"}

    blob = orjson.dumps(redacted(tree)).decode()

    assert as_base64("bob:hunter2-hunter2") not in blob
    assert "hunter2" not in blob


def test_equal_secrets_are_equal_within_a_run_only() -> None:
    """One token for one secret in one run; another key, another token."""
    tree = {"a": {"token": "abcdef-123456"}, "b": "abcdef-123456", "c": {"token": "abcdef-999999"}}

    first, second = redact(tree, key=KEY), redact(tree, key=b"other")

    assert first.tree["a"]["token"] == first.tree["b"] != first.tree["c"]["token"]
    assert set(first.tokens).isdisjoint(second.tokens)


@pytest.mark.parametrize(
    "secret",
    ["0f8fad5b-d9cb-469f-a165-70867728950e", "4242424242424242", "9f86d081884c7d65", "YWJjZGVmZ2hpams9PT0="],
)
def test_tokens_keep_the_shape_that_code_parses(secret: str) -> None:
    """A UUID stays one, a number a number, hexadecimal and padding what they are."""
    token = redacted({"token": secret})["token"]

    assert token != secret
    assert len(token) == len(secret)
    assert [char == "-" for char in token] == [char == "-" for char in secret]
    assert token.isdigit() == secret.isdigit()
    if secret.isalnum() or "-" in secret:
        assert int(token.replace("-", ""), 16)
    assert token.endswith("=") == secret.endswith("=")


def test_short_and_common_secrets_go_at_their_place_only() -> None:
    """A three-digit code must not eat every 123 of a run."""
    tree = {
        "cvv": "123",
        "pin": 4711,
        "password": "admin",
        "role": "admin",
        "count": 123,
        "body": '{"pin": "0007", "n": "0007"}',
    }

    result = redacted(tree)

    assert (result["role"], result["count"], json.loads(result["body"])["n"]) == ("admin", 123, "0007")
    assert result["cvv"] != "123"
    assert result["pin"] != 4711
    assert 1000 <= result["pin"] <= 9999
    assert result["password"].startswith("fx")
    assert json.loads(result["body"])["pin"] != "0007"


@pytest.mark.parametrize("secret", ["x", "abc", "abcde", "abcdef", "abcdefg", "abcdefgh", "abcdefghi"])
def test_the_secret_itself_may_stand_where_its_token_is(secret: str) -> None:
    """A session cookie that the app sets anew at replay equals the recorded one, however short it is."""
    result = redact([["set-cookie", f"sid={secret}; Path=/"]], key=KEY)

    recorded = result.tree[0][1]

    assert recorded != f"sid={secret}; Path=/"
    assert Tokens(result.tokens).alike(recorded, f"sid={secret}; Path=/")


def test_a_number_is_not_replaced_inside_another() -> None:
    """Timestamps survive a six-digit code."""
    tree = {"otp": "123456", "at_ns": 1700123456000, "echo": "code 123456", "ratio": 0.123456, "n": 123456}

    result = redacted(tree)

    assert (result["at_ns"], result["ratio"]) == (1700123456000, 0.123456)
    assert "123456" not in result["echo"]
    assert str(result["n"]) == result["otp"]


def test_a_word_that_is_also_a_key_stays_a_key() -> None:
    """A password `headers` must not break the document."""
    tree = {"headers": [["x", "y"]], "password": "headers"}

    result = redacted(tree)

    assert (result["headers"], result["password"] != "headers") == ([["x", "y"]], True)


@pytest.mark.parametrize(
    "name",
    [
        "author",
        "tokenizer",
        "max_tokens",
        "prompt_tokens",
        "token_type",
        "session_timeout",
        "Idempotency-Key",
        "key",
        "pinned",
        "password_hint",
        "compass",
        "assignee",
        "monkey",
        "expires_in",
        "cache-control",
        "design",
        "content-type",
        "authority",
    ],
)
def test_names_that_only_resemble_a_secret_are_plain(name: str) -> None:
    """False positives break replays."""
    sort = DenyList().sort(name)
    assert sort is Sort.PLAIN or isinstance(redacted({name: 512})[name], int)
    assert redacted({name: 512})[name] == 512


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "userPassword",
        "passwd",
        "X-API-Key",
        "apikey",
        "client_secret",
        "AWS_SECRET_ACCESS_KEY",
        "accessToken",
        "Proxy-Authorization",
        "sessionid",
        "PHPSESSID",
        "csrftoken",
        "private_key",
        "x-hub-signature-256",
        "cvv",
        "ssn",
        "sid",
    ],
)
def test_names_of_secrets_are_denied(name: str) -> None:
    """Whatever their spelling."""
    assert DenyList().sort(name) is not Sort.PLAIN


def test_a_project_adds_and_exempts_names() -> None:
    """`deny` counts inside a name, `allow` whole."""
    tree = {"loyaltyNumber": "LN-48151623", "session": "visible-session-1"}

    result = redacted(tree, deny=("loyalty",), allow=("session",))

    assert (result["loyaltyNumber"] != "LN-48151623", result["session"]) == (True, "visible-session-1")


def test_named_values_come_from_a_kind() -> None:
    """What stands in a list is named from outside: SQL parameters by column."""
    tree = {"binds": ["bob", "correct-horse"]}

    assert redacted(tree, named=[("users.password", "correct-horse"), ("name", "bob")])["binds"][0] == "bob"
    assert redacted(tree, named=[("users.password", b"correct-horse")])["binds"][1].startswith("fx")


def test_the_given_tree_is_not_changed() -> None:
    """A preamble is shared by runs."""
    tree = {"password": "correct-horse", "pin": 4711, "list": [["token", "abc"]]}
    before = orjson.dumps(tree)

    redact(tree, key=KEY)

    assert orjson.dumps(tree) == before


def test_over_budget_and_broken_documents_fail_closed() -> None:
    """The caller must drop the payload; the message holds nothing of it."""
    with pytest.raises(RedactionFailed, match="CPU time"):
        redact({"a": [{"password": f"secret-{n}"} for n in range(100)]}, key=KEY, budget_s=-1)
    with pytest.raises(RedactionFailed, match="the redactor raised") as caught:
        redact({"password": object()}, key=KEY)
    assert caught.value.__cause__ is None
    with pytest.raises(RedactionFailed, match="more than 1000"):
        redact([{"password": f"secret-{n}"} for n in range(1001)], key=KEY)


def test_a_run_is_redacted_whole() -> None:
    """Input, outcome, interactions, reads, logs and the preamble share one token; the run names it."""
    secret = "Xq7vR2mK9pL4wT8z"
    sql = {
        "database": "shop.db",
        "sql": "INSERT INTO users (name, password) VALUES (?, ?)",
        "binds": ["bob", secret],
        "many": False,
    }
    recording = Recording(
        wall_ns=1,
        mono_ns=2,
        perf_ns=3,
        duration_ns=4,
        interactions=(Interaction("sqlite3", "sql", 1, 0, 1, 2, sql, {"rows": [[secret]]}),),
        reads={"environment": {"HOME": ["/srv"]}},
        logs=({"message": f"made {secret}"},),
    )
    preamble = dataclasses.replace(recording, interactions=(), reads={"environment": {"X": [secret]}}, logs=())
    run = Run("id", "shop", "shop", "asgi", {"body": f"x={secret}"}, {"returned": secret}, recording, preamble)

    result = redact_run(run)

    assert secret not in result.to_payload().decode()
    (token,) = result.tokens
    assert result.input == {"body": f"x={token}"}
    assert result.recording.interactions[0].request["binds"] == ["bob", token]
    assert result.preamble.reads == {"environment": {"X": [token]}}
    assert (result.recording.mono_ns, result.recording.interactions[0].ended_ns) == (2, 2)


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        ("eyJ1c2VyIjogImFsaWNlIn0=.ZyX1aQ.d8kT0qJ5mYb0cJm3oXr2Qn7LwUE", "eyJ1c2VyIjogImFsaWNlIn0=.ZyX1aQ."),
        ("alice:1tFq0Z:fD0mZrY1g5WZbYl0m0kS7nq3dL8tPpXz4aVb6cQe1Ws", "alice:1tFq0Z:"),
        ("alice.9e107d9d372bb6826bd81d3542a419d6", "alice."),
    ],
)
def test_of_a_signed_cookie_the_signature_alone_is_replaced(cookie: str, kept: str):
    """The app can still read what was signed, and the signature is gone."""
    tree = {"headers": [["cookie", f"session={cookie}"]]}

    redacted = redact(tree, key=b"k" * 32)

    shown = redacted.tree["headers"][0][1]
    assert shown.startswith(f"session={kept}")
    assert cookie.removeprefix(kept) not in shown
    assert len(f"session={cookie}") == len(shown)


def test_of_several_versioned_signatures_each_is_replaced_and_can_still_be_decoded():
    """Standard Webhooks splits the header and decodes what follows the comma."""
    first, second = (base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2))

    ((_, header),) = redacted({"headers": [["svix-signature", f"v1,{first} v1a,{second}"]]})["headers"]

    versions, tokens = zip(*(part.split(",") for part in header.split(" ")), strict=True)
    assert ("v1", "v1a") == versions
    assert [32, 32] == [len(base64.b64decode(token)) for token in tokens]
    assert not {first, second} & {*tokens}


@pytest.mark.parametrize("size", [16, 24, 32, 33, 64])
def test_the_token_of_a_webhook_secret_says_what_it_is_and_can_be_decoded(size: int):
    """Svix takes the prefix off and decodes the rest, whatever its length."""
    secret = "whsec_" + base64.b64encode(bytes(range(size))).decode()

    token = redacted({"webhook_secret": secret})["webhook_secret"]

    assert ("whsec_", len(secret)) == (token[:6], len(token))
    assert size == len(base64.b64decode(token[6:]))
    assert secret[6:] != token[6:]


def test_a_short_secret_keeps_no_prefix():
    """What would be left to guess is too little."""
    assert not redacted({"password": "sk-12345"})["password"].startswith("sk-")


@pytest.mark.parametrize(
    "text",
    [
        'data: {"usage": {"prompt_tokens": 1024, "total_tokens": 123456}}\n\n',
        "usage: prompt_tokens=1024 total_tokens=123456",
        'event: x\ndata: {"usage": {"tokens": [512, 1234567]}}',
    ],
)
def test_counts_of_tokens_in_a_text_are_no_secrets(text: str):
    """A stream of a model's events stays JSON that its SDK can read."""
    assert text == redacted({"chunks": [text]})["chunks"][0]


@pytest.mark.parametrize("text", ['data: {"pin": 483921}', "token=48392117", 'data: {"password": 4839217}'])
def test_numbers_that_are_secrets_are_replaced_in_a_text(text: str):
    """The text around them stays as it is."""
    got = redacted({"chunks": [text]})["chunks"][0]
    assert "4839" not in got
    assert text.endswith("}") == got.endswith("}")


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        ('<form data-w-session-interval-value="10000">', "10000"),
        ('<p data-session-target="[data-edit-form]">', "[data-edit-form]"),
        ('<form data-csrf-token="a8Kq27zLm0Pq41Rt">', None),
    ],
)
def test_attribute_of_a_page_is_no_secret_for_its_name(page: str, kept: str | None) -> None:
    """What a page says of itself stays, unless it looks like a token."""
    redacted = redact({"body": page}, key=b"k" * 32).tree["body"]

    assert (redacted == page) == (kept is not None)
    assert "a8Kq27zLm0Pq41Rt" not in redacted


@pytest.mark.parametrize(
    ("credentials", "user", "password"), [("bob:hunter2-hunter2", "bob", ""), ("sk_0123456789abcdef:", "", "")]
)
def test_basic_credentials_can_still_be_decoded(credentials: str, user: str, password: str) -> None:
    """An app that authenticates by them finds the user as recorded, and a token in the secret's place."""
    tree = {"headers": [["authorization", f"Basic {base64.b64encode(credentials.encode()).decode()}"]]}

    redacted = redact(tree, key=b"k" * 32)
    encoded = redacted.tree["headers"][0][1].removeprefix("Basic ")
    found, colon, given = base64.b64decode(encoded, validate=True).decode().partition(":")

    assert colon == ":"
    assert (found if user else given) == (user or password)
    assert (given if user else found) in redacted.tokens


@pytest.mark.parametrize(
    ("columns", "rows", "shown"),
    [
        (["app_label", "codename"], [["auth", "add_permission"]], [["auth", "add_permission"]]),
        (["app_label", "codename"], [{"~": "tuple", "v": ["auth", "add_permission"]}], None),
        (["name", "value"], [["api_key", "Xq7vR2mK9pL4wT8z"]], "fx"),
    ],
)
def test_a_row_of_two_columns_is_a_pair_only_where_the_columns_say_so(
    columns: list[str], rows: list[Any], shown: Any
) -> None:
    """A permission of the app `auth` is no secret; a setting by the name of one is."""
    tree = {"answer": {"columns": columns, "rows": rows}}

    found = redact(tree, key=b"k" * 32).tree["answer"]["rows"]

    if shown == "fx":
        assert (found[0][0], found[0][1][:2]) == ("api_key", "fx")
    else:
        assert (rows if shown is None else shown) == found
