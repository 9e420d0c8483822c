"""What is sold, as it happens: WebSocket clients subscribe to the topic `sold`."""

from typing import Any

from omnitron import Context, service


@service("Feed")
class Feed:
    def __init__(self, context: Context) -> None:
        self.context = context

    async def announce(self, parcel: dict[str, Any]) -> int:
        return self.context.publish("sold", parcel)
