from collections.abc import Iterator

import pytest

from omnitron.supervision.light.contextmanager import contextmanager

STEPS: list[str] = []


@contextmanager
def block(name: str, *, fails_after: bool = False) -> Iterator[str]:
    try:
        yield name
        STEPS.append(f"{name} went well")
    finally:
        STEPS.append(f"{name} ended")
        if fails_after:
            raise KeyError(name)


@pytest.fixture(autouse=True)
def no_steps() -> None:
    STEPS.clear()


def test_a_block_that_ends() -> None:
    with block("a") as value, block("b"):
        STEPS.append(f"in {value}")
    assert STEPS == ["in a", "b went well", "b ended", "a went well", "a ended"]


def test_an_error_of_the_block_goes_on_after_the_end() -> None:
    with pytest.raises(ZeroDivisionError), block("a"), block("b"):
        raise ZeroDivisionError
    assert STEPS == ["b ended", "a ended"]


@pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt])
def test_errors_that_are_no_exceptions_go_on_too(error: type[BaseException]) -> None:
    with pytest.raises(error), block("a"):
        raise error
    assert STEPS == ["a ended"]


def test_an_error_at_the_end_takes_the_place_of_the_first() -> None:
    with pytest.raises(KeyError) as caught, block("a", fails_after=True):
        raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    with pytest.raises(KeyError), block("b", fails_after=True):
        pass


def test_a_return_ends_the_block() -> None:
    def leave() -> str:
        with block("a") as value:
            return value

    assert leave() == "a"
    assert STEPS == ["a went well", "a ended"]
