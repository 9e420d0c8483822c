"""Tokens that must pass, and the many that must not."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.host.auth import (
    TOKEN_LIMIT,
    BadKeyError,
    Forbidden,
    Identity,
    JwtVerifier,
    Unauthenticated,
    bearer_token,
    challenge,
    check,
    load_key,
    required_roles,
    requires,
)

NOW = 1_800_000_000.0
SECRET = b"a shared secret of 32 bytes, yes"
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def private_pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))


def public_bytes(key: Any, encoding: Encoding, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return bytes(key.public_key().public_bytes(encoding, form))


def public_pem(key: Any) -> bytes:
    return public_bytes(key, Encoding.PEM)


RSA_PEM = public_pem(PRIVATE["RS256"])
KEYS = {"HS256": SECRET, **{name: public_pem(key) for name, key in PRIVATE.items()}}


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token; a change to None leaves one out."""
    every = {"sub": "ada", "exp": NOW + 600, "iat": NOW - 5, "roles": ["reader"], **changes}
    return {name: value for name, value in every.items() if value is not None}


def signed(algorithm: str = "HS256", key: Any = None, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key or PRIVATE.get(algorithm, SECRET), algorithm, headers)


def part(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def by_hand(header: Any, payload: Any, secret: bytes = SECRET) -> str:
    """A token with an HS256 signature, whatever its header says and whatever the key."""
    start = f"{part(header)}.{part(payload)}"
    return f"{start}.{part(hmac.digest(secret, start.encode(), 'sha256'))}"


def verifier(key: bytes = SECRET, **options: Any) -> JwtVerifier:
    return JwtVerifier(key, **{"clock": lambda: NOW, **options})


def refused(token: str, key: bytes = SECRET, **options: Any) -> str:
    """The reason why `token` is refused."""
    one = verifier(key, **options)
    with pytest.raises(Unauthenticated) as caught:
        one.verify(token)
    assert len(one._cache) == 0
    assert str(caught.value) == caught.value.reason
    assert not token or token not in str(caught.value)
    return caught.value.reason


# Good tokens


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_algorithm_follows_from_the_key(algorithm: str) -> None:
    identity = verifier(KEYS[algorithm]).verify(signed(algorithm))
    assert identity == Identity("ada", frozenset({"reader"}), claims())
    assert not identity.trusted


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_of_a_private_key_the_public_half_is_kept(algorithm: str) -> None:
    one = verifier(private_pem(PRIVATE[algorithm]))
    assert one.verify(signed(algorithm)).subject == "ada"
    assert not hasattr(one._key, "private_bytes")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_an_algorithm_that_is_asked_for(algorithm: str) -> None:
    token = signed(algorithm, PRIVATE["RS256"])
    assert verifier(RSA_PEM, algorithm=algorithm).verify(token).subject == "ada"
    assert refused(token, RSA_PEM) == "the token is not signed with RS256"


def test_a_longer_secret_for_a_longer_hash() -> None:
    assert verifier(SECRET * 2, algorithm="HS512").verify(signed("HS512", SECRET * 2)).subject == "ada"


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"issuer": "us"}, {"iss": "us"}),
        ({"audience": "here"}, {"aud": "here"}),
        ({"audience": "here"}, {"aud": ["there", "here"]}),
        ({}, {"aud": "anybody", "iss": "anybody"}),
        ({}, {"exp": NOW - 9}),
        ({}, {"exp": NOW + 0.5}),
        ({}, {"nbf": NOW + 9}),
        ({}, {"iat": NOW + 9}),
        ({}, {"nbf": -1, "iat": 0}),
        ({"leeway_s": 0}, {"nbf": NOW, "iat": NOW}),
    ],
)
def test_claims_that_pass(options: dict[str, Any], changes: dict[str, Any]) -> None:
    assert verifier(**options).verify(signed(**changes)).subject == "ada"


