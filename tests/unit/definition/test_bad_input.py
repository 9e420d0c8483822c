"""Files that are no definitions: each gives one short error, fast, whatever it holds."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from omnitron.definition.loader import load
from omnitron.definition.source import MAX_BYTES, read_source
from omnitron.errors import DefinitionError, NotPermittedError
from tests.support.build import FORMATS, problems, write

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
MERGED_LAUGHS = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{k{i}: *a{i - 1}, <<: *a{i - 1}}}\n" for i in range(1, 40))
DEEP = 50_000
DIGITS = "exceeds the limit (4300 digits) for integer string conversion"

CASES = [
    (".yaml", "a: &a [*a]\n", "1: cannot parse: an alias that contains itself"),
    (".yaml", LAUGHS, "1: cannot parse: more than 200000 values"),
    (".yaml", MERGED_LAUGHS, "1: cannot parse: more than 200000 values"),
    (".yaml", "[" * DEEP, "1: cannot parse: nested too deeply"),
    (".yaml", "{a: " * DEEP, "1: cannot parse: nested too deeply"),
    (".yaml", "- " * DEEP + "a", "1: cannot parse: nested too deeply"),
    (".yaml", "a: 2024-13-45\n", "1: cannot parse: "),
    (".yaml", "a:\n b: 1" + "0" * 5000, "2: cannot parse: Exceeds" + DIGITS.removeprefix("exceeds")),
    (".yaml", "a: b\n---\nc: d\n", "2: cannot parse: "),
    (".yaml", "a: [1\nb: c\n", "2: cannot parse: "),
    (".yaml", "a:\n\t- b\n", "2: cannot parse: a tab; YAML is indented with spaces"),
    (".yaml", "a: !!python/name:os.system x\n", "1: cannot parse: "),
    (".yaml", "? [a]\n: b\n", "1: cannot parse: a key must be plain text"),
    (".yaml", "a:\n <<: b\n", "2: cannot parse: '<<' needs a mapping"),
    (".json", "[" * DEEP, " cannot parse: nested too deeply"),
    (".json", "1" + "0" * 5000, " cannot parse: " + DIGITS),
    (".json", '{"a": 1,\n}', "2: cannot parse: "),
    (".json", "{}\n{}", "2: cannot parse: "),
    (".json", "", "1: cannot parse: "),
    (".toml", "a = " + "[" * DEEP, " cannot parse: nested too deeply"),
    (".toml", "a = 1" + "0" * 5000, " cannot parse: " + DIGITS),
    (".toml", "a = \n", "1: cannot parse: "),
    (".toml", "a = [1,\n", "2: cannot parse: "),
    (".py", "a = \n", "1: cannot parse: "),
    (".py", "a = " + "-" * DEEP + "1", " cannot parse: nested too deeply"),
    (".py", "a = " + "(" * 500, "1: cannot parse: "),
    (".py", "\nreturn 1\n", "2: cannot parse: "),
]


@pytest.mark.parametrize(("suffix", "text", "problem"), CASES)
def test_what_cannot_be_parsed(tmp_path: Path, suffix: str, text: str, problem: str) -> None:
    path = write(tmp_path, text, suffix)
    began = time.monotonic()
    (found,) = problems(path)
    assert found.startswith(f"{path.name}:{problem}")
    assert len(found) < 200
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a\n\xff\xfe\n", "2: cannot read: not UTF-8 text"),
        (b"\n\n\x7fELF\0\0", "3: cannot read: a binary file, not text"),
        (b"#" * (MAX_BYTES + 1), " cannot read: larger than 4 MiB"),
    ],
)
def test_what_is_not_text(tmp_path: Path, suffix: str, content: bytes, problem: str) -> None:
    path = write(tmp_path, "", suffix)
    path.write_bytes(content)
    assert problems(path) == [f"{path.name}:{problem}"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_not_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"omnitron.config{suffix}"
    assert problems(path) == [f"{path.name}: cannot read: no such file or directory"]
    path.mkdir()
    assert problems(path) == [f"{path.name}: cannot read: it is a directory"]
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert problems(path) == [f"{path.name}: cannot read: it is not a regular file"]
    path.unlink()
    path.symlink_to(path)
    (problem,) = problems(path)
    assert problem.startswith(f"{path.name}: cannot read: ")


def test_a_file_of_no_known_format(tmp_path: Path) -> None:
    path = write(tmp_path, "", ".ts")
    why = "cannot tell the format: the name ends in .ts, not in one of .py, .toml, .yaml, .json"
    assert problems(path) == [f"omnitron.config.ts: {why}"]
    assert problems(tmp_path) == [f"{tmp_path.name}: cannot read: it is a directory"]


def test_a_file_that_may_not_be_read(tmp_path: Path, as_nobody: None) -> None:
    path = write(tmp_path, "")
    path.chmod(0)
    with pytest.raises(NotPermittedError, match=f"cannot read {path}: permission denied"):
        load(path)


def test_a_large_file_with_many_problems_is_read_fast(tmp_path: Path) -> None:
    text = '{"project": "p", "apps": [' + ",\n".join('{"name": "a", "nope": 1}' for _ in range(300)) + "]}"
    began = time.monotonic()
    with pytest.raises(DefinitionError) as caught:
        load(write(tmp_path, text, ".json"))
    assert len(caught.value.problems) == 300 + 299
    assert time.monotonic() - began < 5


def test_lines_of_a_value_that_has_moved(tmp_path: Path) -> None:
    """A path into nothing gives the line of what is there of it."""
    source = read_source(write(tmp_path, '{"a": {\n"b": [1,\n{"c": 2}]}}', ".json"))
    paths = [(), ("a",), ("a", "b"), ("a", "b", 1), ("a", "b", 1, "c"), ("a", "b", 7), ("a", "x", "y")]
    assert [source.line(path) for path in paths] == [1, 1, 2, 3, 3, 2, 1]
