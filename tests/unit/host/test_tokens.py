"""Tokens that must pass, and the many that must not."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitron.host.auth.identity import TOKEN_LIMIT, Identity, Unauthenticated
from tests.support.signing import (
    KEYS,
    NOW,
    PRIVATE,
    RSA_PEM,
    SECRET,
    Clock,
    by_hand,
    claims,
    part,
    private_pem,
    public_bytes,
    refused,
    signed,
    verifier,
)

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
        ({"nbf": NOW + 11}, {}, "the token is not valid yet, by its claim 'nbf'"),
        ({"nbf": {}}, {}, "the token's claim 'nbf' is not a date in seconds"),
        ({"iat": NOW + 11}, {}, "the token is not valid yet, by its claim 'iat'"),
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
