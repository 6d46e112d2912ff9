"""The reader against every vector of docs/spec/bundle-v1.md, which a second implementation wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.bundle import Algorithm, Producer, ProjectKey, PublicKey, Trust, cobblestone, open_bundle
from pytest_fluxrun.bundle.base32 import decode_text
from pytest_fluxrun.errors import BundleError

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "tests/vectors/bundle-v1.json").read_text(encoding="ascii"))
HAS_MLKEM = ProjectKey.generate().public.algorithm is Algorithm.XWING
BY_NAME = {vector["name"]: vector for vector in DOCUMENT["vectors"]}


@pytest.fixture(scope="module")
def vector_trust() -> Trust:
    """Return the trust that the vectors share."""
    stated = DOCUMENT["trust"]
    return Trust(
        stated["project"],
        (),
        tuple(
            Producer(bytes.fromhex(one["id"]), decode_text("fluxrun-verify-", one["key"])[0], revoked=one["revoked"])
            for one in stated["producers"]
        ),
    )


def _opened(vector: dict[str, Any], trust: Trust) -> tuple[str, bytes]:
    keys = [ProjectKey.parse(text) for text in vector["keys"]]
    try:
        _, payload = open_bundle(base64.b64decode(vector["bundle"]), keys=keys, trust=trust)
    except BundleError as error:
        explained = error.reason if error.why and error.next_step else "unexplained"
        return explained, b""
    return "success", payload


@pytest.mark.parametrize("cipher", ["native", "portable"])
@pytest.mark.parametrize("name", BY_NAME)
def test_vector_gives_what_it_says(
    name: str, cipher: str, vector_trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vector opens to its payload, or is refused with its code, with either body cipher."""
    vector = BY_NAME[name]
    if not HAS_MLKEM and any(text.startswith("fluxrun-key-09") for text in vector["keys"]):
        pytest.skip("cryptography 47 has no ML-KEM-768")
    if cipher == "portable":
        monkeypatch.setattr(cobblestone, "decrypt", cobblestone.decrypt_portable)

    result, payload = _opened(vector, vector_trust)

    assert vector["expect"] == result
    if result == "success":
        assert vector["payload_len"] == len(payload)
        assert vector["payload_sha256"] == hashlib.sha256(payload).hexdigest()


def test_vectors_cover_every_code_of_the_spec() -> None:
    """No error code of the spec is without a vector."""
    spec = (ROOT / "docs/spec/bundle-v1.md").read_text(encoding="utf-8")
    table = spec.partition("## 8.")[2].partition("## 9.")[0]
    codes = set(re.findall(r"`([a-z-]+)`", "\n".join(line for line in table.splitlines() if line.startswith("|"))))

    assert codes | {"success"} == {vector["expect"] for vector in DOCUMENT["vectors"]}


@pytest.mark.skipif(not HAS_MLKEM, reason="cryptography 47 has no ML-KEM-768")
def test_key_ids_are_those_of_the_second_implementation() -> None:
    """Public keys parse to the ids that the vectors state."""
    for stated in DOCUMENT["trust"]["recipients"]:
        assert stated["id"] == PublicKey.parse(stated["key"]).key_id.hex()
