from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from omnitron.definition.check import find_cycle
from omnitron.planner.resolve.order import start_order, stop_order

Graph = dict[str, list[str]]


@st.composite
def graphs(draw: st.DrawFn, size: int = 8) -> Graph:
    """Names with what each needs, without loops, declared in any order; some needs are of other stacks."""
    names = [chr(ord("a") + i) for i in range(draw(st.integers(0, size)))]
    needs = {
        name: draw(st.lists(st.sampled_from([*names[:i], "elsewhere"]), max_size=3)) for i, name in enumerate(names)
    }
    return {name: needs[name] for name in draw(st.permutations(names))}


def visited(graph: Graph) -> list[str]:
    """The naive model: visit in the order of declaration, what is needed first."""
    order: list[str] = []

    def visit(name: str) -> None:
        for need in graph[name]:
            if need in graph:
                visit(need)
        if name not in order:
            order.append(name)

    for name in graph:
        visit(name)
    return order


@given(graphs())
def test_start_order_is_that_of_the_naive_model(graph: Graph) -> None:
    assert start_order(graph) == visited(graph)


@given(graphs())
def test_everything_starts_once_and_after_what_it_needs(graph: Graph) -> None:
    order = start_order(graph)
    assert sorted(order) == sorted(graph)
    assert all(order.index(need) < order.index(name) for name in graph for need in graph[name] if need in graph)


def test_without_needs_apps_start_as_declared_and_a_need_is_drawn_forward() -> None:
    assert start_order({"b": [], "a": [], "c": []}) == ["b", "a", "c"]
    assert start_order({"b": ["c"], "a": [], "c": []}) == ["c", "b", "a"]


def test_a_long_chain_needs_no_stack() -> None:
    chain: Graph = {str(i): [str(i + 1)] for i in range(5000)} | {"5000": []}
    assert start_order(chain) == [str(i) for i in range(5000, -1, -1)]
    assert find_cycle(chain) == []


@given(graphs(5), st.data())
def test_stop_order_is_the_first_of_all_that_obey(graph: Graph, data: st.DataObject) -> None:
    """Of all orders with dependents before what they need, the one that is least by priority, then by start."""
    priority = {name: data.draw(st.integers(-1, 1)) for name in graph if data.draw(st.booleans())}
    started = start_order(graph)
    least = min(
        (order for order in permutations(graph) if obeys(order, graph)),
        key=lambda order: [(priority.get(name, 0), -started.index(name)) for name in order],
    )
    assert stop_order(graph, priority) == list(least)


def obeys(order: tuple[str, ...], graph: Graph) -> bool:
    place = {name: index for index, name in enumerate(order)}
    return all(place[name] < place[need] for name in graph for need in graph[name] if need in place)


@given(graphs())
def test_without_priorities_a_stack_stops_so_that_dependents_go_first(graph: Graph) -> None:
    assert obeys(tuple(stop_order(graph, {})), graph)


@given(graphs(), st.data())
def test_a_cycle_is_found_exactly_where_there_is_one(graph: Graph, data: st.DataObject) -> None:
    assert find_cycle(graph) == []
    if graph:
        first, last = data.draw(st.sampled_from(start_order(graph))), data.draw(st.sampled_from(start_order(graph)))
        graph[first] = [*graph[first], last]
        loop = find_cycle(graph)
        assert bool(loop) is reaches(last, first, graph)
        assert all(need in graph[name] for name, need in zip(loop, [*loop[1:], *loop[:1]], strict=True))


def reaches(name: str, other: str, graph: Graph) -> bool:
    seen: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        pending += [need for need in graph.get(current, []) if need not in seen]
        seen.add(current)
    return other in seen