@pytest.mark.parametrize(
    ("options", "changes", "roles"),
    [
        ({}, {"roles": ["a", "b c", ""]}, {"a", "b c"}),
        ({}, {"roles": " a  b "}, {"a", "b"}),
        ({}, {"roles": None}, set()),
        ({}, {"roles": []}, set()),
        ({}, {"roles": None, "role": "a b"}, {"a b"}),
        ({}, {"roles": ["a"], "role": "b"}, {"a", "b"}),
        ({}, {"roles": ["a"], "role": ""}, {"a"}),
        ({}, {"roles": None, "scope": "a"}, set()),
        ({"roles_claim": "groups"}, {"groups": ["a"], "roles": ["b"]}, {"a"}),
        ({"roles_claim": "role"}, {"role": ["a"], "roles": ["b"]}, {"a"}),
        ({"roles_claim": "role"}, {"role": "a b"}, {"a", "b"}),
    ],
)
def test_roles(options: dict[str, Any], changes: dict[str, Any], roles: set[str]) -> None:
    assert verifier(**options).verify(signed(**changes)).roles == roles


def test_a_token_never_makes_trusted() -> None:
    identity = verifier().verify(signed(trusted=True))
    assert not identity.trusted
    assert not identity.has("admin")


def test_claims_cannot_be_changed_for_the_next_caller() -> None:
    identity = verifier().verify(signed())
    with pytest.raises(TypeError):
        identity.claims["sub"] = "eve"  # type: ignore[index]


# Bad tokens


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"exp": NOW - 10}, {}, "the token has expired"),
        ({"exp": NOW}, {"leeway_s": 0}, "the token has expired"),
        ({"exp": None}, {}, "the token has no claim 'exp'"),
        ({"exp": "tomorrow"}, {}, "the token's claim 'exp' is not a date in seconds"),
        ({"exp": str(NOW + 600)}, {}, "the token's claim 'exp' is not a date in seconds"),
        ({"exp": True}, {}, "the token's claim 'exp' is not a date in seconds"),
        ({"exp": [NOW + 600]}, {}, "the token's claim 'exp' is not a date in seconds"),
        ({"exp": (NOW + 600) * 1000}, {}, "the token's claim 'exp' is not a date in seconds"),
        ({"exp": float("inf")}, {}, "the token's claim 'exp' is not a date in seconds"),
        ({"exp": float("nan")}, {}, "the token's claim 'exp' is not a date in seconds"),
        ({"exp": 10**400}, {}, "the token's claim 'exp' is not a date in seconds"),
        ({"nbf": NOW + 11}, {}, "the token is not valid yet, says its claim 'nbf'"),
        ({"nbf": {}}, {}, "the token's claim 'nbf' is not a date in seconds"),
        ({"iat": NOW + 11}, {}, "the token is not valid yet, says its claim 'iat'"),
        ({"iat": "now"}, {}, "the token's claim 'iat' is not a date in seconds"),
        ({"sub": None}, {}, "the token has no claim 'sub'"),
        ({"sub": ""}, {}, "the token has no claim 'sub'"),
        ({"sub": 7}, {}, "the token has no claim 'sub'"),
        ({}, {"issuer": "us"}, "the token is from another issuer"),
        ({"iss": "them"}, {"issuer": "us"}, "the token is from another issuer"),
        ({}, {"audience": "here"}, "the token is for another audience"),
        ({"aud": "there"}, {"audience": "here"}, "the token is for another audience"),
        ({"aud": "where or here"}, {"audience": "here"}, "the token is for another audience"),
        ({"aud": []}, {"audience": "here"}, "the token is for another audience"),
        ({"aud": {"here": 1}}, {"audience": "here"}, "the token is for another audience"),
        ({"roles": {"admin": True}}, {}, "the token's claim 'roles' is not a list of names"),
        ({"roles": ["admin", 1]}, {}, "the token's claim 'roles' is not a list of names"),
        ({"role": ["admin"]}, {}, "the token's claim 'role' is not a name"),
    ],
)
def test_claims_that_do_not_pass(changes: dict[str, Any], options: dict[str, Any], reason: str) -> None:
    assert refused(by_hand({"alg": "HS256"}, claims(**changes)), **options) == reason


