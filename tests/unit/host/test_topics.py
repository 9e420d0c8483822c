from __future__ import annotations

import json
from typing import Any

import pytest

from omnitron.host.transports.topics import LONGEST_TOPIC, TOPICS_PER_CLIENT, Hub


class Client:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def deliver(self, message: bytes) -> None:
        said = json.loads(message)
        assert (said.pop("jsonrpc"), said.pop("method")) == ("2.0", "rpc.event")
        self.heard.append((said["params"]["topic"], said["params"]["data"]))
        assert list(said) == ["params"]


def test_those_who_subscribed_hear_and_nobody_else() -> None:
    hub, one, other = Hub(), Client(), Client()
    hub.subscribe(one, "prices", one.deliver)
    hub.subscribe(one, "news", one.deliver)
    hub.subscribe(other, "prices", other.deliver)
    assert hub.publish("prices", {"pear": 3}) == 2
    assert hub.publish("news", None) == 1
    assert hub.publish("weather", 1) == 0
    assert one.heard == [("prices", {"pear": 3}), ("news", None)]
    assert other.heard == [("prices", {"pear": 3})]


def test_a_topic_subscribed_to_twice_is_heard_once() -> None:
    hub, one = Hub(), Client()
    for _ in range(2):
        hub.subscribe(one, "prices", one.deliver)
    assert hub.publish("prices", 1) == 1
    assert len(one.heard) == 1


def test_who_leaves_hears_no_more_and_leaves_nothing_behind() -> None:
    hub, one = Hub(), Client()
    for topic in ("a", "b", "c"):
        hub.subscribe(one, topic, one.deliver)
    hub.unsubscribe(one, "a")
    hub.unsubscribe(one, "a")
    hub.unsubscribe(object(), "b")
    assert [hub.publish(topic, 1) for topic in "abc"] == [0, 1, 1]
    hub.leave(one)
    hub.leave(one)
    assert [hub.publish(topic, 1) for topic in "abc"] == [0, 0, 0]
    assert (hub._topics, hub._clients) == ({}, {})


def test_who_leaves_while_being_told_does_not_disturb_the_others() -> None:
    hub, one, other = Hub(), Client(), Client()
    hub.subscribe(one, "prices", lambda message: hub.leave(one))
    hub.subscribe(other, "prices", other.deliver)
    assert hub.publish("prices", 1) == hub.publish("prices", 2) == 1
    assert other.heard == [("prices", 1), ("prices", 2)]


def test_a_client_has_only_so_many_topics() -> None:
    hub, one, other = Hub(), Client(), Client()
    for number in range(TOPICS_PER_CLIENT):
        hub.subscribe(one, f"topic-{number}", one.deliver)
    hub.subscribe(one, "topic-0", one.deliver)
    with pytest.raises(ValueError, match="at most"):
        hub.subscribe(one, "one more", one.deliver)
    hub.unsubscribe(one, "topic-0")
    hub.subscribe(one, "one more", one.deliver)
    hub.subscribe(other, "x" * LONGEST_TOPIC, other.deliver)
    with pytest.raises(ValueError, match="at most"):
        hub.subscribe(other, "x" * (LONGEST_TOPIC + 1), other.deliver)


def test_what_cannot_be_encoded_is_told_to_the_one_who_publishes() -> None:
    hub, one = Hub(), Client()
    hub.subscribe(one, "prices", one.deliver)
    with pytest.raises(TypeError):
        hub.publish("prices", object())
    assert one.heard == []
