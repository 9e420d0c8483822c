"""Keys and tokens for tests: signed by the library, by hand, well and badly."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from omnitron.host.auth.identity import Unauthenticated
from omnitron.host.auth.tokens import JwtVerifier

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
