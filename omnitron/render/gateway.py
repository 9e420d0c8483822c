"""The nginx configuration of a stack's gateway. The planner has already refused values that nginx cannot take."""

from __future__ import annotations

import jinja2

from omnitron.gateway.routes import Site
from omnitron.render.templates import environment


def nginx_configuration(site: Site, source: str) -> str:
    """Return the text of nginx.conf; `source` is the definition that it is made from."""
    texts = environment().overlay(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return texts.get_template("nginx.conf.jinja").render(
        site=site,
        source=source,
        retry_after=round(site.gateway.maintenance.retry_after),
    )
