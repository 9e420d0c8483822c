"""`contextmanager` for the crash helpers: the import of `contextlib` takes as long as all their other imports."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import contextmanager as contextmanager
else:

    def contextmanager(steps):
        """Make a context manager of a generator function with one `yield` that does not catch errors."""
        return lambda *values, **named: _Block(steps(*values, **named))

    class _Block:
        def __init__(self, steps) -> None:
            self._steps = steps

        def __enter__(self):
            return next(self._steps)

        def __exit__(self, kind, error, trace) -> None:
            if error is None:
                next(self._steps, None)
                return
            try:
                self._steps.throw(error)
            except BaseException as raised:
                # Python itself raises the error of the block again.
                if raised is not error:
                    raise