def test_null_is_no_date() -> None:
    for name in ("exp", "nbf", "iat"):
        token = by_hand({"alg": "HS256"}, {**claims(), name: None})
        assert refused(token) == f"the token's claim '{name}' is not a date in seconds"


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_no_signature_proves_nothing(key: bytes, name: str) -> None:
    start = f"{part({'alg': name, 'typ': 'JWT'})}.{part(claims())}"
    assert refused(f"{start}.", key) == "the token is malformed"
    assert refused(start, key) == "the token is malformed"
    assert "not signed with" in refused(f"{start}.{part(b'x')}", key)


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    # The classic: who has the public key signs with it, and says HS256.
    pem = KEYS[algorithm]
    for secret in (pem, pem.rstrip(b"\n"), public_bytes(PRIVATE[algorithm], Encoding.DER)):
        for header in ("HS256", algorithm):
            refused(by_hand({"alg": header}, claims(), secret), pem)
    refused(by_hand({"alg": "HS256"}, claims(), pem), private_pem(PRIVATE[algorithm]))


@pytest.mark.parametrize("header", ["RS256", ["HS256"], {"HS256": 1}, None, 256, True, "hs256", "HS256 "])
def test_the_header_does_not_choose(header: Any) -> None:
    refused(by_hand({"alg": header}, claims()))


@pytest.mark.parametrize(
    "header",
    [{}, [], "HS256", b"\xff", b"{", {"alg": "HS256", "crit": ["b64"], "b64": True}, {"alg": "HS256", "crit": []}],
)
def test_headers_that_are_refused(header: Any) -> None:
    refused(by_hand(header, claims()))


def test_extensions_are_refused_whoever_signed() -> None:
    header = {"alg": "HS256", "crit": ["b64"], "b64": False}
    payload = json.dumps(claims())
    start = part(header) + "." + payload
    refused(f"{part(header)}..{part(hmac.digest(SECRET, start.encode(), 'sha256'))}")
    refused(by_hand(header, claims()))
    refused(by_hand({**header, "b64": True}, claims()))


@pytest.mark.parametrize(
    "payload", [[], "x", 1, b"", b"\xff\xfe", b"{", b"[" * 3000, b'{"exp": 1' + b"0" * 5000 + b"}"]
)
def test_payloads_that_are_refused(payload: Any) -> None:
    assert refused(by_hand({"alg": "HS256"}, payload)) == "the token is malformed"


def test_a_payload_in_another_encoding() -> None:
    assert refused(by_hand({"alg": "HS256"}, json.dumps(claims()).encode("utf-16"))) == "the token is malformed"


def test_another_key() -> None:
    assert refused(signed(key=SECRET[::-1])) == "the token's signature is wrong"
    other = ec.generate_private_key(ec.SECP256R1())
    assert refused(signed("ES256", other), KEYS["ES256"]) == "the token's signature is wrong"
    assert refused(signed("ES256"), KEYS["ES384"]) == "the token is not signed with ES384"


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_payload_that_was_changed(algorithm: str) -> None:
    header, _, signature = signed(algorithm).split(".")
    token = f"{header}.{part(claims(roles=['admin']))}.{signature}"
    assert refused(token, KEYS[algorithm]) == "the token's signature is wrong"


GARBAGE = [
    "",
    ".",
    "..",
    "...",
    "a.b.c",
    "a.b.c.d.e",
    "x" * 100,
    "ä.ö.ü",
    "\ud800.a.b",
    "\0",
    "[" * 5000,
    "e30.e30.e30",
]


@pytest.mark.parametrize("token", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage(token: str) -> None:
    for key in KEYS.values():
        refused(token, key)


@pytest.mark.parametrize("algorithm", KEYS)
def test_each_token_has_one_spelling(algorithm: str) -> None:
    token = signed(algorithm)
    header, payload, signature = token.split(".")
    for other in (token + "=", token + "==", token + "\n", " " + token, f"{header}=.{payload}.{signature}"):
        assert refused(other, KEYS[algorithm]) == "the token is malformed"
    # The last character holds bits that base64 does not use: 64 spellings, 4 or 16 the same bytes.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for last in set(alphabet) - {token[-1]}:
        refused(token[:-1] + last, KEYS[algorithm])


def test_a_huge_token_is_refused_unread() -> None:
    token = signed(filler="x" * TOKEN_LIMIT)
    assert refused(token) == "the token is malformed"
    assert verifier().verify(signed(filler="x" * 5000)).subject == "ada"


@pytest.mark.parametrize("algorithm", ["HS256", "ES256", "EdDSA"])
def test_any_mutation_is_refused(algorithm: str) -> None:
    token = signed(algorithm).encode()
    one = verifier(KEYS[algorithm])
    one.verify(token.decode())  # what is in the cache must not help either

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, len(token) - 1), st.integers(0, 255)), min_size=1, max_size=4))
    def mutate(changes: list[tuple[int, int]]) -> None:
        mutant = bytearray(token)
        for at, byte in changes:
            mutant[at] = byte
        if mutant != token:
            with pytest.raises(Unauthenticated):
                one.verify(mutant.decode("latin-1"))

    @settings(deadline=None)
    @given(st.integers(0, len(token)), st.integers(0, len(token)), st.text(max_size=3))
    def splice(start: int, end: int, text: str) -> None:
        mutant = token[:start].decode() + text + token[end:].decode()
        if mutant != token.decode():
            with pytest.raises(Unauthenticated):
                one.verify(mutant)

    mutate()
    splice()


