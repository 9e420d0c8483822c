"""How many crashes within a sliding window are too many."""

from __future__ import annotations

from ..light.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(NamedTuple):
    """What a new crash means.

    `crashes` are the times inside the window, the new one included, in order (monotonic seconds);
    `attempt` is their number, and so that of the restart to come; `final` says that none will come.
    """

    crashes: tuple[float, ...]
    attempt: int
    final: bool


class Budget(NamedTuple):
    """At most `max_restarts` restarts within any `window_ms` milliseconds. Its text form is `5:60000`."""

    max_restarts: int
    window_ms: int

    def window_start(self, now: float) -> float:
        """The oldest time that is still inside a window which ends at `now`; monotonic seconds."""
        return now - self.window_ms / 1000

    def judge(self, crashes: Sequence[float], now: float) -> Verdict:
        """What a crash at `now` means after `crashes` (sorted); monotonic seconds.

        Under a group strategy two crashes may be recorded in the other order than they happened, so a
        time later than `now` counts as well.
        """
        start = self.window_start(now)
        kept = tuple(sorted([*(at for at in crashes if at >= start), now]))
        return Verdict(kept, len(kept), final=len(kept) > self.max_restarts)

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
