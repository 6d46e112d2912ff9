"""Write bundle-v1.json beside this file, from docs/spec/bundle-v1.md and nothing of pytest_fluxrun: a second writer.

All inputs are fixed, but HPKE draws an ephemeral key for each wrap, so that a new file has other wraps.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

D = b"pytest-fluxrun/bundle@v1/"
MAGIC = b"\x89FXR\r\n\x1a\n"
SUITES = {
    1: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    2: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
}
PAYLOAD = b'{"calls":[],"outcome":{"status":500}}'
INDEX = {
    "schema": 1,
    "run_id": "01jd3k0000000000000000000a",
    "project": "shop",
    "entry": "orders.create",
    "route": "POST /orders/{order_id}",
    "status": 500,
    "error_type": "KeyError",
    "fingerprint": "00112233445566778899aabbccddeeff",
    "started_at_unix_ns": 1732000000000000000,
    "duration_us": 1234,
    "counts": {"http": 2, "sql": 3},
    "fluxrun_version": "0.1.0",
    "python_version": "3.11.9",
    "release": "a1b2c3d",
    "sequence": 7,
    "readiness": "recorded",
    "reasons": [],
}


def fixed(label: str, size: int = 32) -> bytes:
    """Return the bytes that stand for this label in every run of the script."""
    return hashlib.shake_256(b"fluxrun test vector: " + label.encode()).digest(size)


class Key:
    """A project key."""

    def __init__(self, label: str, algorithm: int) -> None:
        self.algorithm, self.seed = algorithm, fixed(label)
        self.public: X25519PublicKey | MLKEM768X25519PublicKey
        if algorithm == 1:
            single = X25519PrivateKey.from_private_bytes(self.seed)
            self.public, raw = single.public_key(), single.public_key().public_bytes_raw()
        else:
            expanded = hashlib.shake_256(self.seed).digest(96)
            lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
            curve = X25519PrivateKey.from_private_bytes(expanded[64:])
            self.public = MLKEM768X25519PrivateKey(lattice, curve).public_key()
            raw = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(D + b"key-id\0" + bytes([algorithm]) + raw).digest()[:16]
        self.text = text_form("fluxrun-key-", bytes([algorithm]) + self.seed)
        self.public_text = text_form("fluxrun-pub-", bytes([algorithm]) + raw)

    def wrap(self, data_key: bytes, index: bytes) -> bytes:
        """Return a wrap, with its head."""
        info = D + b"wrap\0" + self.key_id + hashlib.sha256(index).digest()
        return bytes([self.algorithm]) + self.key_id + SUITES[self.algorithm].encrypt(data_key, self.public, info=info)


class Signer:
    """A producer."""

    def __init__(self, label: str) -> None:
        self.producer_id = fixed(label + " id", 16)
        self.key = Ed25519PrivateKey.from_private_bytes(fixed(label))
        self.verify_text = text_form("fluxrun-verify-", self.key.public_key().public_bytes_raw())


def text_form(prefix: str, content: bytes) -> str:
    """Return spec section 9, digit by digit."""
    checked = content + hashlib.sha256(D + b"text\0" + prefix.encode() + content).digest()[:4]
    bits = "".join(f"{byte:08b}" for byte in checked)
    bits += "0" * (-len(bits) % 5)
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return prefix + "".join(alphabet[int(bits[at : at + 5], 2)] for at in range(0, len(bits), 5))


ALICE, BOB, MALLORY = Key("alice", 1), Key("bob", 2), Key("mallory", 1)
CROWD = [Key(f"crowd {number}", 1) for number in range(17)]
PRODUCTION, RETIRED, STRANGER = Signer("production"), Signer("retired"), Signer("stranger")


def canonical(index: dict[str, object]) -> bytes:
    """Return spec section 3's form."""
    return json.dumps(index, sort_keys=True, separators=(",", ":")).encode("ascii")