def test_errors_show_neither_token_nor_key() -> None:
    for token in (signed(key=b"k" * 32), by_hand(b'{"alg": "secret-piece"}', claims()), by_hand(b"secret-piece", {})):
        reason = refused(token)
        assert SECRET.decode() not in reason
        assert "secret-piece" not in reason
    assert SECRET.decode() not in repr(verifier())
    assert "claims" not in repr(verifier().verify(signed()))


# The cache


def test_a_good_token_is_checked_once() -> None:
    one, token = verifier(), signed()
    assert one.verify(token) is one.verify(token)


def test_the_cache_forgets_the_least_used() -> None:
    one = verifier(cache_size=3)
    first, *others = (signed(jti=str(number)) for number in range(4))
    known = one.verify(first)
    for token in others:
        one.verify(token)
        assert one.verify(first) is known
    assert len(one._cache) == 3
    assert one.verify(others[-1]) is one.verify(others[-1])


def test_the_cache_is_bounded() -> None:
    one = verifier()
    header = {"alg": "HS256"}
    for number in range(5000):
        one.verify(by_hand(header, {"sub": str(number), "exp": NOW + 600}))
        assert len(one._cache) == min(number + 1, 4096)


def test_failures_take_no_memory() -> None:
    one = verifier()
    for number in range(100):
        with pytest.raises(Unauthenticated):
            one.verify(signed(key=b"k" * 32, jti=str(number)))
    assert len(one._cache) == 0


@pytest.mark.parametrize("options", [{"cache_ttl_s": 0}, {"cache_size": 0}])
def test_the_cache_can_be_off(options: dict[str, Any]) -> None:
    one, token = verifier(**options), signed()
    assert one.verify(token) is not one.verify(token)
    assert len(one._cache) == 0


def test_an_entry_ends_after_its_time() -> None:
    clock = Clock()
    one, token = verifier(clock=clock, cache_ttl_s=60), signed()
    known = one.verify(token)
    clock.now = NOW + 59.9
    assert one.verify(token) is known
    clock.now = NOW + 60
    assert one.verify(token) is not known


def test_an_entry_ends_with_its_token() -> None:
    clock = Clock()
    one, token = verifier(clock=clock, cache_ttl_s=3600, leeway_s=0), signed(exp=NOW + 30)
    known = one.verify(token)
    clock.now = NOW + 29.9
    assert one.verify(token) is known
    clock.now = NOW + 30
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="expired"):
            one.verify(token)
    assert len(one._cache) == 0


def test_a_token_within_the_leeway_is_checked_each_time() -> None:
    one, token = verifier(), signed(exp=NOW - 5)
    assert one.verify(token) is not one.verify(token)
    assert len(one._cache) == 0


def test_a_clock_set_back_does_not_keep_an_entry() -> None:
    clock = Clock()
    one, token = verifier(clock=clock), signed(nbf=NOW)
    one.verify(token)
    clock.now = NOW - 3600
    with pytest.raises(Unauthenticated, match="not valid yet"):
        one.verify(token)


# Keys


NO_PEM = b"-----BEGIN X-----\nAAAA\n-----END X-----\n"


