"""JSON Web Tokens: verified with one key and one algorithm; valid ones are cached."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from omnitron.errors import OmnitronError
from omnitron.host.auth.identity import TOKEN_LIMIT, Identity, Unauthenticated
from omnitron.host.auth.keys import BadKeyError, prepare

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# The end of the year 9999. A time in milliseconds, read as seconds, is later: such a token would never expire.
_LATEST = 253_402_300_799


class JwtVerifier:
    """Verifies JSON Web Tokens with one key and one algorithm, and caches the valid ones for a while.

    The algorithm comes from the key or from `algorithm`, never from a token. Of a private key only the public
    half is stored. `leeway_s` allows for clocks that differ. BadKeyError when the key does not fit the algorithm.
    """

    def __init__(
        self,
        key: bytes,
        *,
        algorithm: str | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        roles_claim: str = "roles",
        cache_ttl_s: float = 60,
        cache_size: int = 4096,
        leeway_s: float = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        try:
            import jwt  # 42 ms, and an extra
        except ImportError as error:
            raise OmnitronError(
                "cannot check tokens: PyJWT is not installed",
                hint="apt install python3-jwt python3-cryptography, or pip install 'pyjwt[crypto]'",
            ) from error
        self._algorithm, self._key = prepare(key, algorithm)
        # No other algorithm can be used, "none" included.
        self._jws = jwt.PyJWS(algorithms=[self._algorithm])
        try:
            self._jws.get_algorithm_by_name(self._algorithm).prepare_key(self._key)
        except jwt.InvalidKeyError:
            raise BadKeyError(
                f"cannot use the key: PyJWT refuses it for {self._algorithm}",
                hint="make a secret: openssl rand -hex 32",
            ) from None
        self._issuer, self._audience, self._roles_claim = issuer, audience, roles_claim
        self._leeway_s, self._clock = leeway_s, clock
        self._cache = _Cache(cache_ttl_s, cache_size)

    def verify(self, token: str) -> Identity:
        """Return the identity that `token` proves; Unauthenticated when the token is not valid."""
        if len(token) > TOKEN_LIMIT or not token.isascii():
            raise Unauthenticated("the token is malformed")
        digest, now = sha256(token.encode()).digest(), self._clock()
        cached = self._cache.get(digest, now)
        if cached is not None:
            return cached
        claims = self._signed_claims(token)
        expires = self._check_times(claims, now)
        self._check_origin(claims)
        identity = Identity(_subject(claims), _roles(claims, self._roles_claim), MappingProxyType(claims))
        self._cache.put(digest, identity, now, expires)
        return identity

    def _signed_claims(self, token: str) -> dict[str, Any]:
        import jwt

        if not _is_compact(token):
            raise Unauthenticated("the token is malformed")
        try:
            parts = self._jws.decode_complete(token, self._key, algorithms=[self._algorithm])
            claims = json.loads(parts["payload"].decode())
        # `from None`: the messages and contexts of these errors show parts of the token.
        except jwt.InvalidSignatureError:
            raise Unauthenticated("the token's signature is wrong") from None
        except jwt.InvalidAlgorithmError:
            raise Unauthenticated(f"the token is not signed with {self._algorithm}") from None
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise Unauthenticated("the token is malformed") from None
        # `crit` names extensions that must be understood (RFC 7515, 4.1.11); we support none.
        if not isinstance(claims, dict) or "crit" in parts["header"]:
            raise Unauthenticated("the token is malformed")
        return claims

    def _check_times(self, claims: Mapping[str, Any], now: float) -> float:
        """Return the time at which the token expires, checked by our clock and not PyJWT's: the cache uses ours too."""
        expires = _date(claims, "exp")
        if expires is None:
            raise Unauthenticated("the token has no claim 'exp'")
        if expires + self._leeway_s <= now:
            raise Unauthenticated("the token has expired")
        for name in ("nbf", "iat"):
            start = _date(claims, name)
            if start is not None and start - self._leeway_s > now:
                raise Unauthenticated(f"the token is not valid yet, by its claim '{name}'")
        return expires

    def _check_origin(self, claims: Mapping[str, Any]) -> None:
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise Unauthenticated("the token is from another issuer")
        if self._audience is not None:
            audience = claims.get("aud")
            if self._audience not in (audience if isinstance(audience, list) else [audience]):
                raise Unauthenticated("the token is for another audience")


class _Cache:
    """Identities by the digest of their token: the `size` used last, each for `ttl_s` but not after it expires."""

    def __init__(self, ttl_s: float, size: int) -> None:
        self._ttl_s, self._size = ttl_s, size
        self._entries: OrderedDict[bytes, tuple[float, float, Identity]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes, now: float) -> Identity | None:
        entry = self._entries.get(digest)
        if entry is None:
            return None
        start, end, identity = entry
        # A clock that was set back must not make an entry last longer.
        if not start <= now < end:
            del self._entries[digest]
            return None
        self._entries.move_to_end(digest)
        return identity

    def put(self, digest: bytes, identity: Identity, now: float, expires: float) -> None:
        end = min(now + self._ttl_s, expires)
        if end <= now:
            return
        self._entries[digest] = (now, end, identity)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _is_compact(token: str) -> bool:
    """Return whether `token` is three parts of base64url, each in its canonical form.

    PyJWT accepts `=` at the end, and its older releases ignore unused bits: one token could have several texts.
    """
    if not _COMPACT.fullmatch(token):
        return False
    try:
        return all(_unpadded(_decoded(part)) == part for part in token.split("."))
    except ValueError:
        return False


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _date(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    # Python's JSON parser accepts NaN and infinity; this comparison refuses both.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LATEST:
        raise Unauthenticated(f"the token's claim '{name}' is not a date in seconds")
    return float(value)


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise Unauthenticated("the token has no claim 'sub'")
    return subject


def _roles(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    several, single = claims.get(name) or [], claims.get("role") or ""
    if isinstance(several, str):
        several = several.split()
    if not isinstance(several, list) or not all(isinstance(role, str) for role in several):
        raise Unauthenticated(f"the token's claim '{name}' is not a list of names")
    if name == "role":
        single = ""
    if not isinstance(single, str):
        raise Unauthenticated("the token's claim 'role' is not a name")
    return frozenset(filter(None, [*several, single]))
