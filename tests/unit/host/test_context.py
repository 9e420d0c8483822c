from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from omnitron.host.context import Context
from omnitron.host.rpc.calls import Call, current_call, detached, enter
from tests.support.host_context import context

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def with_failed() -> Context:
    made = context()
    made.failed = asyncio.get_running_loop().create_future()
    return made


def test_it_hands_on_to_what_the_host_gave_it() -> None:
    assert context().topology("Prices", int) == ("proxy", "Prices", int)
    assert context().topology("Prices") == ("proxy", "Prices", None)
    assert context().publish("topic", 1) == 0
    assert context().logger is logging.getLogger("api")


def test_a_task_gives_its_result_and_is_forgotten() -> None:
    async def main() -> None:
        made = with_failed()

        async def work() -> int:
            return 3

        task = made.spawn(work(), name="counting")
        assert (task.get_name(), await task) == ("counting", 3)
        await asyncio.sleep(0)
        assert not made._tasks
        assert made.failed and not made.failed.done()

    asyncio.run(main())


async def broken(error: Exception) -> None:
    raise error


def test_the_first_failure_of_a_task_is_the_failure_of_the_process(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        made = with_failed()
        first, second = ValueError("first"), ValueError("second")
        for error in (first, second):
            made.spawn(broken(error))
        assert made.failed and await made.failed is first
        await asyncio.sleep(0)
        [record] = caplog.records
        assert (record.getMessage(), record.exc_info and record.exc_info[1]) == ("a background task has failed", second)

    asyncio.run(main())


def test_cancelled_tasks_have_not_failed_and_are_waited_for() -> None:
    async def main() -> None:
        made = with_failed()
        ended: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(10)
            finally:
                await asyncio.sleep(0.01)
                ended.append("ended")

        made.spawn(work())
        made.spawn(work())
        await asyncio.sleep(0)
        await made.cancel_tasks()
        assert ended == ["ended", "ended"]
        assert made.failed and not made.failed.done()
        await made.cancel_tasks()

    asyncio.run(main())


def test_a_task_outlives_the_deadline_of_the_call_that_began_it() -> None:
    async def main() -> None:
        made = with_failed()
        enter(Call(deadline=time.monotonic(), traceparent=TRACE, transport="unix"))

        async def work() -> Any:
            return current_call()

        assert await made.spawn(work()) == Call(traceparent=TRACE, transport="unix")
        assert (call := current_call()) and call.deadline

    asyncio.run(main())


def test_without_a_call_there_is_nothing_to_detach() -> None:
    assert detached().run(current_call) is None
