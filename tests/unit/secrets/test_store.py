"""Both stores: what goes in comes out, for nobody else, and what was tampered with does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omnitron.errors import UsageError
from omnitron.secrets.credential_store import CredentialStore
from omnitron.secrets.sealed_store import SealedStore
from omnitron.secrets.store import LONGEST, SecretStore, SecretStoreError, check_name, check_value, random_value
from omnitron.supervision.state import trusted_files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="systemd's key is root's")

Open = Callable[[], SecretStore]
VALUES = ["x", "pä$%\"'\\ \n", "a\n\nb\t", "x" * LONGEST]


def make(kind: str, folder: Path) -> SecretStore:
    return CredentialStore(folder / "stack", "shop") if kind == "systemd" else SealedStore(folder / "stack.sealed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that root trusts: pytest's own are below one that everybody may write to."""
    with tempfile.TemporaryDirectory(dir="/root", prefix=".omnitron-test-") as path:
        yield Path(path)


@pytest.fixture(params=["systemd", "sealed"])
def opened(request: pytest.FixtureRequest, folder: Path) -> Open:
    return lambda: make(request.param, folder)


@pytest.mark.parametrize("value", VALUES)
def test_what_goes_in_comes_out(opened: Open, value: str) -> None:
    opened().set("name", value)
    assert opened().get("name") == value
    assert opened().get("other") is None


def test_names_are_listed_with_the_time(opened: Open) -> None:
    assert opened().list() == []
    before = time.time() - 1
    for name in ("b", "a"):
        opened().set(name, name)
    assert [kept.name for kept in opened().list()] == ["a", "b"]
    assert all(before < kept.changed < time.time() + 1 for kept in opened().list())
    assert opened().delete("a") and not opened().delete("a")
    assert [kept.name for kept in opened().list()] == ["b"]


def test_nobody_else_may_read_them_and_none_is_there_in_plain(opened: Open, folder: Path) -> None:
    opened().set("name", "plain-text")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.stat().st_mode & 0o077 == 0, path
        assert b"plain-text" not in path.read_bytes()


def test_two_at_once_lose_nothing(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    # Eight in turn, each with a key that is slow to derive.
    monkeypatch.setattr(trusted_files, "LOCK_PATIENCE_S", 60.0)
    threads = [threading.Thread(target=lambda n=n: opened().set(f"n{n}", str(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {kept.name for kept in opened().list()} == {f"n{n}" for n in range(8)}


def test_what_was_changed_is_refused(opened: Open, folder: Path) -> None:
    opened().set("name", "value" * 50)
    (path,) = [path for path in folder.rglob("*") if path.suffix in (".cred", ".sealed")]
    data = bytearray(path.read_bytes())
    # Before the last letter: not all bits of that one count.
    data[-20] = ord("B" if data[-20] != ord("B") else "C")
    path.write_bytes(data)
    with pytest.raises(SecretStoreError, match="cannot read the secret"):
        opened().get("name")


def test_one_cannot_stand_in_for_another(folder: Path) -> None:
    store = CredentialStore(folder / "stack", "shop")
    store.set("a", "1")
    shutil.copy(folder / "stack/a.cred", folder / "stack/b.cred")
    with pytest.raises(SecretStoreError, match="'b'"):
        store.get("b")
    first, second = SealedStore(folder / "one.sealed"), SealedStore(folder / "two.sealed")
    first.set("a", "1")
    shutil.copy(folder / "one.sealed", folder / "two.sealed")
    shutil.copy(folder / "one.key", folder / "two.key")
    with pytest.raises(SecretStoreError, match="changed, or the passphrase"):
        second.get("a")


def test_a_passphrase_opens_and_another_does_not(folder: Path) -> None:
    (folder / "right").write_text("correct horse\n")
    (folder / "wrong").write_text("battery staple\n")
    SealedStore(folder / "s.sealed", folder / "right").set("a", "1")
    assert SealedStore(folder / "s.sealed", folder / "right").get("a") == "1"
    assert not (folder / "s.key").exists()
    for other in (folder / "wrong", folder / "none", None):
        with pytest.raises(SecretStoreError):
            SealedStore(folder / "s.sealed", other).get("a")


def test_a_folder_that_another_could_change_is_refused(opened: Open, folder: Path) -> None:
    folder.chmod(0o777)
    with pytest.raises(SecretStoreError, match="another user"):
        opened().set("name", "value")


def test_killed_while_it_sets_there_is_the_old_value_or_the_new_one(opened: Open, folder: Path) -> None:
    kind = "systemd" if isinstance(opened(), CredentialStore) else "sealed"
    opened().set("name", "0")
    code = (
        "import itertools, sys; from pathlib import Path; from tests.unit.secrets.test_store import make\n"
        f"store = make({kind!r}, Path({str(folder)!r}))\n"
        "print(flush=True)\n"
        "for number in itertools.count(1): store.set('name', str(number)); print(number, flush=True)\n"
    )
    last = 0
    for pause in (0.01, 0.03, 0.05, 0.08, 0.13):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            child.stdout.readline()
            time.sleep(pause)
            child.send_signal(signal.SIGKILL)
            told = [int(line) for line in child.stdout.read().split()]
        value = opened().get("name")
        last = told[-1] if told else last
        assert value is not None and int(value) in (last, (told[-1] if told else 0) + 1)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".x", "a b", "x" * 200, "-x"])
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a secret"):
        check_name(name)


@pytest.mark.parametrize("value", [b"", b"\0", b"a\0b", b"\xff\xfe", b"x" * (LONGEST + 1)])
def test_what_cannot_be_a_value(value: bytes) -> None:
    with pytest.raises(UsageError, match="cannot store"):
        check_value(value)


def test_random_values_differ() -> None:
    values = {random_value() for _ in range(100)}
    assert len(values) == 100
    assert all(len(value) == 64 and value.isalnum() for value in values)
