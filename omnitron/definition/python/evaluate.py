"""Evaluates a definition written in Python, in a process of its own and as the file's owner."""

from __future__ import annotations

import ast
import sys
import warnings
from pathlib import Path

from omnitron.authority import files
from omnitron.definition.python import isolation
from omnitron.definition.python.positions import PythonLines
from omnitron.definition.source import Source, read_text
from omnitron.errors import DefinitionError, Problem

CHILD = Path(__file__).with_name("evaluator.py")


def evaluate(path: Path, kind: str, *, timeout_s: float = isolation.TIMEOUT_S) -> Source:
    """Run the Python file at `path` and return what its one `define_<kind>` call said.

    Raises DefinitionError when it is not Python, raises, exits, hangs or defines nothing.
    """
    text, owner = read_text(path)
    # It is read once more, as whoever it belonged to just now: where that is root, nobody else may replace it.
    users = files.check(path, owner)
    try:
        with warnings.catch_warnings(action="ignore"):  # the child says them
            tree = ast.parse(text, filename=str(path))
            compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise DefinitionError([Problem(str(path), error.lineno or 0, "", f"cannot parse: {error.msg}")]) from error
    except (RecursionError, MemoryError) as error:
        raise DefinitionError([Problem(str(path), 0, "", "cannot parse: nested too deeply")]) from error
    # -B: evaluated as another user, it could not write there; as root, it should not.
    command = [sys.executable, "-B", str(CHILD), str(path), kind]
    counted = ",".join(map(str, users or ()))
    answer = isolation.ask(lambda pipe: [*command, str(pipe), counted], path, owner, timeout_s=timeout_s)
    lines = PythonLines(tree, answer["line"])
    if isinstance(answer.get("untrusted"), str):
        files.check(Path(answer["untrusted"]))
    if "error" in answer:
        keys = tuple(answer.get("path", ()))
        where = ".".join(map(str, keys))
        raise DefinitionError([Problem(str(path), lines(keys), where, answer["error"])])
    return Source(path, answer["data"], lines, owner)
