"""Who calls, and may they: bearer tokens (JWT) on the way in, roles on the functions."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from omnitron.errors import NotPermittedError, OmnitronError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from jwt.algorithms import AllowedPublicKeys

F = TypeVar("F", bound=Callable[..., Any])

TOKEN_LIMIT = 8192
"""Characters of a token; longer ones are refused unread."""
SECRET_LEAST = 32
"""Bytes of a shared secret for HS256: as many as its hash has (RFC 7518, 3.2)."""
RSA_LEAST = 2048
"""Bits of an RSA key (RFC 7518, 3.3)."""

_MARK = "__omnitron_roles__"
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_UNQUOTABLE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")  # what RFC 6750, 3 keeps out of error_description
# The end of the year 9999. Milliseconds taken for seconds are later: such a token would never expire.
_LATEST = 253_402_300_799

_SECRET = "a shared secret"
# What each kind of key can check; the first is used unless another is asked for.
_FITTING = {
    "an RSA key": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "a P-256 key": ("ES256",),
    "a P-384 key": ("ES384",),
    "a P-521 key": ("ES512",),
    "an Ed25519 key": ("EdDSA",),
    _SECRET: ("HS256", "HS384", "HS512"),
}
_SSH = (b"ssh-rsa ", b"ssh-ed25519 ", b"ssh-dss ", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-", b"---- BEGIN SSH2 ")
_CURVES = {"secp256r1": "a P-256 key", "secp384r1": "a P-384 key", "secp521r1": "a P-521 key"}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls.

    `trusted` is a peer of the same system on a unix socket: it has every role. `claims` is what the token
    says, read-only: the same identity answers later calls with that token.
    """

    subject: str
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    trusted: bool = False

    def has(self, role: str) -> bool:
        """Whether the caller has `role`."""
        return self.trusted or role in self.roles


