"""The restart budget: a limit of crashes within a sliding window. Pure."""

from __future__ import annotations

from ..light.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(NamedTuple):
    """The verdict about a new crash.

    `crashes` are the times inside the window, including the new one, in order (monotonic seconds);
    `attempt` is their number, which is also the number of the next restart; `final` means no restart follows.
    """

    crashes: tuple[float, ...]
    attempt: int
    final: bool


class Budget(NamedTuple):
    """At most `max_restarts` restarts within any `window_ms` milliseconds. Its text form is `5:60000`."""

    max_restarts: int
    window_ms: int

    def window_start(self, now: float) -> float:
        """Return the begin of the window that ends at `now`; monotonic seconds."""
        return now - self.window_ms / 1000

    def judge(self, crashes: Sequence[float], now: float) -> Verdict:
        """Return the verdict about a crash at `now` after `crashes` (sorted); monotonic seconds.

        Under a group strategy two crashes may be recorded in reverse order, so times after `now` count as well.
        """
        start = self.window_start(now)
        in_window = tuple(sorted([*(at for at in crashes if at >= start), now]))
        return Verdict(in_window, len(in_window), final=len(in_window) > self.max_restarts)

    def __str__(self) -> str:
        return f"{self.max_restarts}:{self.window_ms}"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read the text form; ValueError when it is not one."""
        restarts, _, window = text.partition(":")
        budget = cls(int(restarts), int(window))
        if min(budget) < 0:
            raise ValueError(f"not a restart budget: {text!r}")
        return budget
