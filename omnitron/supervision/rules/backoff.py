"""Back-off: the delay before restart number n. Pure."""

from __future__ import annotations

from ..light.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Kind = Literal["exponential", "linear", "fixed"]

_KINDS: dict[str, Kind] = {"exponential": "exponential", "linear": "linear", "fixed": "fixed"}


class Backoff(NamedTuple):
    """A rule for the delay before a restart; milliseconds. Its text form is `exponential:1000:30000:2`."""

    kind: Kind
    initial_ms: int
    max_ms: int
    factor: float = 2

    def delay_ms(self, attempt: int) -> int:
        """Return the delay before restart `attempt` (1 = after the first crash in the window), in milliseconds."""
        try:
            return int(min(self.max_ms, self._uncapped_ms(attempt - 1)))
        except OverflowError:
            return self.max_ms

    def _uncapped_ms(self, earlier: int) -> float:
        if self.kind == "exponential":
            # 0 stays 0, even if the power of the factor overflows.
            return self.initial_ms and self.initial_ms * float(self.factor) ** earlier
        if self.kind == "linear":
            return self.initial_ms + self.factor * earlier * self.initial_ms
        return self.initial_ms

    def __str__(self) -> str:
        factor = int(self.factor) if self.factor == int(self.factor) else self.factor
        return f"{self.kind}:{self.initial_ms}:{self.max_ms}:{factor}"

    @classmethod
    def parse(cls, text: str) -> Backoff:
        """Read the text form; ValueError when it is not one."""
        kind, *numbers = text.split(":")
        if kind not in _KINDS or len(numbers) != 3:
            raise ValueError(f"not a back-off: {text!r}")
        backoff = cls(_KINDS[kind], int(numbers[0]), int(numbers[1]), float(numbers[2]))
        if backoff.initial_ms < 0 or backoff.max_ms < 0 or not 0 <= backoff.factor < float("inf"):
            raise ValueError(f"not a back-off: {text!r}")
        return backoff
