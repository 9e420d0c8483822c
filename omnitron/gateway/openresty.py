"""The gateway in a container: nginx of an OpenResty image, on the host's network, with the same configuration.

The project's files cannot make root do anything: nginx runs as nobody. For a port below 1024 it starts as root; then
these files must belong to root, and it has only the capabilities to bind the port and to become nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from omnitron.gateway.routes import PAGE, Site
from omnitron.policy.server_specs import ContainerSpec, ContainerVolume, FileSpec, FilesSpec
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


def container(plain: ContainerSpec, site: Site, configuration: Path) -> ContainerSpec:
    """Return the container of a gateway: a `plain` one with what is the gateway's own."""
    by_root = site.port < FIRST_FREE_PORT
    return replace(
        plain,
        image=site.gateway.image,
        entrypoint=("sh", "-c"),
        command=(SERVE,),
        user=None if by_root else f"{NOBODY}:{NOBODY}",
        capabilities=("CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID") if by_root else (),
        network="host",
        volumes=tuple(_mounts(site)),
        files=FilesSpec(PLACE, 0 if by_root else NOBODY, tuple(_files(site, configuration))),
        configuration=str(configuration),
        reload=("sh", "-c", RELOAD),
        stop_signal="SIGQUIT",
        is_kept=False,
    )


def _files(site: Site, configuration: Path) -> Iterator[FileSpec]:
    """Yield what is put into its folder before it starts, and before it is to read it anew."""
    yield FileSpec("nginx.conf.new", is_private=False, path=str(configuration))
    yield FileSpec("maintenance.html", is_private=False, text=f"{PAGE}\n")
    if site.redis and site.redis.credential:
        yield FileSpec("redis-password", is_private=True, text=references.to(site.redis.credential))
    if site.certificate and site.key:
        tls = f"ssl_certificate {PLACE}/tls.crt;\nssl_certificate_key {PLACE}/tls.key;\n"
        yield FileSpec("tls.conf", is_private=False, text=tls)
        for name, path in (("tls.crt", site.certificate), ("tls.key", site.key)):
            yield FileSpec(name, is_private=True, path=str(path))


def _mounts(site: Site) -> Iterator[ContainerVolume]:
    """Yield what of the host is seen inside, at its own path and to be read alone."""
    page = site.page if site.page and (site.folder is None or site.folder not in site.page.parents) else None
    for path in (site.lua, site.folder, page):
        if path:
            yield ContainerVolume(str(path), str(path), "ro", named=False)
