"""Figures as others read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omnitron.observe.cgroups import Details
from omnitron.watcher.metrics.exposition import aggregated, histories, prometheus
from omnitron.watcher.metrics.history import History
from omnitron.watcher.metrics.sampler import Figures
from tests.support.policies import policy

FULL = Details(3, False, 900, 10, 20, 1, {"cpu": 1.5})
BARE = Details(1, True, None, None, None, None, {})
ONE = Figures("a", "main", None, "omnitron-dev-a-main.service", 12.5, 100, 2, FULL)
TWO = Figures("b", "work", 2, "omnitron-dev-b-work@2.service", 1.0, 50, 0, BARE)


def test_sums_and_processes(tmp_path: Path) -> None:
    stack = policy(tmp_path, {"name": "a"}, {"name": "b"}, {"name": "c"})
    data = aggregated([(stack, [ONE, TWO])], timestamp=7)
    assert data["totals"] == {"cpu": 13.5, "memory": 150}
    assert {name: (one["cpu"], one["memory"]) for name, one in data["apps"].items()} == {
        "a": (12.5, 100),
        "b": (1.0, 50),
        "c": (0, 0),
    }
    (process,) = data["apps"]["b"]["processes"]
    assert (process["name"], process["memoryPeak"], process["memoryIsSum"]) == ("work@2", None, True)


def test_an_app_of_two_stacks_is_named_with_its_stack(tmp_path: Path) -> None:
    stack = policy(tmp_path, {"name": "a"})
    data = aggregated([(stack, [ONE]), (replace(stack, stack="prod"), [])], timestamp=7)
    assert list(data["apps"]) == ["dev/a", "prod/a"]


def test_prometheus_text(tmp_path: Path) -> None:
    stack = replace(policy(tmp_path, {"name": "a"}, {"name": "b"}), project='sh"op\\\n')
    lines = prometheus([(stack, [ONE, TWO])]).split("\n")
    labels = 'project="sh\\"op\\\\\\n",stack="dev"'
    assert f'omnitron_app_memory_bytes{{{labels},app="a",process="main"}} 100' in lines
    assert f'omnitron_app_memory_bytes{{{labels},app="b",process="work",instance="2"}} 50' in lines
    assert f'omnitron_app_oom_kills_total{{{labels},app="a",process="main"}} 1' in lines
    assert f'omnitron_app_pressure_percent{{{labels},app="a",process="main",resource="cpu"}} 1.5' in lines
    assert not any("oom_kills" in line and 'app="b"' in line for line in lines)
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) == 11


def test_what_is_down_is_told_of_too(tmp_path: Path) -> None:
    stack = policy(tmp_path, {"name": "a"}, {"name": "b"})
    down = replace(ONE, app="b", cpu=0.0, memory=0, restarts=5, details=BARE, is_up=False)
    lines = prometheus([(stack, [replace(ONE, pending=3), down])]).split("\n")
    of = {name: f'{{project="{stack.project}",stack="dev",app="{name}",process="main"}}' for name in "ab"}
    told = [line for line in lines if 'app="b"' in line]
    assert told == [f"omnitron_app_up{of['b']} 0", f"omnitron_app_restarts_total{of['b']} 5"]
    assert f"omnitron_app_pending_calls{of['a']} 3" in lines
    assert f"omnitron_app_up{of['a']} 1" in lines


def test_histories_are_told_oldest_first(tmp_path: Path) -> None:
    stack, history = policy(tmp_path, {"name": "a"}), History(9)
    for at in range(3):
        history.add(at, at * 0.5, at)
    told = histories([(stack, {"a.service": history})])
    assert told == {"a.service": {"interval": 5000, "cpu": [50.0, 50.0], "memory": [1.0, 2.0]}}
