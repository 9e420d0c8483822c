from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any, NoReturn

import msgspec
import pytest

from omnitron.host.health import Health, parse_answer


class Plain(Enum):
    GOOD = "healthy"
    BAD = "unhealthy"
    ODD = 3


class Text(str, Enum):  # noqa: UP042 - as they were written before Python 3.11
    HALF = "degraded"


@dataclass
class Data:
    status: Any
    message: str = ""


@dataclass(slots=True)
class Slotted:
    status: str
    message: str | None = None


class Struct(msgspec.Struct):
    status: str
    message: str = "from a struct"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, ("healthy", "")),
        (True, ("healthy", "")),
        (False, ("unhealthy", "its health check returned False")),
        ("healthy", ("healthy", "")),
        ("degraded", ("degraded", "")),
        ("unhealthy", ("unhealthy", "")),
        (Plain.GOOD, ("healthy", "")),
        (Plain.BAD, ("unhealthy", "")),
        (Text.HALF, ("degraded", "")),
        ({"status": "degraded", "message": "slow disk"}, ("degraded", "slow disk")),
        ({"status": Text.HALF}, ("degraded", "")),
        ({"status": "healthy", "message": None, "more": 1}, ("healthy", "")),
        ({"status": "healthy", "message": 3}, ("healthy", "3")),
        (Data("unhealthy", "no disk"), ("unhealthy", "no disk")),
        (Data(Plain.BAD), ("unhealthy", "")),
        (Slotted("degraded"), ("degraded", "")),
        (Struct("healthy"), ("healthy", "from a struct")),
        (SimpleNamespace(status="healthy"), ("healthy", "")),
        ({"status": "degraded", "message": "two\nREADY=1\x1b[2J"}, ("degraded", "two READY=1\\x1b[2J")),
        ({"status": "healthy", "message": Unprintable()}, ("healthy", "<unprintable Unprintable>")),
    ],
)
def test_answers_that_are_understood(answer: Any, expected: tuple[str, str]) -> None:
    said = parse_answer(answer)
    assert said == expected
    assert type(said[0]) is str


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("fine", "'fine'"),
        ("HEALTHY", "'HEALTHY'"),
        ("", "''"),
        (1, "1"),
        (0, "0"),
        ({}, "None"),
        ({"status": True}, "True"),
        ({"status": ["healthy"]}, "['healthy']"),
        (["healthy"], "['healthy']"),
        (Plain.ODD, "3"),
        (Data(None), "None"),
        ("a\nb", "'a\\nb'"),
    ],
)
def test_an_answer_that_is_not_understood_is_unhealthy(answer: Any, shown: str) -> None:
    message = f"its health check returned {shown}, not healthy, degraded or unhealthy"
    assert parse_answer(answer) == ("unhealthy", message)


def test_an_answer_of_any_length_fits_into_a_notification() -> None:
    for answer in ("x" * 1_000_000, {"status": "healthy", "message": "x" * 1_000_000}):
        assert len(parse_answer(answer)[1]) < 1200


def health(
    hook: Callable[..., Any] | None = None, *wrong: str | None, timeout_s: float = 1, retries: int = 3
) -> Health:
    return Health(hook, [lambda one=one: one for one in wrong], timeout_s=timeout_s, retries=retries)  # type: ignore[misc]


def checked(*args: Any, **more: Any) -> tuple[str, str]:
    one = health(*args, **more)
    status = asyncio.run(one.check())
    assert status == one.status
    return status, one.message


async def degraded() -> str:
    await asyncio.sleep(0)
    return "degraded"


def test_without_a_check_of_its_own_a_process_is_what_its_transports_are() -> None:
    assert checked() == ("healthy", "")
    assert checked(None, None, None) == ("healthy", "")
    assert checked(None, None, "it is deaf", "it is dumb") == ("unhealthy", "it is deaf")


def test_a_broken_transport_is_told_before_the_check_is_asked() -> None:
    def never() -> NoReturn:
        raise AssertionError

    assert checked(never, "it is deaf") == ("unhealthy", "it is deaf")


def test_a_check_may_be_a_coroutine_or_not() -> None:
    assert checked(degraded) == ("degraded", "")
    assert checked(lambda: "degraded") == ("degraded", "")
    assert checked(lambda: degraded()) == ("degraded", "")


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def hook() -> NoReturn:
        raise error

    return hook


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no\ndisk"), "ValueError: no disk"),
        (TimeoutError("of its own"), "TimeoutError: of its own"),
        (SystemExit(1), "SystemExit: 1"),
        (asyncio.CancelledError(), "CancelledError: "),
        (ValueError(Unprintable()), "ValueError: <unprintable ValueError>"),
    ],
)
def test_a_check_that_raises_is_unhealthy(error: BaseException, said: str) -> None:
    assert checked(raising(error)) == ("unhealthy", f"its health check failed: {said}")


def test_an_answer_that_raises_is_unhealthy() -> None:
    class Angry:
        @property
        def status(self) -> str:
            raise LookupError("not now")

    assert checked(Angry) == ("unhealthy", "its health check failed: LookupError: not now")


def test_a_check_that_takes_too_long_is_unhealthy() -> None:
    began = time.monotonic()
    said = checked(lambda: asyncio.sleep(10), timeout_s=0.02)
    assert said == ("unhealthy", "its health check did not answer within 0.02 s")
    assert time.monotonic() - began < 9


def test_a_check_that_is_cancelled_from_outside_says_nothing() -> None:
    async def main() -> None:
        one = health(lambda: asyncio.sleep(10))
        task = asyncio.create_task(one.check())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (one.status, one.failures) == ("healthy", 0)

    asyncio.run(main())


def test_only_failures_in_a_row_count() -> None:
    answers = iter(
        ["unhealthy", "unhealthy", "degraded", "unhealthy", "unhealthy", "unhealthy", "unhealthy", "healthy"]
    )
    one = health(lambda: next(answers), retries=3)
    seen = []

    async def main() -> None:
        for _ in range(8):
            await one.check()
            seen.append((one.failures, one.has_failed))

    asyncio.run(main())
    assert seen == [
        (1, False),
        (2, False),
        (0, False),
        (1, False),
        (2, False),
        (3, True),
        (4, True),
        (0, False),
    ]


def test_failures_within_the_start_period_do_not_count() -> None:
    now = [100.0]
    checks = Health(lambda: "unhealthy", [], timeout_s=1, retries=1, start_period_s=30, clock=lambda: now[0])
    asyncio.run(checks.check())
    assert (checks.status, checks.failures, checks.has_failed) == ("unhealthy", 0, False)
    now[0] = 130.0
    asyncio.run(checks.check())
    assert (checks.failures, checks.has_failed) == (1, True)
