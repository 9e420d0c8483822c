"""Keys that tokens are verified with: read from a file, and checked to fit the algorithm."""

from __future__ import annotations

import base64
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitron.errors import NotPermittedError, OmnitronError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from jwt.algorithms import AllowedPublicKeys

SECRET_LEAST = 32
"""Bytes of a shared secret for HS256: as many as its hash has (RFC 7518, 3.2)."""
RSA_LEAST = 2048
"""Bits of an RSA key (RFC 7518, 3.3)."""

_SECRET = "a shared secret"
# The algorithms of each kind of key; the first is the default.
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


class BadKeyError(OmnitronError):
    """A key that tokens cannot be verified with. The text never shows the key."""


def load_key(path: Path) -> bytes:
    """Return the key in a file: PEM, or a shared secret without the newline at the end of the file.

    Raises OmnitronError when it cannot be read, is too short, or others may write to it.
    """
    mode, data = _read(path)
    if mode & 0o022:
        writers = "everybody" if mode & stat.S_IWOTH else "its group"
        raise BadKeyError(f"cannot use key file {path}: {writers} can change it", hint=f"chmod go-w {path}")
    key = data if _is_pem(data) else _without_newline(data)
    if not key:
        raise BadKeyError(f"cannot use key file {path}: it is empty", hint="make a secret: openssl rand -hex 32")
    if not _is_pem(key):
        _check_length(key, SECRET_LEAST, f"key file {path}")
    return key


def _read(path: Path) -> tuple[int, bytes]:
    """Return the mode and the content, both of the file that was opened."""
    try:
        # open() of a FIFO would block until there is a writer.
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
    # Only of text: a binary secret may end with this byte by chance.
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


def prepare(key: bytes, algorithm: str | None) -> tuple[str, AllowedPublicKeys | bytes]:
    """Return the algorithm and the key in the form that PyJWT need not parse again."""
    public: Any = _public_key(key) if _is_pem(key) else None
    kind = _kind(public) if public else _SECRET
    fitting = _FITTING[kind]
    chosen = fitting[0] if algorithm is None else algorithm
    if chosen not in fitting:
        raise BadKeyError(f"cannot use algorithm '{chosen}' with {kind}", hint=f"use one of: {', '.join(fitting)}")
    if public:
        return chosen, public
    if _is_public_outside_pem(key):
        # The value is public: anybody could sign tokens with it.
        raise BadKeyError(
            "cannot use the key as a shared secret: it is a public key, a certificate or JSON",
            hint="write a public key as PEM, '-----BEGIN PUBLIC KEY-----'",
        )
    _check_length(key, int(chosen.removeprefix("HS")) // 8, "the key")
    return chosen, key


def _public_key(pem: bytes) -> PublicKeyTypes:
    # 10 ms, and a shared secret does without.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    try:
        if b"PRIVATE KEY-----" in pem:
            return load_pem_private_key(pem, None).public_key()
        return load_pem_public_key(pem)
    except TypeError:
        raise BadKeyError(
            "cannot use the key: it is locked with a password", hint="use its public half: openssl pkey -pubout"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError(
            "cannot use the key: it is not a key in PEM form",
            hint="to get the key of a certificate: openssl x509 -pubkey -noout",
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


def _is_public_outside_pem(key: bytes) -> bool:
    """Return whether `key` is a public key, certificate or JSON Web Key, in a form other than PEM."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from cryptography.x509 import load_der_x509_certificate  # 23 ms, for this check alone

    if key.lstrip().startswith(_SSH):
        return True
    with suppress(ValueError):
        if isinstance(json.loads(key), dict):
            return True
    forms = [key]
    with suppress(ValueError):
        forms.append(base64.b64decode(key))  # the base64 part of a PEM file, as identity providers show it
    for form in forms:
        for load in (load_der_public_key, load_der_x509_certificate):
            with suppress(ValueError, TypeError, UnsupportedAlgorithm):
                load(form)
                return True
    return False
