"""What the watcher must not forget, on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.supervision.rules.strategy import State
from omnitron.supervision.state.group_state import (
    GROUP_STOPPED,
    Memory,
    Presumed,
    Reason,
    dump,
    parse,
    path_of,
    read,
    write,
)

FULL = Memory(
    {"a.service": 1.5},
    State("a.service", ("b.service",), ("c.service",)),
    ("x.target",),
    True,
    {"d.service": Reason(2.5, "a.service", "ended with a", GROUP_STOPPED, "crashed")},
    {"a.service": Presumed("5c3b"), "e.service": Presumed("6d4c", "missing")},
)


@pytest.mark.parametrize("memory", [Memory(), FULL])
def test_what_is_written_is_read(tmp_path: Path, memory: Memory) -> None:
    path = path_of(tmp_path, "omnitron", "omnitron-dev")
    write(path, memory)
    assert read(path) == memory
    assert path == tmp_path / "omnitron/omnitron-dev.watcher.json"


def test_one_that_knows_of_no_presumed_crashes_is_read() -> None:
    assert parse(dump(Memory({"a.service": 1.5})).replace(b'"presumed":{},', b"")) == Memory({"a.service": 1.5})


def test_a_reason_without_a_code_is_read() -> None:
    coded = dump(FULL)
    uncoded = coded.replace(b',"kind":"groupStopped","cause":"crashed"', b"")
    assert uncoded != coded
    found = parse(uncoded)
    assert found and found.reasons == {"d.service": Reason(2.5, "a.service", "ended with a")}


def test_a_code_of_another_version_is_preserved() -> None:
    found = parse(dump(FULL).replace(b"groupStopped", b"moved"))
    assert found and found.reasons["d.service"].kind == "moved"
    assert parse(dump(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": 2}',
        b'{"version": 1}',
        dump(FULL).replace(b"1.5", b'"x"'),
        dump(FULL).replace(b"missing", b"x"),
        b"[" * 99999,
    ],
)
def test_what_is_damaged_or_newer_is_nothing(text: bytes) -> None:
    assert parse(text) is None


def test_nothing_is_read_through_a_link_or_from_nowhere(tmp_path: Path) -> None:
    path = path_of(tmp_path, "omnitron", "omnitron-dev")
    assert read(path) is None
    write(path, FULL)
    other = path.with_name("other")
    path.rename(other)
    path.symlink_to(other)
    assert read(path) is None
