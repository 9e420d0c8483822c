"""The gateway in a container: nginx of an OpenResty image, on the host's network, with the same configuration.

The project's files cannot make root do anything: nginx runs as nobody. For a port below 1024 it starts as root; then
these files must belong to root, and it has only the capabilities to bind the port and to become nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omnitron.gateway.routes import PAGE, Site
from omnitron.secrets import references

PLACE = "/omnitron"
"""Its folder inside the container."""
NOBODY = 65534
FIRST_FREE_PORT = 1024

_CHECK = f"""
nginx=$(command -v openresty || command -v nginx)
$nginx -p {PLACE}/ -e stderr -c {PLACE}/nginx.conf.new -t -q
mv nginx.conf.new nginx.conf
"""
SERVE = f"""
set -e
cd {PLACE}
for file in /etc/nginx/mime.types /usr/local/openresty/nginx/conf/mime.types; do
    if [ -r $file ]; then cp $file mime.types; fi
done
mkdir -p cache
{_CHECK}
exec $nginx -p {PLACE}/ -e stderr -c {PLACE}/nginx.conf -g 'daemon off;'
"""
RELOAD = f"""
set -e
cd {PLACE}
{_CHECK}
kill -HUP 1
"""
"""nginx never runs with a configuration that it does not accept."""


def settings(site: Site, configuration: Path) -> dict[str, Any]:
    """Return what its container has beside what all have."""
    by_root = site.port < FIRST_FREE_PORT
    return {
        "image": site.gateway.image,
        "entrypoint": ["sh", "-c"],
        "command": [SERVE],
        "user": None if by_root else f"{NOBODY}:{NOBODY}",
        "capabilities": ["CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"] if by_root else [],
        "network": "host",
        "volumes": list(_mounts(site)),
        "files": {
            "folder": PLACE,
            "owner": 0 if by_root else NOBODY,
            "each": list(_files(site, configuration)),
        },
        "configuration": str(configuration),
        "reload": ["sh", "-c", RELOAD],
        "stopSignal": "SIGQUIT",
        "isKept": False,
    }


def _files(site: Site, configuration: Path) -> Iterator[dict[str, Any]]:
    """Yield what is put into its folder before it starts, and before it is to read it anew."""
    yield {"name": "nginx.conf.new", "path": str(configuration), "isPrivate": False}
    yield {"name": "maintenance.html", "text": f"{PAGE}\n", "isPrivate": False}
    if site.redis and site.redis.credential:
        yield {"name": "redis-password", "text": references.to(site.redis.credential), "isPrivate": True}
    if site.certificate and site.key:
        tls = f"ssl_certificate {PLACE}/tls.crt;\nssl_certificate_key {PLACE}/tls.key;\n"
        yield {"name": "tls.conf", "text": tls, "isPrivate": False}
        for name, path in (("tls.crt", site.certificate), ("tls.key", site.key)):
            yield {"name": name, "path": str(path), "isPrivate": True}


def _mounts(site: Site) -> Iterator[dict[str, str | bool]]:
    """Yield what of the host is seen inside, at its own path and to be read alone."""
    page = site.page if site.page and (site.folder is None or site.folder not in site.page.parents) else None
    for path in (site.lua, site.folder, page):
        if path:
            yield {"source": str(path), "target": str(path), "mode": "ro", "named": False}


def files_of_root(site: Site) -> tuple[Path, ...]:
    """Return the project's files and folders that it reads as root: only root may be able to change them."""
    return tuple(path for path in (site.folder, site.page) if path) if site.port < FIRST_FREE_PORT else ()
