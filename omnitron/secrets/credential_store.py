"""Secrets as systemd credentials: one encrypted file each, which only this host can decrypt.

systemd decrypts them for a service when it starts (`LoadCredentialEncrypted=`), without a daemon or a key file
of omnitron.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.secrets.store import SecretInfo, SecretStoreError
from omnitron.supervision.state import trusted_files

SUFFIX = ".cred"
LOCK = ".secrets"
PROJECT = ".project"
"""File with the name of the project that owns the secrets."""
LONGEST_FILE = 1 << 20
PROGRAM = "systemd-creds"


class CredentialStore:
    """The secrets of a stack of `project` in `folder`, which only root can read."""

    def __init__(self, folder: Path, project: str) -> None:
        self.folder = folder
        self._project = project

    def list(self) -> list[SecretInfo]:
        """Return all secrets, sorted by name."""
        try:
            self._check_owner()
            files = sorted(path for path in self.folder.iterdir() if path.suffix == SUFFIX and path.name[0] != ".")
            return [SecretInfo(path.name.removesuffix(SUFFIX), path.stat().st_mtime) for path in files]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failed("list the secrets", self.folder, error) from error

    def get(self, name: str) -> str | None:
        """Return a value, None when there is none."""
        try:
            self._check_owner()
            with trusted_files.opened_folder(str(self.folder)) as folder:
                sealed = trusted_files.read_file(folder, name + SUFFIX, LONGEST_FILE)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(f"read the secret {name!r}", self.folder, error) from error
        try:
            return _run("decrypt", name, sealed, f"read the secret {name!r}").decode()
        except UnicodeDecodeError as error:
            raise SecretStoreError(f"cannot read the secret {name!r}: it is not text") from error

    def set(self, name: str, value: str) -> None:
        """Set a value."""
        sealed = _run("encrypt", name, value.encode(), f"set the secret {name!r}", *_key_options())
        try:
            self._check_owner()
            with (
                trusted_files.opened_folder(str(self.folder), create=True) as folder,
                trusted_files.locked(folder, LOCK),
            ):
                trusted_files.replace_file(folder, PROJECT, self._project.encode(), private=True)
                trusted_files.make_private(folder)
                trusted_files.replace_file(folder, name + SUFFIX, sealed, private=True, lasting=True)
        except OSError as error:
            raise _failed(f"set the secret {name!r}", self.folder, error) from error

    def delete(self, name: str) -> bool:
        """Remove a value; return whether there was one."""
        try:
            self._check_owner()
            with trusted_files.opened_folder(str(self.folder)) as folder, trusted_files.locked(folder, LOCK):
                os.unlink(name + SUFFIX, dir_fd=folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _failed(f"delete the secret {name!r}", self.folder, error) from error
        return True

    def _check_owner(self) -> None:
        """Refuse secrets of another project, which had a stack of the same name."""
        try:
            owner = (self.folder / PROJECT).read_text()
        except FileNotFoundError:
            return
        if owner != self._project:
            raise SecretStoreError(
                f"cannot use the secrets in {self.folder}: they belong to the project {owner}",
                hint=f"set another unitPrefix; or, if the project {owner} is no longer used: rm -r {self.folder}",
            )


@cache
def _key() -> str:
    """Return the kind of key; never `auto`, which uses an empty key where it finds no other."""
    try:
        has_tpm = subprocess.run([PROGRAM, "has-tpm2", "--quiet"], capture_output=True).returncode == 0
    except OSError:
        has_tpm = False
    return "host+tpm2" if has_tpm else "host"


def _key_options() -> list[str]:
    """Return the options for the key. No PCR is bound: a firmware update would make all secrets unreadable."""
    return [f"--with-key={_key()}", *(["--tpm2-pcrs="] if "tpm2" in _key() else [])]


def _run(verb: str, name: str, data: bytes, what: str, *options: str) -> bytes:
    """Encrypt or decrypt. The name is authenticated too: a file cannot be decrypted under the name of another."""
    argv = [PROGRAM, verb, f"--name={name}", *options, "-", "-"]
    try:
        done = subprocess.run(argv, input=data, capture_output=True)
    except OSError as error:
        raise SecretStoreError(
            f"cannot {what}: {PROGRAM}: {error.strerror}", hint="install it: it is a part of systemd"
        ) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        changed = verb == "decrypt"
        raise SecretStoreError(
            f"cannot {what}: {lines[-1] if lines else f'{PROGRAM} failed'}",
            hint="its file was changed or comes from another host; set the secret again" if changed else None,
        )
    return done.stdout


def _failed(what: str, folder: Path, error: OSError) -> OmnitronError:
    if isinstance(error, PermissionError) and os.geteuid():
        return NotPermittedError(f"cannot {what} in {folder}: {error.strerror}", hint="use sudo")
    return SecretStoreError(f"cannot {what} in {folder}: {error.strerror}")
