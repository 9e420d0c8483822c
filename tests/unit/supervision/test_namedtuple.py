import pickle

import pytest

from omnitron.supervision.light.namedtuple import NamedTuple


class Point(NamedTuple):
    x: int
    y: int = 2


def test_like_the_one_of_typing() -> None:
    point = Point(1)
    assert point == Point(x=1, y=2) == (1, 2)
    assert (point.x, point.y) == (1, 2)
    assert repr(point) == "Point(x=1, y=2)"
    assert point._asdict() == {"x": 1, "y": 2}
    assert pickle.loads(pickle.dumps(point)) == point


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})])
def test_wrong_fields_are_refused(values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="has the fields x, y"):
        Point(*values, **named)


def test_fields_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Point(1).x = 2  # type: ignore[misc]