class Unauthenticated(Exception):  # noqa: N818 - HTTP's word for it
    """Nobody knows who calls: 401. The text is safe to show to the client.

    `presented` is False when no bearer token came at all; the challenge then names no error.
    """

    def __init__(self, reason: str, *, presented: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.presented = presented


class Forbidden(Exception):  # noqa: N818 - HTTP's word for it
    """The caller is known and lacks roles, all those in `missing`: 403."""

    def __init__(self, missing: frozenset[str]) -> None:
        super().__init__(missing)
        self.missing = missing

    def __str__(self) -> str:
        names = ", ".join(f"'{role}'" for role in sorted(self.missing))
        return f"needs the role{'s' if len(self.missing) > 1 else ''} {names}"


class BadKeyError(OmnitronError):
    """Tokens cannot be checked with this key. The text never shows it."""


class JwtVerifier:
    """Checks JSON Web Tokens with one key and one algorithm, and remembers the good ones for a while.

    The algorithm comes from the key or from `algorithm`, never from a token. Of a private key only the public
    half is kept. `leeway_s` forgives clocks that differ. BadKeyError when the key is unfit for the algorithm.
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
            import jwt
        except ImportError as error:
            raise OmnitronError(
                "cannot check tokens: PyJWT is not installed",
                hint="apt install python3-jwt python3-cryptography, or pip install 'pyjwt[crypto]'",
            ) from error
        self._algorithm, self._key = _prepared(key, algorithm)
        # Every other algorithm is out of reach, "none" included.
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
        """The caller that `token` proves; Unauthenticated when it proves nothing."""
        if len(token) > TOKEN_LIMIT or not token.isascii():
            raise Unauthenticated("the token is malformed")
        digest, now = sha256(token.encode()).digest(), self._clock()
        known = self._cache.get(digest, now)
        if known is not None:
            return known
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
        # Their texts and their context show pieces of the token.
        except jwt.InvalidSignatureError:
            raise Unauthenticated("the token's signature is wrong") from None
        except jwt.InvalidAlgorithmError:
            raise Unauthenticated(f"the token is not signed with {self._algorithm}") from None
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise Unauthenticated("the token is malformed") from None
        # `crit` names extensions that must be understood (RFC 7515, 4.1.11): none is.
        if not isinstance(claims, dict) or "crit" in parts["header"]:
            raise Unauthenticated("the token is malformed")
        return claims

    def _check_times(self, claims: Mapping[str, Any], now: float) -> float:
        """Return when the token expires. By our clock, not PyJWT's, so that the cache has the same time."""
        expires = _date(claims, "exp")
        if expires is None:
            raise Unauthenticated("the token has no claim 'exp'")
        if expires + self._leeway_s <= now:
            raise Unauthenticated("the token has expired")
        for name in ("nbf", "iat"):
            start = _date(claims, name)
            if start is not None and start - self._leeway_s > now:
                raise Unauthenticated(f"the token is not valid yet, says its claim '{name}'")
        return expires

    def _check_origin(self, claims: Mapping[str, Any]) -> None:
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise Unauthenticated("the token is from another issuer")
        if self._audience is not None:
            meant_for = claims.get("aud")
            if self._audience not in (meant_for if isinstance(meant_for, list) else [meant_for]):
                raise Unauthenticated("the token is for another audience")


class _Cache:
    """Identities by the digest of their token: the `size` used last, each for `ttl_s` and never past its expiry."""

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
    """Whether `token` is three parts of base64url, each in its only spelling.

    PyJWT reads `=` at the end, and its older releases ignore spare bits: a token could be written in several ways.
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
    # Neither NaN nor an infinity passes the comparison; both are JSON to Python.
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


def bearer_token(header: str | None) -> str:
    """The token in the value of an Authorization header; Unauthenticated when it holds none."""
    scheme, _, rest = (header or "").strip(" \t").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("a bearer token is needed", presented=False)
    token = rest.strip(" \t")
    if len(token) > TOKEN_LIMIT:
        raise Unauthenticated(f"the token is longer than {TOKEN_LIMIT} characters")
    if not _TOKEN68.fullmatch(token):
        raise Unauthenticated("the Authorization header does not read 'Bearer TOKEN'")
    return token


def challenge(error: Unauthenticated | Forbidden | None) -> str:
    """The value of WWW-Authenticate (RFC 6750, 3) for a 401 or 403."""
    realm = 'Bearer realm="omnitron"'
    # A client that showed no token has made no mistake yet (RFC 6750, 3.1).
    if error is None or (isinstance(error, Unauthenticated) and not error.presented):
        return realm
    code = "insufficient_scope" if isinstance(error, Forbidden) else "invalid_token"
    return f'{realm}, error="{code}", error_description="{_UNQUOTABLE.sub("?", str(error))}"'


def requires(*roles: str) -> Callable[[F], F]:
    """Mark a function: its callers need all of `roles`; with none, any authenticated caller will do.

    Several marks add up. TypeError for anything but names.
    """
    for role in roles:
        if callable(role):
            raise TypeError("@requires needs parentheses: @requires() or @requires('role')")
        if not isinstance(role, str) or not role.strip():
            raise TypeError(f"a role is a non-empty string, not {role!r}")

    def mark(function: F) -> F:
        # A static or class method hands out the function within, never itself.
        inner = getattr(function, "__func__", function)
        setattr(inner, _MARK, (required_roles(inner) or frozenset()) | set(roles))
        return function

    return mark


def required_roles(function: Callable[..., Any]) -> frozenset[str] | None:
    """The roles that `function` was marked with; None when anybody may call it.

    Looks into methods, `functools.partial` and objects with a `__call__`, so that none of them drops a mark.
    """
    marks: list[Any] = []
    while isinstance(function, functools.partial):
        marks.append(function)
        function = function.func
    inner = getattr(function, "__func__", function)
    marks += [inner, getattr(inner, "__call__", None)]  # noqa: B004 - its mark is read, not whether it is there
    # Objects that answer to any name give something else.
    found = [roles for one in marks if isinstance(roles := getattr(one, _MARK, None), frozenset)]
    return frozenset().union(*found) if found else None


def check(identity: Identity | None, needed: frozenset[str] | None) -> None:
    """Raise Unauthenticated or Forbidden unless `identity` has the roles `needed`; None lets everybody in."""
    if needed is None:
        return
    if identity is None:
        raise Unauthenticated("a bearer token is needed", presented=False)
    missing = frozenset(role for role in needed if not identity.has(role))
    if missing:
        raise Forbidden(missing)


def load_key(path: Path) -> bytes:
    """The key in a file: PEM, or a shared secret, which may end with a newline that is no part of it.

    An OmnitronError when it cannot be read, is too short, or can be changed by somebody else.
    """
    mode, data = _read(path)
    if mode & 0o022:
        who = "everybody" if mode & stat.S_IWOTH else "its group"
        raise BadKeyError(f"cannot use key file {path}: {who} can change it", hint=f"chmod go-w {path}")
    key = data if _is_pem(data) else _without_newline(data)
    if not key:
        raise BadKeyError(f"cannot use key file {path}: it is empty", hint="make a secret: openssl rand -hex 32")
    if not _is_pem(key):
        _check_length(key, SECRET_LEAST, f"key file {path}")
    return key


def _read(path: Path) -> tuple[int, bytes]:
    """Return the mode and the content of one and the same file."""
    try:
        # Opening a FIFO would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadKeyError(f"cannot read key file {path}: not a regular file", hint="name a file with the key in it")
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_mode, file.read()
    except FileNotFoundError as error:
        raise BadKeyError(
            f"cannot read key file {path}: it does not exist", hint="make a secret: openssl rand -hex 32"
        ) from error
    except PermissionError as error:
        raise NotPermittedError(
            f"cannot read key file {path}: permission denied", hint="let the user of this process read it"
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadKeyError(f"cannot read key file {path}: {reason}", hint="name a file with the key in it") from error


def _without_newline(data: bytes) -> bytes:
    # One in 256 binary secrets ends with this byte.
    with suppress(UnicodeDecodeError):
        data.decode()
        return data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")
    return data


def _is_pem(key: bytes) -> bool:
    return b"-----BEGIN " in key


def _check_length(secret: bytes, least: int, what: str) -> None:
    if len(secret) < least:
        raise BadKeyError(
            f"cannot use {what}: {len(secret)} bytes are too short for a shared secret, {least} are needed",
            hint=f"make a secret: openssl rand -hex {least}",
        )


def _prepared(key: bytes, algorithm: str | None) -> tuple[str, AllowedPublicKeys | bytes]:
    """Return the algorithm and the key in the form that PyJWT need not parse again."""
    public: Any = _public_key(key) if _is_pem(key) else None
    kind = _kind(public) if public else _SECRET
    fitting = _FITTING[kind]
    chosen = fitting[0] if algorithm is None else algorithm
    if chosen not in fitting:
        raise BadKeyError(f"cannot use algorithm '{chosen}' with {kind}", hint=f"what fits: {', '.join(fitting)}")
    if public:
        return chosen, public
    if _is_public_elsewise(key):
        # Whoever knows it, and that is everybody, could sign tokens with it.
        raise BadKeyError(
            "cannot use the key as a shared secret: it is a public key, a certificate or JSON",
            hint="write a public key as PEM, '-----BEGIN PUBLIC KEY-----'",
        )
    _check_length(key, int(chosen.removeprefix("HS")) // 8, "the key")
    return chosen, key


def _public_key(pem: bytes) -> PublicKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    try:
        if b"PRIVATE KEY-----" in pem:
            return load_pem_private_key(pem, None).public_key()
        return load_pem_public_key(pem)
    except TypeError:
        raise BadKeyError(
            "cannot use the key: it is locked with a password", hint="its public half will do: openssl pkey -pubout"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError(
            "cannot use the key: it is not a key in PEM form",
            hint="of a certificate, take the key: openssl x509 -pubkey -noout",
        ) from None


def _kind(public: PublicKeyTypes) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    kind = None
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < RSA_LEAST:
            raise BadKeyError(
                f"cannot use the key: an RSA key of {public.key_size} bits is too short",
                hint=f"make one of {RSA_LEAST} bits or more",
            )
        kind = "an RSA key"
    elif isinstance(public, ec.EllipticCurvePublicKey):
        kind = _CURVES.get(public.curve.name)
    elif isinstance(public, ed25519.Ed25519PublicKey):
        kind = "an Ed25519 key"
    if kind is None:
        raise BadKeyError("cannot use the key: unknown kind", hint="use RSA, P-256, P-384, P-521 or Ed25519")
    return kind


def _is_public_elsewise(key: bytes) -> bool:
    """Whether `key` is a public key, certificate or JSON Web Key, in a form other than PEM."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from cryptography.x509 import load_der_x509_certificate

    if key.lstrip().startswith(_SSH):
        return True
    with suppress(ValueError):
        if isinstance(json.loads(key), dict):
            return True
    forms = [key]
    with suppress(ValueError):
        forms.append(base64.b64decode(key))  # the inside of a PEM, as identity providers show it
    for form in forms:
        for load in (load_der_public_key, load_der_x509_certificate):
            with suppress(ValueError, TypeError, UnsupportedAlgorithm):
                load(form)
                return True
    return False
