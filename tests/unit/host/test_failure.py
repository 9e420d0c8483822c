from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnitron.errors import DefinitionError, OmnitronError, Problem
from omnitron.host.failure import LONGEST, FailureError, describe, single_line
from omnitron.host.loading import Loader
from tests.support.module_files import Write

pytestmark = pytest.mark.usefixtures("as_before")


def failure(action: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        action()
    return caught.value


def imported(folder: Path, name: str = "stall.py", folders: list[Path] | None = None) -> str:
    """What is said of a module that fails."""
    error = failure(lambda: Loader([folder]).module(name))
    said = describe(error, folders or [folder])
    assert "\n" not in said
    return said


# Where


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nraise ValueError('no pears')", "stall.py:2: ValueError: no pears"),
        ("\n\n1 / 0", "stall.py:3: ZeroDivisionError: division by zero"),
        ("import no_such_module", "stall.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import broken", "broken.py:2: ValueError: nested"),
        ("from lib.api import x", "lib/api.py:1: NameError: name 'lost' is not defined"),
        ("x = (\n", "stall.py:1: SyntaxError: '(' was never closed"),
        ("if 1:\nx = 1", "stall.py:2: IndentationError: expected an indented block after 'if' statement on line 1"),
        ("import unparsed", "unparsed.py:2: SyntaxError: invalid syntax"),
        ("\ncompile('(', '<text>', 'exec')", "stall.py:2: SyntaxError: '(' was never closed"),
        ("\nraise SyntaxError('of my own')", "stall.py:2: SyntaxError: of my own"),
        ("\nint('x')", "stall.py:2: ValueError: invalid literal for int() with base 10: 'x'"),
        ("import json\njson.loads('{')", "stall.py:2: JSONDecodeError: "),
        ("raise ValueError", "stall.py:1: ValueError"),
        ("raise ValueError('a\\n  b\\r\\n\\tc\\n')", "stall.py:1: ValueError: a b c"),
        ("raise ValueError('\\x1b[31mred')", "stall.py:1: ValueError: \\x1b[31mred"),
        ("try:\n  1 / 0\nexcept Exception:\n  raise ValueError('after')", "stall.py:4: ValueError: after"),
        ("raise ExceptionGroup('two', [ExceptionGroup('in', [KeyError('a')]), ValueError('b')])", "KeyError: 'a'"),
        ("import sys\nsys.exit(0)", "stall.py:2: ExitError: it calls sys.exit(0)"),
        ("def f(): f()\nf()", "stall.py:1: RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_an_error_in_a_module_is_told_with_its_place(write: Write, text: str, said: str) -> None:
    folder = write(
        {
            "stall.py": text,
            "broken.py": "\nraise ValueError('nested')",
            "lib/__init__.py": "",
            "lib/api.py": "lost",
            "unparsed.py": "\nx = = 1",
        }
    )
    assert imported(folder).startswith(said)


def test_a_place_outside_of_the_folders_is_told_in_full(write: Write) -> None:
    folder = write({"stall.py": "1 / 0"})
    assert imported(folder, folders=[folder / "other"]) == f"{folder}/stall.py:1: ZeroDivisionError: division by zero"


def test_a_place_below_a_link_is_told_as_below_its_folder(write: Write) -> None:
    folder = write({"releases/1/stall.py": "1 / 0", "releases/1/word.py": "("})
    (folder / "current").symlink_to("releases/1")
    assert imported(folder / "current") == "stall.py:1: ZeroDivisionError: division by zero"
    assert imported(folder / "current", "word.py").startswith("word.py:1: SyntaxError: ")


def test_a_virtual_environment_in_the_folder_is_not_the_apps_own(write: Write) -> None:
    packages = "venv/lib/python3/site-packages"
    folder = write({f"{packages}/installed.py": "\n\n\nraise ValueError('deep')"})
    write({"stall.py": f"import sys\nsys.path.append({str(folder / packages)!r})\nimport installed"})
    assert imported(folder) == "stall.py:3: ValueError: deep"


def test_the_host_itself_is_never_the_place() -> None:
    checkout = Path(__file__).parents[3]
    error = failure(lambda: Loader([]).function("json:lost.lost"))
    assert describe(error, [checkout]) == "cannot find the function 'lost.lost' in json"
    error = failure(lambda: Loader([]).module(""))
    assert describe(error, [checkout]).startswith("tests/unit/host/test_failure.py:")


# What


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OmnitronError("cannot do it: no", hint="do this"), "cannot do it: no; do this"),
        (OmnitronError("two\nlines"), "two lines"),
        (
            DefinitionError([Problem("a.yaml", 1, "x", "bad"), Problem("a.yaml", 2, "y", "worse")]),
            "a.yaml:1: x: bad; a.yaml:2: y: worse",
        ),
        (ValueError(), "ValueError"),
        (ValueError(" \n "), "ValueError"),
        (ValueError("never raised"), "ValueError: never raised"),
        (SyntaxError("bare"), "SyntaxError: bare"),
        (SyntaxError("no line", ("f.py", None, None, None)), "f.py:1: SyntaxError: no line"),
        (SyntaxError(), "SyntaxError: None"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ExceptionGroup("all", [OmnitronError("first"), ValueError()]), "first"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "half"), "UnicodeEncodeError: 'utf-8' codec can't encode "),
    ],
)
def test_an_error_without_a_place(error: BaseException, said: str) -> None:
    assert describe(error, []).startswith(said)


def test_a_sentence_says_what_was_being_done() -> None:
    error = FailureError("import modules/api.py", ValueError("no"))
    assert error.sentence([]) == "cannot import modules/api.py: ValueError: no"
    assert str(error) == "import modules/api.py"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain", "plain"),
        ("", ""),
        (None, "None"),
        ("a\nb\r\n\tc\x0bd\u2028e", "a b c d e"),
        ("\x1b]0;title\x07\x7f", "\\x1b]0;title\\x07\\x7f"),
        ("\ud800", "\\xd800"),
        ("ä☃", "ä☃"),
        (Unprintable(), "<unprintable Unprintable>"),
    ],
)
def test_one_line(value: object, line: str) -> None:
    assert single_line(value) == line


def test_a_long_text_is_cut() -> None:
    assert single_line("x" * LONGEST) == "x" * LONGEST
    assert single_line("x" * 10_000_000) == "x" * (LONGEST - 1) + "…"
    assert len(FailureError("y" * 10_000, ValueError("x" * 10_000)).sentence([])) == LONGEST


def test_a_module_that_leaves_ends_its_process_with_a_reason(tmp_path: Path) -> None:
    """Run for real: `sys.exit(0)` at import must not look like a process that has done its work."""
    (tmp_path / "stall.py").write_text("import sys\nsys.exit(0)")
    spec = (
        '{"version": 1, "project": "p", "stack": "s", "app": "a", "process": "p", "logFormat": "text",'
        f' "folder": "{tmp_path}", "folders": ["{tmp_path}"], "module": "stall.py"}}'
    )
    (tmp_path / "spec.json").write_text(spec)
    command = [sys.executable, "-m", "omnitron.host", str(tmp_path / "spec.json")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[3])
    assert ended.returncode == 1
    assert "cannot import stall.py: stall.py:2: ExitError: it calls sys.exit(0)" in ended.stderr
