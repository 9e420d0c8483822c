"""The process in which a Python definition runs: `evaluator.py FILE KIND FD USERS` writes one JSON object to FD.

USERS are the uids whose files it may read, with commas between them; none where root is not concerned.
`{"data": …, "line": N}`, or `{"error": …, "line": N, "path": […]}`; `{"error": …, "line": N, "untrusted": FILE}` for
one that reads what it may not. A file and not a module, so that it can be started as a user for whom nothing is set up.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import runpy
import stat
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

MAX_DEPTH = 60
MAX_MEMORY_BYTES = 2 << 30
MAX_NEW_TASKS = 64


class UnsayableValueError(Exception):
    """A value that no data file could hold: its key path, and why."""


class UntrustedReadError(Exception):
    """The definition reads a file that others than those whose word counts could have written."""


def main(file: str, kind: str, descriptor: int, users: frozenset[int]) -> None:
    """Evaluate `file` and write the answer, after a newline that says that this program began."""
    os.write(descriptor, b"\n")
    process = os.getpid()
    sys.path.append(str(Path(__file__).parents[3]))
    set_limits()
    if users:
        guard(users)
    try:
        answer = json.dumps(evaluate(file, kind)).encode()
    except ValueError as error:  # a number of thousands of digits
        answer = json.dumps({"error": f"cannot use it: {error}", "line": 0}).encode()
    if os.getpid() == process:  # a definition that forks is two that come here
        with os.fdopen(descriptor, "wb") as pipe:
            pipe.write(answer)


def set_limits() -> None:
    """Bound the memory and, but for root, of whom the kernel does not count it, the processes of this process."""
    lower(resource.RLIMIT_AS, MAX_MEMORY_BYTES)
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_NPROC, count_tasks(os.getuid()) + MAX_NEW_TASKS)


def lower(limit: int, value: int) -> None:
    """Set both limits of a resource to `value`, where they are not lower already."""
    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def count_tasks(uid: int) -> int:
    """Return the number of processes and threads of a user."""
    count = 0
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it may have ended
            if process.name.isdecimal() and process.stat().st_uid == uid:
                count += sum(1 for _ in (process / "task").iterdir())
    return count


def guard(users: frozenset[int]) -> None:
    """Refuse to open what others than `users` could have written: modules and data are as much root's word as the file.

    It keeps out those who can write one of the files, not the definition's own author, whose word counts.
    """
    from omnitron.authority.files import first_flaw

    # The installation that evaluates is what root runs already.
    ours = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), "/proc", "/dev", "/sys")
    busy = False

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if event != "open" or busy or not isinstance(arguments[0], str | bytes):
            return
        path = Path(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100 - links must be seen
        if any(map(path.is_relative_to, ours)):
            return
        busy = True
        try:
            flaw = first_flaw(path, users)
        except (OSError, RuntimeError):
            return  # opening it says what is wrong
        finally:
            busy = False
        if flaw:
            raise UntrustedReadError(str(path))

    sys.addaudithook(audit)


def evaluate(file: str, kind: str) -> dict[str, Any]:
    """Return the answer for `file`, whatever it does short of ending the process."""
    folder = Path(file).parent
    try:
        # The folder of this script must not shadow other modules; the definition's own folder comes first,
        # unless it is one like /tmp, where anybody could lay a module.
        sys.path[:1] = [] if folder.stat().st_mode & stat.S_ISVTX else [str(folder)]
        values = runpy.run_path(file, run_name="omnitron_definition")
    except UntrustedReadError as error:
        return {"error": f"cannot evaluate: it reads {error}", "line": line_of(error, file), "untrusted": str(error)}
    except BaseException as error:
        # Everything: a definition that exits or is interrupted is as wrong as one that raises.
        return {"error": describe(error), "line": line_of(error, file)}
    from omnitron.definition.authoring import Declaration

    declarations = {id(value): value for value in values.values() if isinstance(value, Declaration)}
    of_kind = [value for value in declarations.values() if value.kind == kind]
    if len(of_kind) != 1:
        return {
            "error": how_many(kind, of_kind, list(declarations.values())),
            "line": of_kind[1].line if of_kind else 0,
        }
    line = of_kind[0].line if of_kind[0].file == file else 0
    try:
        return {"data": plain(of_kind[0].values, (), file), "line": line}
    except UnsayableValueError as error:
        path, why = error.args
        return {"error": f"cannot use this value: {why}", "line": line, "path": path}


def describe(error: BaseException) -> str:
    """Say in one line how the definition ended."""
    if isinstance(error, SystemExit):
        return f"cannot evaluate: it called sys.exit({'' if error.code is None else repr(error.code)})"
    if type(error).__name__ == "DefineSystemError":
        return str(error)
    text = " ".join(str(error).split())[:300]
    return f"cannot evaluate: {type(error).__name__}" + (f": {text}" if text else "")


def line_of(error: BaseException, file: str) -> int:
    """Return the last line of `file` that was being run, 0 when none was."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == file), 0)


def how_many(kind: str, of_kind: list[Any], others: list[Any]) -> str:
    """Say why there is not exactly one declaration."""
    if of_kind:
        return f"cannot choose: {len(of_kind)} calls of define_{kind} are kept in variables; there must be one"
    if others:
        return f"cannot use it here: it calls define_{others[0].kind}, not define_{kind}"
    return f"defines nothing: a variable must hold the result of define_{kind}(…)"


def plain(value: Any, path: tuple[str | int, ...], file: str) -> Any:
    """Return `value`, found at `path`, as JSON can say it; functions become `file.py:function`."""
    if len(path) > MAX_DEPTH:
        raise UnsayableValueError(path[:1], "it is nested too deeply, or in itself")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, (*path, str(key)), file) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, (*path, index), file) for index, item in enumerate(value)]
    if hasattr(value, "values") and hasattr(value, "kind"):
        return plain(value.values, path, file)
    if callable(value) and hasattr(value, "__qualname__"):
        module = getattr(value, "__module__", "")
        home = Path(file).name if module == "omnitron_definition" else module
        return f"{home}:{value.__qualname__}"
    raise UnsayableValueError(path, f"{type(value).__name__} cannot be part of a definition")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), frozenset(map(int, filter(None, sys.argv[4].split(",")))))
