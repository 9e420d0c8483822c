"""The gateway in a container: nginx of an OpenResty image, on the host's network, with the same configuration."""

from __future__ import annotations

from pathlib import Path

from omnitron.definition.infrastructure import DockerService
from omnitron.gateway.routes import PAGE, Site
from omnitron.secrets import references

PLACE = "/omnitron"
"""The unit's runtime directory, inside."""
CONFIGURATION = "/etc/omnitron-gateway"
"""The folder of what is generated, inside."""

_CHECK = f"""
nginx=$(command -v openresty || command -v nginx)
cp {CONFIGURATION}/nginx.conf nginx.conf.new
$nginx -p {PLACE}/ -e stderr -c {PLACE}/nginx.conf.new -t -q
mv nginx.conf.new nginx.conf
"""
SERVE = f"""
set -e
cd {PLACE}
chmod 711 .
for file in /etc/nginx/mime.types /usr/local/openresty/nginx/conf/mime.types; do
    if [ -r $file ]; then cp $file mime.types; fi
done
mkdir -p cache
printf '%s\\n' "$PAGE" >maintenance.html
umask 077
printf '%s\\n' "$TLS" >tls.conf
printf %s "$REDIS_PASSWORD" >redis-password
{_CHECK}
unset REDIS_PASSWORD
exec $nginx -p {PLACE}/ -e stderr -c {PLACE}/nginx.conf -g 'daemon off;'
"""
RELOAD = f"""
set -e
cd {PLACE}
umask 077
{_CHECK}
kill -HUP 1
"""
"""What nginx does not accept is never what it runs with."""


def docker_of(site: Site) -> DockerService:
    """Return what its container is told; its mounts are `mounts`."""
    tls = f"ssl_certificate {site.certificate};\nssl_certificate_key {site.key};" if site.certificate else ""
    credential = site.redis.credential if site.redis else None
    return DockerService(
        image=site.gateway.image,
        entrypoint=["sh", "-c"],
        command=[SERVE],
        network="host",
        environment={"PAGE": PAGE, "TLS": tls, "REDIS_PASSWORD": references.to(credential) if credential else ""},
    )


def mounts(site: Site, configuration: Path) -> list[dict[str, str | bool]]:
    """Return what of the host is seen inside, to be read alone: at its own path, but for what is generated."""
    files = [path for path in (site.page, site.certificate, site.key) if path]
    own = [path for path in files if site.folder is None or site.folder not in path.parents]
    pairs = [(configuration, CONFIGURATION), *((path, str(path)) for path in (site.lua, site.folder, *own) if path)]
    return [
        {"source": str(source), "target": target, "mode": "ro", "named": False}
        for source, target in dict.fromkeys(pairs)
    ]
