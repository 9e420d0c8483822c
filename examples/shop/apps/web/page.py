"""The page, and the same as an API: `Shop.goods` and `Shop.order` at POST /rpc."""

import asyncio
import json
import os
import urllib.request
from typing import Annotated, Any

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from omnitron import Context, Proxy, RpcError, service, topology


@service("Shop")
class Shop:
    def __init__(
        self,
        stock: Annotated[Proxy, topology("Stock")],
        packers: Annotated[Proxy, topology("Packers")],
        feed: Annotated[Proxy, topology("Feed")],
    ) -> None:
        self.stock, self.packers, self.feed = stock, packers, feed

    async def goods(self) -> dict[str, Any]:
        """What there is, and what it costs in cents."""
        left, prices = await asyncio.gather(self.stock.all(), asyncio.to_thread(prices_now))
        return {good: {"left": left[good], "price": prices.get(good)} for good in left}

    async def order(self, good: str, count: int = 1) -> dict[str, Any]:
        parcel: dict[str, Any] = await self.packers.pack(good, count)
        await self.feed.announce(parcel)
        return parcel


def prices_now() -> dict[str, int]:
    with urllib.request.urlopen(os.environ["SHOP_PRICES"], timeout=3) as answer:
        found: dict[str, int] = json.load(answer)
        return found


def setup(context: Context) -> None:
    global shop, instance, cache
    shop, instance = context.services["Shop"], context.instance
    # omnitron has given the app a database of the stack's Redis, and put its address here.
    cache = Redis.from_url(os.environ["REDIS_URL"])


async def page(request: Request) -> Response:
    goods = await shop.goods()
    visitor = await cache.incr(os.environ["REDIS_PREFIX"] + "visitors")
    lines = [f"{good:8} {it['left']:3} left at {(it['price'] or 0) / 100:.2f}" for good, it in goods.items()]
    return PlainTextResponse(
        "\n".join([os.environ["SHOP_NAME"], "", *lines, "", f"visitor {visitor}, served by instance {instance}", ""])
    )


async def order(request: Request) -> Response:
    """An order in words: `3 apples`."""
    words = (await request.body()).decode(errors="replace").split()
    if len(words) != 2 or not words[0].isdigit():
        return PlainTextResponse("say it like this: 3 apples\n", 400)
    try:
        parcel = await shop.order(words[1].removesuffix("s"), int(words[0]))
    except RpcError as error:
        return PlainTextResponse(f"sorry, {error.message}\n", 409)
    return PlainTextResponse(f"thank you, packer {parcel['packer']} has packed it\n", 202)
