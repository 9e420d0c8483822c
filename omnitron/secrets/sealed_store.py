"""Secrets in one file, encrypted as a whole with AES-256-GCM; scrypt derives the key from a passphrase.

Used with `--user`, because units of a user's manager cannot load encrypted credentials (checked up to systemd 257:
systemd-creds works for users, but a unit gets no access to the key), and for everybody who wants a passphrase.
Without a passphrase, a random one is stored in a file beside it that only the owner can read. That protects against
other users and against a copy of the encrypted file alone, not against somebody who can read both files.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

from omnitron.secrets.store import PASSPHRASE_FILE, SecretInfo, SecretStoreError
from omnitron.supervision.state import trusted_files

VERSION = 1
COST, BLOCK, LANES = 1 << 15, 8, 1
"""Parameters of scrypt: 32 MB of memory and about a tenth of a second."""
LONGEST_FILE = 16 << 20

Entries = dict[str, tuple[str, float]]
"""Value and time of the last change, by name."""


class SealedStore:
    """The secrets of a stack in the file `path`."""

    def __init__(self, path: Path, passphrase_file: Path | None = None) -> None:
        self.path = path
        self._passphrase_file = passphrase_file
        self._keys: dict[bytes, bytes] = {}

    def list(self) -> list[SecretInfo]:
        """Return all secrets, sorted by name."""
        return [SecretInfo(name, at) for name, (_, at) in sorted(self._entries().items())]

    def get(self, name: str) -> str | None:
        """Return a value, None when there is none."""
        return self._entries().get(name, (None, 0.0))[0]

    def set(self, name: str, value: str) -> None:
        """Set a value."""
        self._change(lambda entries: entries.__setitem__(name, (value, time.time())))

    def delete(self, name: str) -> bool:
        """Remove a value; return whether there was one."""
        removed: list[object] = []
        self._change(lambda entries: removed.append(entries.pop(name, None)))
        return removed != [None]

    def all(self) -> dict[str, str]:
        """Return every value by name."""
        return {name: value for name, (value, _) in self._entries().items()}

    def _entries(self) -> Entries:
        try:
            with trusted_files.opened_folder(str(self.path.parent)) as folder:
                return self._read(folder)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._failed("read", error.strerror) from error

    def _read(self, folder: int) -> Entries:
        # 6 ms, and most verbs open no store.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            text = trusted_files.read_file(folder, self.path.name, LONGEST_FILE)
        except FileNotFoundError:
            return {}
        try:
            sealed = json.loads(text)
            salt, nonce, data = (base64.b64decode(sealed[key]) for key in ("salt", "nonce", "data"))
            if sealed["version"] != VERSION:
                raise self._failed("read", "a newer omnitron wrote it")
            opened = AESGCM(self._key(folder, salt, makes=False)).decrypt(nonce, data, _about(self.path))
        except (ValueError, KeyError, TypeError) as error:
            raise self._failed("read", "the file is damaged") from error
        except InvalidTag as error:
            raise self._failed("read", "the file was changed, or the passphrase is wrong") from error
        return {name: (value, at) for name, (value, at) in json.loads(opened).items()}

    def _change(self, change: Any) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            with (
                trusted_files.opened_folder(str(self.path.parent), create=True) as folder,
                trusted_files.locked(folder, f".{self.path.name}"),
            ):
                trusted_files.make_private(folder)
                entries = self._read(folder)
                change(entries)
                salt, nonce = os.urandom(16), os.urandom(12)
                plain = json.dumps(entries, ensure_ascii=False).encode()
                data = AESGCM(self._key(folder, salt, makes=True)).encrypt(nonce, plain, _about(self.path))
                parts = {"salt": salt, "nonce": nonce, "data": data}
                sealed = {"version": VERSION, **{key: base64.b64encode(part).decode() for key, part in parts.items()}}
                text = json.dumps(sealed).encode() + b"\n"
                trusted_files.replace_file(folder, self.path.name, text, private=True, lasting=True)
        except OSError as error:
            raise self._failed("write", error.strerror) from error

    def _key(self, folder: int, salt: bytes, *, makes: bool) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # 5 ms

        if salt not in self._keys:
            passphrase = self._passphrase(folder, makes=makes)
            self._keys[salt] = Scrypt(salt=salt, length=32, n=COST, r=BLOCK, p=LANES).derive(passphrase)
        return self._keys[salt]

    def _passphrase(self, folder: int, *, makes: bool) -> bytes:
        if path := self._passphrase_file:
            try:
                passphrase = path.read_bytes().rstrip(b"\n")
            except OSError as error:
                raise self._failed("read", f"cannot read the passphrase in {path}: {error.strerror}") from error
            if not passphrase:
                raise self._failed("read", f"the passphrase in {path} is empty")
            return passphrase
        name = f"{self.path.stem}.key"
        try:
            return trusted_files.read_file(folder, name, 1024)
        except FileNotFoundError:
            if not makes:
                why = f"the key file {name} is missing; if a passphrase was used, set {PASSPHRASE_FILE} to its file"
                raise self._failed("read", why) from None
            key = base64.b64encode(os.urandom(32))
            trusted_files.replace_file(folder, name, key, private=True, lasting=True)
            return key

    def _failed(self, verb: str, why: str | None) -> SecretStoreError:
        return SecretStoreError(f"cannot {verb} the secrets in {self.path}: {why}")


def _about(path: Path) -> bytes:
    """Return the authenticated data: with it, a file copied from another stack cannot be decrypted as this one."""
    return f"omnitron secrets {VERSION} {path.name}".encode()
