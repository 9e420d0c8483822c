"""What is in stock. The shop cannot do without it."""

import logging
from typing import Annotated

from msgspec import Meta

from omnitron import Config, RpcError, service

SOLD_OUT = 1
Count = Annotated[int, Meta(ge=1, le=1000)]


@service
class Stock:
    def __init__(self, config: Config, logger: logging.Logger) -> None:
        self.goods: dict[str, int] = dict(config.at("goods"))
        self.log = logger
        logger.info("%d goods in stock", len(self.goods))

    async def all(self) -> dict[str, int]:
        return self.goods

    async def take(self, good: str, count: Count) -> int:
        """Take goods out; how many are left."""
        left = self.goods.get(good, 0) - count
        if left < 0:
            raise RpcError(SOLD_OUT, f"there are only {self.goods.get(good, 0)} of {good}")
        self.goods[good] = left
        return left

    async def add(self, good: str, count: Count) -> int:
        """Put goods in; how many there are now."""
        self.goods[good] = self.goods.get(good, 0) + count
        self.log.info("%d of %s came in", count, good)
        return self.goods[good]
