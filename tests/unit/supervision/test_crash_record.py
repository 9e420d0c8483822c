import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.supervision.state import crash_record, trusted_files
from omnitron.supervision.state.crash_record import Crash, Exit, Final, Record, UnitRecord, dump, parse, read, update

UNIT = "omnitron-dev-api.service"
EXAMPLE = f"""\
crash\t812.25\t{UNIT}
unit\t{UNIT}\t3\t814.25
exit\t{UNIT}\t1764000000.5\texit-code\texited\t1
run\t{UNIT}\t5c3b
final\t{UNIT}\t1764000001.5\tcrashed
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "omnitron" / "dev" / f"{UNIT}.crashes"


def test_both_ways() -> None:
    found = parse(EXAMPLE.encode())
    assert found.crashes == [Crash(812.25, UNIT)]
    unit = found.units[UNIT]
    assert (unit.restarts, unit.next) == (3, 814.25)
    assert unit.last_exit == Exit(1764000000.5, "exit-code", "exited", "1", "5c3b")
    assert unit.final == Final(1764000001.5, "crashed")
    assert dump(found) == EXAMPLE.encode()


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"crash", b"\xff\xfe", b"\0" * 100, b"\t" * 100_000, b'{"crashes": [], "units": {"a": {}}}'],
)
def test_what_is_damaged_is_an_empty_record(text: bytes) -> None:
    assert dump(parse(text)) == b""


@pytest.mark.parametrize("bad", ["x", "1 2", "nan", "inf", "-1", "1e99"])
@pytest.mark.parametrize("line", ["crash {} a", "unit a {} ", "unit a 1 {}", "exit a {} r c s", "final a {} why"])
def test_only_the_damaged_line_is_lost(line: str, bad: str) -> None:
    text = f"crash 2 a\nunit b 7 \n{line.format(bad)}\ncrash 1 b\nfinal b 5 gone\n"
    found = parse(text.replace(" ", "\t").encode())
    assert found.crashes == [Crash(1, "b"), Crash(2, "a")]
    assert list(found.units) == ["b"]
    assert found.units["b"].restarts == 7
    assert found.units["b"].final == Final(5, "gone")


def test_the_order_in_which_crashes_were_noted_is_not_that_of_their_times() -> None:
    assert parse(b"crash\t2\ta\ncrash\t1\tb\n").crashes == [Crash(1, "b"), Crash(2, "a")]


TEXTS = st.text(st.characters(exclude_characters="\t\n", exclude_categories=["Cs"]))
TIMES = st.floats(0, 1e11, exclude_max=True)
RECORDS = st.builds(
    Record,
    st.lists(st.builds(Crash, TIMES, TEXTS), max_size=3).map(sorted),
    st.dictionaries(
        TEXTS,
        st.builds(
            UnitRecord,
            st.integers(0, 10**9),
            st.none() | TIMES,
            st.none() | st.builds(Exit, TIMES, TEXTS, TEXTS, TEXTS, TEXTS),
            st.none() | st.builds(Final, TIMES, TEXTS),
        ),
        max_size=3,
    ),
)


@given(RECORDS)
def test_any_record_is_written_and_read_again(before: Record) -> None:
    after = parse(dump(before))
    assert after.crashes == before.crashes
    assert {name: vars(unit) for name, unit in after.units.items()} == {
        name: vars(unit) for name, unit in before.units.items()
    }


@given(st.text())
def test_no_text_can_forge_a_line(text: str) -> None:
    found = parse(dump(Record([], {UNIT: UnitRecord(final=Final(5, f"{text}\ncrash\t1\t{UNIT}"))})))
    assert found.crashes == []
    assert list(found.units) == [UNIT]


LINES = st.lists(st.lists(st.sampled_from(["crash", "unit", "exit", "final", "1", "", "a"]) | st.text(), max_size=7))


@given(LINES)
def test_any_lines_are_read_and_written_again(lines: list[list[str]]) -> None:
    found = parse("\n".join("\t".join(line) for line in lines).encode(errors="replace"))
    assert dump(parse(dump(found))) == dump(found)


@given(st.binary())
def test_any_bytes_are_read(text: bytes) -> None:
    parse(text)


def test_the_size_is_bounded() -> None:
    name = "u" * 255
    units = {f"{name}{i}": UnitRecord(last_exit=Exit(i, "signal", "killed", "TERM")) for i in range(2000)}
    text = dump(Record([Crash(i, name) for i in range(20_000)], units))
    assert len(text) < crash_record.SIZE_LIMIT
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
    monkeypatch.setattr(trusted_files, "LOCK_PATIENCE_S", 0.05)
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
    path.write_text(EXAMPLE)
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
    assert read("omnitron/x.crashes").units == {}


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
    path = tmp_path / "dev.crashes"
    with update(path) as content:
        content.crashes.append(Crash(1.0, UNIT))
    before = path.read_bytes()

    def fail(*_: object) -> bytes:
        raise OSError(number, "nothing left")

    monkeypatch.setattr(trusted_files, "read_file", fail)
    with pytest.raises(OSError, match="nothing left"):
        read(path)
    with pytest.raises(OSError, match="nothing left"), update(path):
        pass
    assert path.read_bytes() == before
