from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from omnitron.host.context import Context
from omnitron.host.failure import FailureError
from omnitron.host.hooks import MOMENTS, HookTable
from omnitron.host.loading import Loader
from omnitron.policy.host_spec import Hooks
from tests.support.host_context import context
from tests.support.module_files import Write

pytestmark = pytest.mark.usefixtures("as_before")

TEXT = """
import asyncio, functools, sys
seen = []

def without(): seen.append("without")
def with_context(context): seen.append(context)
async def async_without(): await asyncio.sleep(0); seen.append("async without")
async def async_with(context): await asyncio.sleep(0); seen.append(context)
def perhaps(context=None): seen.append(context)
def anything(*args, **more): seen.append(args[0] if args else None)
def keyword(*, context=None): seen.append(context)
def gives(context): return async_with(context)
class Hooks:
    def __call__(self, context): seen.append(context)
    @staticmethod
    def static(context): seen.append(context)
an_object = Hooks()
partial = functools.partial(with_context)
builtin = seen.clear
def two(a, b): pass

def fails(): raise ValueError("no\\ndisk")
async def fails_later(): await asyncio.sleep(0); raise ValueError("later")
def leaves(): sys.exit(0)
async def leaves_later(): await asyncio.sleep(0); sys.exit(3)
def cancelled(): raise asyncio.CancelledError
def times_out(): raise TimeoutError("of its own")
async def sleeps(): await asyncio.sleep(10)
async def lingers():
    try: await sleeps()
    finally: raise LookupError("while it ended")
"""


@pytest.fixture
def hook(write: Write) -> Callable[..., Any]:
    """Runs one hook: gives its module's `seen`, or the sentence of its failure."""
    folder = write({"hooks.py": TEXT})

    def run(name: str, given: Context | None = None, moment: str = "after_start", timeout_s: float = 1) -> Any:
        loader = Loader([folder])
        seen = loader.module("hooks.py").seen
        seen.clear()
        table = HookTable(Hooks(**{moment: f"hooks.py:{name}"}), loader)
        try:
            asyncio.run(table.run(moment, given, timeout_s))
        except FailureError as error:
            return error.sentence([folder])
        return list(seen)

    return run


@pytest.mark.parametrize("name", ["without", "async_without"])
def test_a_hook_that_takes_nothing(hook: Callable[..., Any], name: str) -> None:
    assert hook(name, context()) == hook(name) == [name.replace("_", " ")]


@pytest.mark.parametrize(
    "name", ["with_context", "async_with", "perhaps", "anything", "gives", "an_object", "Hooks.static", "partial"]
)
def test_a_hook_that_takes_the_context(hook: Callable[..., Any], name: str) -> None:
    given = context()
    assert hook(name, given) == [given]


def test_hooks_with_a_will_of_their_own(hook: Callable[..., Any]) -> None:
    assert hook("keyword", context()) == [None]
    assert hook("perhaps") == [None]
    assert hook("builtin", context()) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fails", "hooks.py:{line}: ValueError: no disk"),
        ("fails_later", "hooks.py:{line}: ValueError: later"),
        ("leaves", "hooks.py:{line}: SystemExit: 0"),
        ("leaves_later", "hooks.py:{line}: SystemExit: 3"),
        ("cancelled", "hooks.py:{line}: CancelledError"),
        ("times_out", "hooks.py:{line}: TimeoutError: of its own"),
        ("lingers", "hooks.py:{line}: LookupError: while it ended"),
        ("sleeps", "HookTimeoutError: it took longer than 0.02 s"),
        ("two", "TypeError: two() missing 2 required positional arguments: 'a' and 'b'"),
    ],
)
def test_a_hook_that_fails_ends_with_a_reason(hook: Callable[..., Any], name: str, said: str) -> None:
    began = time.monotonic()
    *_, line = (number for number, text in enumerate(TEXT.splitlines(), 1) if f"def {name}(" in text)
    said = said.format(line=line + 2 if name == "lingers" else line)
    assert hook(name, context(), timeout_s=0.02) == f"cannot run the hook afterStart: {said}"
    assert time.monotonic() - began < 9


def test_a_hook_that_wants_a_context_where_there_is_none_says_so(hook: Callable[..., Any]) -> None:
    said = hook("with_context", moment="before_create")
    assert said.startswith("cannot run the hook beforeCreate: TypeError: with_context() missing 1 required")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("hooks.py:lost", "cannot find the function 'lost' in hooks.py"),
        ("hooks.py:seen", "cannot find the function 'seen' in hooks.py"),
        ("lost.py:hook", "cannot find lost.py: looked for "),
        ("hooks", "cannot find 'hooks': a function is named as `file.py:function`"),
        ("broken.py:hook", "broken.py:1: ZeroDivisionError: division by zero"),
        ("leaves.py:hook", "leaves.py:1: ExitError: it calls sys.exit(0)"),
    ],
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_wrong_reference_is_told_at_once(write: Write, moment: str, reference: str, said: str) -> None:
    folder = write({"hooks.py": TEXT, "broken.py": "1 / 0", "leaves.py": "import sys; sys.exit(0)"})
    with pytest.raises(FailureError) as caught:
        HookTable(Hooks(**{moment: reference}), Loader([folder]))
    first, *rest = moment.split("_")
    camel = first + "".join(map(str.capitalize, rest))
    assert caught.value.sentence([folder]).startswith(f"cannot load the hook {camel} ({reference}): {said}")


def test_a_moment_without_a_hook_is_no_moment(hook: Callable[..., Any]) -> None:
    table = HookTable(Hooks(), Loader([]))
    assert [table.get(moment) for moment in MOMENTS] == [None] * len(MOMENTS)
    asyncio.run(table.run("after_stop", None, 1))


def test_every_moment_of_the_file_is_known() -> None:
    assert {field.name for field in fields(Hooks)} == set(MOMENTS)


def test_a_hook_that_is_cancelled_from_outside_has_not_failed(write: Write) -> None:
    folder = write({"hooks.py": TEXT})
    table = HookTable(Hooks(after_start="hooks.py:sleeps"), Loader([folder]))

    async def main() -> None:
        task = asyncio.create_task(table.run("after_start", None, 10))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