# Keys are new in each run: their text must not become part of a test's name.
@pytest.mark.parametrize(
    ("key", "algorithm", "brief"),
    [
        (RSA_PEM, "HS256", "cannot use algorithm 'HS256' with an RSA key"),
        (private_pem(PRIVATE["RS256"]), "HS256", "cannot use algorithm 'HS256' with an RSA key"),
        (RSA_PEM, "none", "cannot use algorithm 'none' with an RSA key"),
        (RSA_PEM, "rs256", "cannot use algorithm 'rs256' with an RSA key"),
        (RSA_PEM, "", "cannot use algorithm '' with an RSA key"),
        (RSA_PEM, "ES256", "cannot use algorithm 'ES256' with an RSA key"),
        (KEYS["ES256"], "ES384", "cannot use algorithm 'ES384' with a P-256 key"),
        (KEYS["EdDSA"], "HS512", "cannot use algorithm 'HS512' with an Ed25519 key"),
        (SECRET, "RS256", "cannot use algorithm 'RS256' with a shared secret"),
        (SECRET, "none", "cannot use algorithm 'none' with a shared secret"),
        (SECRET, "NONE", "cannot use algorithm 'NONE' with a shared secret"),
        (b"", None, "cannot use the key: 0 bytes are too short for a shared secret, 32 are needed"),
        (SECRET[1:], None, "cannot use the key: 31 bytes are too short for a shared secret, 32 are needed"),
        (SECRET, "HS512", "cannot use the key: 32 bytes are too short for a shared secret, 64 are needed"),
        (NO_PEM.replace(b"X", b"PUBLIC KEY"), None, "cannot use the key: it is not a key in PEM form"),
        (NO_PEM.replace(b"X", b"RSA PRIVATE KEY"), None, "cannot use the key: it is not a key in PEM form"),
        (NO_PEM.replace(b"X", b"CERTIFICATE"), None, "cannot use the key: it is not a key in PEM form"),
        (public_pem(ed448.Ed448PrivateKey.generate()), None, "cannot use the key: unknown kind"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), None, "cannot use the key: unknown kind"),
        (
            public_pem(rsa.generate_private_key(65537, 1024)),
            None,
            "cannot use the key: an RSA key of 1024 bits is too short",
        ),
        (
            PRIVATE["ES256"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
            None,
            "cannot use the key: it is locked with a password",
        ),
    ],
    ids=range(21),
)
def test_keys_that_do_not_fit(key: bytes, algorithm: str | None, brief: str) -> None:
    with pytest.raises(OmnitronError) as caught:
        JwtVerifier(key, algorithm=algorithm)
    assert caught.value.brief == brief
    assert caught.value.hint
    assert SECRET[1:].decode() not in "".join(caught.value.lines())


DER = public_bytes(PRIVATE["RS256"], Encoding.DER)


@pytest.mark.parametrize(
    "key",
    [
        DER,
        base64.b64encode(DER),
        base64.encodebytes(DER),
        public_bytes(PRIVATE["EdDSA"], Encoding.DER),
        public_bytes(PRIVATE["RS256"], Encoding.OpenSSH, PublicFormat.OpenSSH),
        public_bytes(PRIVATE["EdDSA"], Encoding.OpenSSH, PublicFormat.OpenSSH),
        jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE["RS256"].public_key()).encode(),
        b'{"keys": []}' + b" " * 32,
    ],
    ids=["DER", "base64", "base64-lines", "DER-ed25519", "ssh-rsa", "ssh-ed25519", "JWK", "JWKS"],
)
def test_a_public_key_in_another_form_is_no_secret(key: bytes) -> None:
    with pytest.raises(BadKeyError, match="it is a public key, a certificate or JSON"):
        JwtVerifier(key)


@pytest.mark.parametrize(
    "secret", [bytes(range(32)), b"{" * 40, b"0" * 40, b"7" * 64, b"sk-" * 20, b"\xff" * 32, b'"' * 32]
)
def test_odd_secrets(secret: bytes) -> None:
    assert verifier(secret).verify(by_hand({"alg": "HS256"}, claims(), secret)).subject == "ada"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_forms_of_a_private_key(form: PrivateFormat) -> None:
    for algorithm in ("RS256", "ES256"):
        one = verifier(b"# a comment\n" + private_pem(PRIVATE[algorithm], form))
        assert one.verify(signed(algorithm)).subject == "ada"


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (SECRET, SECRET),
        (SECRET + b"\n", SECRET),
        (SECRET + b"\r\n", SECRET),
        (SECRET + b"\n\n", SECRET + b"\n"),
        (SECRET + b"\r", SECRET + b"\r"),
        (SECRET + b" ", SECRET + b" "),
        (b"\xff" * 31 + b"\n", b"\xff" * 31 + b"\n"),
        (RSA_PEM, RSA_PEM),
    ],
    ids=range(8),
)
def test_key_files(tmp_path: Path, content: bytes, key: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o644)
    assert load_key(path) == key


