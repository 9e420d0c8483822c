"""The history of one service: ring buffers of float32, so that a day of a thousand services fits in memory."""

from __future__ import annotations

from array import array


class History:
    """CPU (per cent of one CPU) and memory (bytes) of one service, the last `size` samples of each."""

    def __init__(self, size: int) -> None:
        self._size = max(1, size)
        self._cpu = array("f")
        self._memory = array("f")
        self._next = 0
        self._last: tuple[float, float] | None = None

    def add(self, now: float, cpu_s: float, memory: int) -> None:
        """Add a reading: `cpu_s` is the CPU time used so far, `now` is in monotonic seconds.

        The first reading of a run yields no sample. A CPU time that has decreased means a new run.
        """
        last, self._last = self._last, (now, cpu_s)
        if last is None or cpu_s < last[1] or now <= last[0]:
            return
        share = 100 * (cpu_s - last[1]) / (now - last[0])
        if len(self._cpu) < self._size:
            self._cpu.append(share)
            self._memory.append(memory)
        else:
            self._cpu[self._next], self._memory[self._next] = share, memory
        self._next = (self._next + 1) % self._size

    @property
    def cpu(self) -> list[float]:
        """CPU, oldest first."""
        return self._in_order(self._cpu)

    @property
    def memory(self) -> list[float]:
        """Memory, oldest first."""
        return self._in_order(self._memory)

    def _in_order(self, ring: array[float]) -> list[float]:
        start = self._next if len(ring) == self._size else 0
        return [*ring[start:], *ring[:start]]