def frame(codec: int, stream: bytes, payload_len: int, **overrides: int) -> bytes:
    """Return a frame; `pad_to` and `stream_len` may be given."""
    size = 17 + len(stream)
    exponent = math.floor(math.log2(size))
    unit = 2 ** (exponent - (math.floor(math.log2(exponent)) + 1))
    padded = 1024 if size <= 1024 else -(-size // unit) * unit
    head = struct.pack(">BQQ", codec, payload_len, overrides.get("stream_len", len(stream)))
    return (head + stream).ljust(overrides.get("pad_to", padded), b"\0")


def packed(payload: bytes) -> bytes:
    """Return the frame with codec 1."""
    return frame(1, zlib.compress(payload, 1), len(payload))


def cobblestone(key: bytes, context: bytes, plaintext: bytes) -> bytes:
    """Return C2SP chunked-encryption with a fixed salt."""
    salt = fixed("salt", 24)
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    derived = HKDFExpand(SHA512(), 76, info).derive(key)
    nonce = int.from_bytes(derived[32:44], "big")
    sealed = salt + derived[44:]
    for number in range(len(plaintext) // 16384 + 1):
        chunk = plaintext[number * 16384 : (number + 1) * 16384]
        sealed += AESGCM(derived[:32]).encrypt((nonce ^ number).to_bytes(12, "big"), chunk, None)
    return sealed


@dataclass(frozen=True)
class Recipe:
    """A bundle to be; what a vector breaks is set here, and the signature is made over the broken bytes."""

    keys: list[Key] = field(default_factory=lambda: [ALICE])
    signer: Signer = PRODUCTION
    index: bytes | None = None
    members: Mapping[str, object] = field(default_factory=dict)
    frame: bytes = packed(PAYLOAD)
    wraps: bytes | None = None
    wrapped_for: bytes | None = None
    body_for: bytes | None = None
    body: bytes | None = None
    version: int = 1
    lengths: dict[str, int] = field(default_factory=dict)
    body_sha256: bytes | None = None
    data_key: bytes = fixed("data key")

    def index_bytes(self) -> bytes:
        """Return the index."""
        if self.index is not None:
            return self.index
        return canonical({**INDEX, "recipients": [key.key_id.hex() for key in self.keys], **self.members})

    def build(self) -> bytes:
        """Return the bundle."""
        index = self.index_bytes()
        wraps = self.wraps
        if wraps is None:
            wraps = b"".join(key.wrap(self.data_key, self.wrapped_for or index) for key in self.keys)
        context = D + b"body\0" + hashlib.sha256(self.body_for or index).digest()
        body = cobblestone(fixed("data key"), context, self.frame) if self.body is None else self.body
        get = self.lengths.get
        signed = MAGIC + struct.pack(">BII", self.version, get("index", len(index)), get("wraps", len(wraps)))
        signed += index + wraps + struct.pack(">Q", get("body", len(body)))
        signed += (self.body_sha256 or hashlib.sha256(body).digest()) + self.signer.producer_id
        return signed + self.signer.key.sign(D + b"sig\0" + hashlib.sha256(signed).digest()) + body


GOOD = Recipe()
LAST = {**INDEX, "recipients": [ALICE.key_id.hex()]}
Vector = tuple[str, str, str, bytes]


def flipped(data: bytes, at: int) -> bytes:
    """Return the bytes with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def successes() -> Iterator[tuple[str, str, list[Key], bytes, bytes]]:
    """Yield name, comment, keys at hand, bundle, payload."""
    noise = fixed("noise", 16_400)
    yield "x25519", "one recipient of alg 1", [ALICE], GOOD.build(), PAYLOAD
    yield "xwing", "one recipient of alg 2", [BOB], replace(GOOD, keys=[BOB]).build(), PAYLOAD
    both = replace(GOOD, keys=[ALICE, BOB]).build()
    yield "second_of_two", "two recipients; only the second key is at hand", [BOB], both, PAYLOAD
    crowd = replace(GOOD, keys=CROWD[:16]).build()
    yield "sixteen_wraps", "as many recipients as there may be", [CROWD[15]], crowd, PAYLOAD
    yield "empty_payload", "a payload of no bytes", [ALICE], replace(GOOD, frame=packed(b"")).build(), b""
    stored = frame(0, PAYLOAD, len(PAYLOAD))
    yield "stored", "codec 0", [ALICE], replace(GOOD, frame=stored).build(), PAYLOAD
    two = frame(0, noise, len(noise))
    yield "two_chunks", "a frame of more than 16,384 bytes", [ALICE], replace(GOOD, frame=two).build(), noise
    full = frame(1, zlib.compress(PAYLOAD), len(PAYLOAD), pad_to=16384)
    yield "last_chunk_empty", "a frame of exactly 16,384 bytes", [ALICE], replace(GOOD, frame=full).build(), PAYLOAD
    bare = frame(1, zlib.compress(PAYLOAD), len(PAYLOAD), pad_to=0)
    yield "no_padding", "a writer that doesn't pad", [ALICE], replace(GOOD, frame=bare).build(), PAYLOAD
    dense = packed(bytes(1_638_400))
    yield "ratio_at_limit", "200 times 8,192 bytes", [ALICE], replace(GOOD, frame=dense).build(), bytes(1_638_400)
    sparse = {
        name: INDEX[name] for name in ("schema", "run_id", "project", "entry", "started_at_unix_ns", "duration_us")
    }
    sparse |= {"fluxrun_version": "", "python_version": "", "recipients": [ALICE.key_id.hex()]}
    yield "required_only", "no optional member", [ALICE], replace(GOOD, index=canonical(sparse)).build(), PAYLOAD
    unready = {"readiness": "unready", "reasons": ["over-bound", "opaque:host:db"], "status": None}
    yield "unready", "reasons, and no status", [ALICE], replace(GOOD, members=unready).build(), PAYLOAD
    traced = {"trace": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "parent_id": "00f067aa0ba902b7"}}
    traced["trace"] |= {"request_id": "req-7f3a/1", "amzn_trace_id": "1-67891233-abcdef012345678912345678"}
    yield "trace", "ids of what started the run", [ALICE], replace(GOOD, members=traced).build(), PAYLOAD


def broken_layout() -> Iterator[Vector]:
    """Yield name, comment, code, bundle: checks 2 to 11."""
    good = GOOD.build()
    index_len, body_at = len(GOOD.index_bytes()), len(good) - len(cobblestone(bytes(32), b"", GOOD.frame))
    wrap = ALICE.wrap(fixed("data key"), GOOD.index_bytes())
    yield "other_file", "a PNG", "not-a-bundle", b"\x89PNG\r\n\x1a\n" + good[8:]
    yield "text_mode", "CR LF became LF on the way", "not-a-bundle", good.replace(b"\r\n", b"\n")
    yield "empty", "no bytes", "truncated", b""
    yield "cut_in_magic", "five bytes", "truncated", good[:5]
    yield "cut_in_head", "sixteen bytes", "truncated", good[:16]
    yield "cut_in_index", "", "truncated", good[: 17 + index_len // 2]
    yield "cut_in_signature", "", "truncated", good[: body_at - 1]
    yield "cut_before_body", "", "truncated", good[:body_at]
    yield "cut_in_body", "the last byte is missing", "truncated", good[:-1]
    yield "trailing_data", "one byte follows", "damaged", good + b"\0"
    yield "version_0", "", "damaged", replace(GOOD, version=0).build()
    yield "version_2", "a later format", "unsupported-version", replace(GOOD, version=2).build()
    for name, limit in (("index", 65_537), ("wraps", 18_961), ("body", (64 << 20) + 1)):
        yield f"{name}_len_over", f"{limit} declared", "over-limit", replace(GOOD, lengths={name: limit}).build()
    yield "body_len_max", "2^64-1 declared", "over-limit", replace(GOOD, lengths={"body": 2**64 - 1}).build()
    yield "body_len_impossible", "a last chunk of 15 bytes", "damaged", replace(GOOD, body=bytes(71)).build()
    yield "body_digest", "", "damaged", replace(GOOD, body_sha256=bytes(32)).build()
    yield "body_changed", "one bit of the body", "damaged", flipped(good, len(good) - 20)
    yield "wrap_alg_unknown", "alg 3", "damaged", replace(GOOD, wraps=b"\3" + wrap[1:]).build()
    yield "wrap_cut_off", "96 of 97 bytes", "damaged", replace(GOOD, wraps=wrap[:-1]).build()
    yield "wrap_twice", "one key id in two wraps", "damaged", replace(GOOD, wraps=wrap + wrap).build()
    yield "no_wraps", "", "over-limit", replace(GOOD, wraps=b"").build()
    yield "seventeen_wraps", "", "over-limit", replace(GOOD, keys=CROWD).build()


def broken_trust() -> Iterator[Vector]:
    """Yield name, comment, code, bundle: checks 12 to 15."""
    good = GOOD.build()
    index = GOOD.index_bytes()
    twice = index.replace(b'{"counts"', b'{"sequence":1,"counts"')
    yield "untrusted", "a producer that the trust file lacks", "untrusted", replace(GOOD, signer=STRANGER).build()
    yield "revoked", "a producer that is revoked", "untrusted", replace(GOOD, signer=RETIRED).build()
    yield "index_changed", "status 500 became 501", "bad-signature", good.replace(b'"status":500', b'"status":501')
    wrap_at = 17 + len(index)
    yield "wrap_changed", "one bit of a wrap", "bad-signature", flipped(good, wrap_at + 60)
    at = len(good) - len(cobblestone(bytes(32), b"", GOOD.frame)) - 10
    yield "signature_changed", "one bit of it", "bad-signature", flipped(good, at)
    impostor = Signer("impostor")
    impostor.producer_id = PRODUCTION.producer_id
    yield "impostor", "another key under a trusted id", "bad-signature", replace(GOOD, signer=impostor).build()
    yield "schema_2", "a later schema", "unsupported-version", replace(GOOD, members={"schema": 2}).build()
    for name, members in (
        ("index_unknown_member", {"user": "alice"}),
        ("index_bad_character", {"route": "GET /orders/\u00e9"}),
        ("index_run_id", {"run_id": "81jd3k0000000000000000000a"}),
        ("index_wrong_type", {"status": "500"}),
        ("index_huge_integer", {"sequence": 10**4000}),
        ("trace_unknown_member", {"trace": {"user_id": "alice"}}),
        ("trace_of_zeros", {"trace": {"trace_id": "0" * 32}}),
        ("trace_free_text", {"trace": {"request_id": "alice@shop.example"}}),
        ("recipients_differ", {"recipients": [BOB.key_id.hex()]}),
        ("recipients_missing", {"recipients": []}),
    ):
        yield name, "", "damaged", replace(GOOD, members=members).build()
    for name, comment, changed in (
        ("index_white_space", "", index.replace(b",", b", ", 1)),
        ("index_member_twice", "sequence", twice),
        ("index_not_json", "", b"[" * 5_000),
        ("index_empty", "", b""),
    ):
        yield name, comment, "damaged", replace(GOOD, index=changed).build()
    yield "foreign_key", "sealed to a key that isn't at hand", "locked", replace(GOOD, keys=[MALLORY]).build()


def broken_content() -> Iterator[Vector]:
    """Yield name, comment, code, bundle: checks 16 to 19, each rightly signed."""
    index, stream = GOOD.index_bytes(), zlib.compress(PAYLOAD, 1)
    other = canonical({**LAST, "sequence": 8})
    wrap = ALICE.wrap(fixed("data key"), index)
    yield "wrap_damaged", "", "damaged", replace(GOOD, wraps=flipped(wrap, 60)).build()
    yield "wrap_low_order", "an enc of zeros", "damaged", replace(GOOD, wraps=wrap[:17] + bytes(80)).build()
    yield "wrap_of_other_bundle", "info of another index", "damaged", replace(GOOD, wrapped_for=other).build()
    other_alg = b"\2" + ALICE.key_id + bytes(1168)
    yield "wrap_alg_differs", "the key id of alice under alg 2", "damaged", replace(GOOD, wraps=other_alg).build()
    yield "data_key_differs", "", "damaged", replace(GOOD, data_key=fixed("another data key")).build()
    yield "body_of_other_bundle", "context of another index", "damaged", replace(GOOD, body_for=other).build()
    body = cobblestone(fixed("data key"), D + b"body\0" + hashlib.sha256(index).digest(), GOOD.frame)
    yield "body_tag", "digest and signature fit", "damaged", replace(GOOD, body=flipped(body, len(body) - 1)).build()
    for name, comment, code, content in (
        ("frame_short", "16 bytes", "damaged", bytes(16)),
        ("padding_not_zero", "", "damaged", packed(PAYLOAD)[:-1] + b"\1"),
        ("stream_len_over", "", "damaged", frame(1, stream, len(PAYLOAD), stream_len=1008)),
        ("stream_len_max", "", "damaged", frame(1, stream, len(PAYLOAD), stream_len=2**64 - 1)),
        ("ratio_over", "200 times 8,192 bytes and one", "over-limit", packed(bytes(1_638_401))),
        ("bomb", "4 MiB of zeros in 18 KiB", "over-limit", packed(bytes(4 << 20))),
        ("payload_over", "256 MiB and a byte declared", "over-limit", frame(1, stream, (256 << 20) + 1)),
        ("payload_len_low", "the stream gives more", "damaged", frame(1, stream, len(PAYLOAD) - 1)),
        ("payload_len_high", "the stream gives less", "damaged", frame(1, stream, len(PAYLOAD) + 1)),
        ("zlib_malformed", "", "damaged", frame(1, flipped(stream, 1), len(PAYLOAD))),
        ("zlib_checksum", "", "damaged", frame(1, flipped(stream, len(stream) - 1), len(PAYLOAD))),
        ("zlib_cut_off", "", "damaged", frame(1, stream[:-1], len(PAYLOAD))),
        ("zlib_trailing", "a zero within stream_len", "damaged", frame(1, stream + b"\0", len(PAYLOAD))),
        ("stored_two_lengths", "", "damaged", frame(0, PAYLOAD, len(PAYLOAD) - 1)),
        ("codec_unknown", "codec 2", "damaged", frame(2, stream, len(PAYLOAD))),
    ):
        yield name, comment, code, replace(GOOD, frame=content).build()


def main() -> None:
    """Write the file."""
    vectors: list[dict[str, object]] = [
        {
            "name": name,
            "comment": comment,
            "expect": "success",
            "keys": [key.text for key in keys],
            "payload_len": len(payload),
            "payload_sha256": hashlib.sha256(payload).hexdigest(),
            "bundle": base64.b64encode(bundle).decode(),
        }
        for name, comment, keys, bundle, payload in successes()
    ]
    vectors += (
        {
            "name": name,
            "comment": comment,
            "expect": code,
            "keys": [ALICE.text],
            "bundle": base64.b64encode(bundle).decode(),
        }
        for group in (broken_layout, broken_trust, broken_content)
        for name, comment, code, bundle in group()
    )
    trust = {
        "project": "shop",
        "recipients": [{"key": key.public_text, "id": key.key_id.hex()} for key in (ALICE, BOB)],
        "producers": [
            {"id": one.producer_id.hex(), "key": one.verify_text, "revoked": one is RETIRED}
            for one in (PRODUCTION, RETIRED)
        ],
    }
    document = {"format": "FXR1", "spec": "docs/spec/bundle-v1.md", "trust": trust, "vectors": vectors}
    target = Path(__file__).with_name("bundle-v1.json")
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