@pytest.mark.parametrize(
    ("content", "mode", "brief", "hint"),
    [
        (b"", 0o600, "cannot use key file {}: it is empty", "make a secret: openssl rand -hex 32"),
        (b"\n", 0o600, "cannot use key file {}: it is empty", "make a secret: openssl rand -hex 32"),
        (
            SECRET[1:] + b"\n",
            0o600,
            "cannot use key file {}: 31 bytes are too short for a shared secret, 32 are needed",
            "make a secret: openssl rand -hex 32",
        ),
        (SECRET, 0o620, "cannot use key file {}: its group can change it", "chmod go-w {}"),
        (SECRET, 0o602, "cannot use key file {}: everybody can change it", "chmod go-w {}"),
        (RSA_PEM, 0o666, "cannot use key file {}: everybody can change it", "chmod go-w {}"),
    ],
    ids=range(6),
)
def test_key_files_that_are_refused(tmp_path: Path, content: bytes, mode: int, brief: str, hint: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(BadKeyError) as caught:
        load_key(path)
    assert caught.value.lines() == [brief.format(path), hint.format(path)]


def test_key_files_that_cannot_be_read(tmp_path: Path) -> None:
    fifo, secret = tmp_path / "fifo", tmp_path / "secret"
    os.mkfifo(fifo)
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    for path, why in [
        (tmp_path / "missing", "it does not exist"),
        (tmp_path, "not a regular file"),
        (fifo, "not a regular file"),
        (secret / "below", "not a directory"),
    ]:
        with pytest.raises(BadKeyError) as caught:
            load_key(path)
        assert caught.value.brief == f"cannot read key file {path}: {why}"
        assert caught.value.hint


def test_a_key_file_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(0)
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)  # root reads everything
    try:
        with pytest.raises(NotPermittedError, match="permission denied"):
            load_key(path)
    finally:
        os.seteuid(before)


# The header, and the answer


@pytest.mark.parametrize("header", ["Bearer xyz", "bearer xyz", "BEARER  xyz ", "\tBearer xyz", "Bearer xyz\t"])
def test_a_bearer_token(header: str) -> None:
    assert bearer_token(header) == "xyz"


@pytest.mark.parametrize(
    ("header", "presented"),
    [
        (None, False),
        ("", False),
        ("Basic YTpi", False),
        ("xyz", False),
        ("Bearerxyz", False),
        ("Bearer", True),
        ("Bearer ", True),
        ("Bearer a b", True),
        ("Bearer a, Bearer b", True),
        ("Bearer a\r\nX: b", True),
        ("Bearer a\n", True),
        ("Bearer ä", True),
        ("Bearer =", True),
        ("Bearer " + "x" * (TOKEN_LIMIT + 1), True),
    ],
    ids=range(14),
)
def test_headers_without_a_bearer_token(header: str | None, presented: bool) -> None:
    with pytest.raises(Unauthenticated) as caught:
        bearer_token(header)
    assert caught.value.presented is presented
    assert len(str(caught.value)) < 80


def test_the_longest_token() -> None:
    assert len(bearer_token("Bearer " + "x" * TOKEN_LIMIT)) == TOKEN_LIMIT


REALM = 'Bearer realm="omnitron"'


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (None, REALM),
        (Unauthenticated("no token", presented=False), REALM),
        (Unauthenticated("too late"), f'{REALM}, error="invalid_token", error_description="too late"'),
        (
            Unauthenticated('a "b" \\ c\r\nSet-Cookie: ä'),
            f'{REALM}, error="invalid_token", error_description="a ?b? ? c??Set-Cookie: ?"',
        ),
        (
            Forbidden(frozenset({"b", "a"})),
            f"{REALM}, error=\"insufficient_scope\", error_description=\"needs the roles 'a', 'b'\"",
        ),
        (Forbidden(frozenset({'"'})), f'{REALM}, error="insufficient_scope", error_description="needs the role \'?\'"'),
    ],
)
def test_challenges(error: Unauthenticated | Forbidden | None, value: str) -> None:
    assert challenge(error) == value


