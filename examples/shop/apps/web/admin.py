"""For those who run the shop: whoever has a token with the role `manager` may bring in goods."""

from typing import Any

from starlette.requests import Request

from omnitron import Context, requires


def setup(context: Context) -> None:
    global stock
    stock = context.topology("Stock")


@requires("manager")
async def deliver(request: Request) -> dict[str, Any]:
    good, count = request.path_params["good"], request.path_params["count"]
    return {good: await stock.add(good, count)}
