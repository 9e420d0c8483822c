"""Topics for WebSocket clients: a service publishes an event, each subscriber gets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

TOPICS_PER_CLIENT = 100
LONGEST_TOPIC = 200

Deliver = Callable[[bytes], None]


class Hub:
    """Topics and their subscribers. Events are not stored for clients that are not connected."""

    def __init__(self) -> None:
        """Begin without topics."""
        self._topics: dict[str, dict[object, Deliver]] = {}
        self._clients: dict[object, set[str]] = {}

    def publish(self, topic: str, data: Any) -> int:
        """Send `data` to every subscriber of `topic`; return their number."""
        subscribers = self._topics.get(topic)
        if not subscribers:
            return 0
        event = {"jsonrpc": "2.0", "method": "rpc.event", "params": {"topic": topic, "data": data}}
        message = msgspec.json.encode(event)
        for deliver in list(subscribers.values()):
            deliver(message)
        return len(subscribers)

    def subscribe(self, client: object, topic: str, deliver: Deliver) -> None:
        """Send what is published to `topic` to `deliver` too; raises ValueError beyond the limits of one client."""
        topics = self._clients.setdefault(client, set())
        if len(topic) > LONGEST_TOPIC or len(topics | {topic}) > TOPICS_PER_CLIENT:
            raise ValueError(f"a client has at most {TOPICS_PER_CLIENT} topics of {LONGEST_TOPIC} characters")
        topics.add(topic)
        self._topics.setdefault(topic, {})[client] = deliver

    def unsubscribe(self, client: object, topic: str) -> None:
        """Send no more of `topic` to a client."""
        self._clients.get(client, set()).discard(topic)
        subscribers = self._topics.get(topic, {})
        subscribers.pop(client, None)
        if not subscribers:
            self._topics.pop(topic, None)

    def leave(self, client: object) -> None:
        """Forget a client."""
        for topic in list(self._clients.pop(client, ())):
            self.unsubscribe(client, topic)