# Roles on functions


def nothing() -> None:
    pass


def test_marks_add_up() -> None:
    @requires("a")
    @requires()
    @requires("b", "c")
    def function() -> int:
        return 7

    assert function() == 7
    assert required_roles(function) == {"a", "b", "c"}
    assert function.__omnitron_roles__ == {"a", "b", "c"}  # type: ignore[attr-defined]


def test_any_caller_is_not_no_caller() -> None:
    assert required_roles(requires()(lambda: None)) == frozenset()
    assert required_roles(nothing) is None


class Service:
    @requires("a")
    def method(self) -> None: ...

    @requires("b")
    @staticmethod
    def outside_static() -> None: ...

    @staticmethod
    @requires("b")
    def inside_static() -> None: ...

    @requires("c")
    @classmethod
    def outside_class(cls) -> None: ...

    @classmethod
    @requires("c")
    def inside_class(cls) -> None: ...

    @requires("d")
    def __call__(self) -> None: ...


@requires("e")
def marked() -> None: ...


@functools.wraps(marked)
def wrapper() -> None: ...


class AnyName:
    """Answers to any name, as a proxy does."""

    def __getattr__(self, name: str) -> Any:
        return lambda: None

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "roles"),
    [
        (Service().method, {"a"}),
        (Service.method, {"a"}),
        (Service().outside_static, {"b"}),
        (Service().inside_static, {"b"}),
        (vars(Service)["outside_static"], {"b"}),
        (Service().outside_class, {"c"}),
        (Service().inside_class, {"c"}),
        (Service(), {"d"}),
        (functools.partial(marked), {"e"}),
        (functools.partial(Service().method), {"a"}),
        (requires("f")(functools.partial(marked)), {"e", "f"}),
        (wrapper, {"e"}),
        (AnyName(), None),
        (print, None),
    ],
)
def test_no_way_to_hand_on_a_function_drops_its_mark(function: Callable[..., Any], roles: object) -> None:
    assert required_roles(function) == roles


@pytest.mark.parametrize("roles", [("",), (" ",), (None,), (3,), (["a"],), ("a", ""), (b"a",)])
def test_roles_are_names(roles: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="a role is a non-empty string"):
        requires(*roles)


@pytest.mark.parametrize("function", [nothing, Service, Service().method])
def test_requires_needs_parentheses(function: Any) -> None:
    with pytest.raises(TypeError, match=r"@requires needs parentheses: @requires\(\) or @requires\('role'\)"):
        requires(function)


ADA = Identity("ada", frozenset({"a", "b"}))
LOCAL = Identity("uid:0", trusted=True)


@pytest.mark.parametrize(
    ("identity", "needed", "outcome"),
    [
        (None, None, None),
        (ADA, None, None),
        (ADA, frozenset(), None),
        (ADA, frozenset({"a"}), None),
        (ADA, frozenset({"a", "b"}), None),
        (ADA, frozenset({"a", "c"}), "needs the role 'c'"),
        (ADA, frozenset({"d", "c"}), "needs the roles 'c', 'd'"),
        (ADA, frozenset({"A"}), "needs the role 'A'"),
        (LOCAL, frozenset({"anything"}), None),
        (Identity("eve"), frozenset(), None),
    ],
)
def test_check(identity: Identity | None, needed: frozenset[str] | None, outcome: str | None) -> None:
    if outcome is None:
        check(identity, needed)
        return
    with pytest.raises(Forbidden) as caught:
        check(identity, needed)
    assert str(caught.value) == outcome


@pytest.mark.parametrize("needed", [frozenset(), frozenset({"a"})])
def test_nobody_needs_a_token(needed: frozenset[str]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        check(None, needed)
    assert challenge(caught.value) == REALM


def test_an_identity_can_be_a_key() -> None:
    assert len({verifier().verify(signed()), verifier().verify(signed())}) == 1


def test_without_auth_nothing_is_loaded() -> None:
    code = "import sys, omnitron.host.auth; sys.exit(bool({'jwt', 'cryptography'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_digests_are_the_only_trace_of_a_token() -> None:
    one, token = verifier(), signed()
    one.verify(token)
    assert list(one._cache._entries) == [hashlib.sha256(token.encode()).digest()]
