import errno
import json
import math
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.supervision import record, store
from omnitron.supervision.record import Crash, Exit, Final, Record, UnitRecord, dump, parse, read, update

UNIT = "omnitron-dev-api.service"
EXAMPLE = {
    "crashes": [{"at": 812.25, "unit": UNIT}],
    "units": {
        UNIT: {
            "restarts": 3,
            "next": 814.25,
            "lastExit": {"at": 1764000000.5, "result": "exit-code", "code": "exited", "status": "1"},
            "final": {"at": 1764000001.5, "reason": "crashed"},
        }
    },
}


def content(found: Record) -> object:
    return json.loads(dump(found))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "omnitron" / "dev" / f"{UNIT}.json"


def test_both_ways() -> None:
    found = parse(json.dumps(EXAMPLE).encode())
    assert found.crashes == [Crash(812.25, UNIT)]
    unit = found.units[UNIT]
    assert (unit.restarts, unit.next) == (3, 814.25)
    assert unit.last_exit == Exit(1764000000.5, "exit-code", "exited", "1")
    assert unit.final == Final(1764000001.5, "crashed")
    assert content(found) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"\0" * 100, b"[" * 100_000, b'{"crashes": 1, "units": []}'],
)
def test_what_is_damaged_is_an_empty_record(text: bytes) -> None:
    assert content(parse(text)) == {"crashes": [], "units": {}}


def test_only_the_damaged_part_is_lost() -> None:
    crashes = [{"at": 2, "unit": "a"}, {"at": "x", "unit": "a"}, {"at": 1e99, "unit": "a"}, 3, {"at": 1, "unit": "b"}]
    unit = {"restarts": "many", "next": math.nan, "lastExit": {"at": 5}, "final": {"at": 5}}
    found = parse(json.dumps({"crashes": crashes, "units": {"a": unit, "b": None}}).encode())
    assert found.crashes == [Crash(1, "b"), Crash(2, "a")]
    assert found.units["a"].last_exit == Exit(5, "", "", "")
    assert (found.units["a"].restarts, found.units["a"].next, found.units["a"].final) == (0, None, None)
    assert found.units["b"].restarts == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
UNITS = st.fixed_dictionaries(dict.fromkeys(("restarts", "next", "lastExit", "final"), JSON))
SHAPED = st.fixed_dictionaries(
    {
        "crashes": st.lists(st.fixed_dictionaries({"at": JSON, "unit": JSON}), max_size=3) | JSON,
        "units": st.dictionaries(
            st.text(),
            st.fixed_dictionaries(dict.fromkeys(("restarts", "next", "lastExit", "final"), JSON)) | JSON,
            max_size=3,
        ),
    }
)


@given(SHAPED | JSON)
def test_any_json_is_read_and_written_again(value: object) -> None:
    found = parse(json.dumps(value).encode())
    assert content(parse(dump(found))) == content(found)


@given(st.binary())
def test_any_bytes_are_read(text: bytes) -> None:
    parse(text)


def test_the_size_is_bounded() -> None:
    name = "u" * 255
    units = {f"{name}{i}": UnitRecord(last_exit=Exit(i, "signal", "killed", "TERM")) for i in range(2000)}
    text = dump(Record([Crash(i, name) for i in range(20_000)], units))
    assert len(text) < record.SIZE_LIMIT
    found = parse(text)
    assert found.crashes[-1].at == 19_999
    assert f"{name}1999" in found.units


def test_update_keeps_what_the_block_did(path: Path) -> None:
    for _ in range(2):
        with update(path) as found:
            found.unit(UNIT).restarts += 1
    assert read(path).units[UNIT].restarts == 2
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.lock"]


def test_update_writes_nothing_when_the_block_fails(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), update(path) as found:
        found.unit(UNIT).restarts = 1 // 0
    assert not path.exists()


def test_modes_do_not_follow_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        with update(path):
            pass
    finally:
        os.umask(before)
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent, path.parent.parent)}
    assert modes == {path: 0o644, path.parent: 0o755, path.parent.parent: 0o755}
    # Whoever can open the lock can hold it.
    assert stat.S_IMODE(path.with_name(f"{path.name}.lock").stat().st_mode) == 0o600


def test_many_writers_lose_nothing(path: Path) -> None:
    def work() -> None:
        for _ in range(20):
            with update(path) as found:
                found.unit(UNIT).restarts += 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(path).units[UNIT].restarts == 100


def test_a_stuck_lock_is_an_error_and_not_forever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCK_PATIENCE_S", 0.05)
    with update(path), pytest.raises(TimeoutError), update(path):
        pass


def link_folder(path: Path) -> None:
    real = path.parents[2] / "elsewhere"
    real.mkdir()
    path.parent.parent.mkdir()
    path.parent.symlink_to(real)


def open_folder(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o777)


def foreign_folder(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.chown(path.parent, 65534, 65534)


@pytest.mark.parametrize("prepare", [link_folder, open_folder, foreign_folder])
def test_a_folder_that_another_user_can_change_is_refused(path: Path, prepare: Callable[[Path], None]) -> None:
    if prepare is foreign_folder and os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    prepare(path)
    with pytest.raises(OSError), update(path):
        pass
    assert not path.exists()
    path.write_text(json.dumps(EXAMPLE))
    assert read(path).units == {}


def test_a_symlink_in_the_place_of_a_file_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.parent.mkdir(parents=True)
    for name in (path.name, f"{path.name}.new"):
        path.with_name(name).symlink_to(victim)
    with update(path) as found:
        found.unit(UNIT).restarts = 1
    assert victim.read_text() == "precious"
    assert read(path).units[UNIT].restarts == 1
    assert not path.is_symlink()


def test_a_symlink_in_the_place_of_the_lock_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.with_name(f"{path.name}.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError), update(path):
        pass
    assert not (tmp_path / "victim").exists()


def test_a_fifo_does_not_stop_the_reader(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert read(path).units == {}


def test_missing_is_empty(path: Path) -> None:
    assert read(path).units == {}
    assert not path.parent.exists()


def test_a_relative_path_is_refused() -> None:
    assert read("omnitron/x.json").units == {}


def test_no_space_leaves_the_old_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with update(path) as found:
        found.unit(UNIT).restarts = 1
    monkeypatch.setattr(os, "write", lambda _file, _data: 0)
    with pytest.raises(OSError), update(path) as found:
        found.unit(UNIT).restarts = 2
    assert read(path).units[UNIT].restarts == 1
    assert not path.with_name(f"{path.name}.new").exists()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_cannot_be_looked_for_is_not_taken_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "dev.json"
    with update(path) as content:
        content.crashes.append(Crash(1.0, UNIT))
    before = path.read_bytes()

    def fail(*_: object) -> bytes:
        raise OSError(number, "nothing left")

    monkeypatch.setattr(store, "read_file", fail)
    with pytest.raises(OSError, match="nothing left"):
        read(path)
    with pytest.raises(OSError, match="nothing left"), update(path):
        pass
    assert path.read_bytes() == before
