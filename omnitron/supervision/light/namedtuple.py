"""`NamedTuple` for the crash helpers: the import of `typing` takes as long as all their other imports."""

from __future__ import annotations

from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class NamedTuple(tuple):
        """Base of immutable classes with annotated fields."""

        def __init_subclass__(cls) -> None:
            cls._fields = tuple(cls.__annotations__)
            cls._defaults = {field: cls.__dict__[field] for field in cls._fields if field in cls.__dict__}
            for index, field in enumerate(cls._fields):
                setattr(cls, field, property(itemgetter(index)))

        def __new__(cls, *values, **named):  # noqa: D102
            rest = cls._fields[len(values) :]
            by_name = {**cls._defaults, **named}
            if len(values) > len(cls._fields) or not set(named) <= set(rest) <= set(by_name):
                raise TypeError(f"{cls.__name__} has the fields {', '.join(cls._fields)}")
            return tuple.__new__(cls, (*values, *(by_name[field] for field in rest)))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self) -> str:
            fields = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({fields})"

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))
