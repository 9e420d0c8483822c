"""Which keys will do, and for what."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.host.auth.keys import BadKeyError, load_key
from omnitron.host.auth.tokens import JwtVerifier
from tests.support.signing import (
    KEYS,
    PRIVATE,
    RSA_PEM,
    SECRET,
    by_hand,
    claims,
    private_pem,
    public_bytes,
    public_pem,
    signed,
    verifier,
)

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
