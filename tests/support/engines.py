"""A container engine in a machine, and images made of what the machine itself has: nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.machines import Machine

ENGINE = "omnitron-test-engine.service"
IMAGE = "omnitron-test:1"
SERVERS = "omnitron-test-servers:1"

# Each does what the official image of its server does: the first start of PostgreSQL is one without TCP.
ENTRY = r"""#!/bin/sh
set -e
export PATH=/usr/lib/postgresql/bin:/usr/bin:/bin
if [ "$1" = postgres ]; then
    as() { /usr/bin/setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
    mkdir -p "$PGDATA" /var/run/postgresql
    chown -R postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
        chmod 644 /tmp/password
        as initdb -D "$PGDATA" -U postgres --pwfile=/tmp/password --encoding=UTF8 --locale=C.UTF-8 >/dev/null
        echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
        echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
        as pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start >/dev/null
        as pg_ctl -D "$PGDATA" -w stop >/dev/null
    fi
    exec /usr/bin/setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    chown redis /data
    exec /usr/bin/setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
exec "$@"
"""
# No registry of packages has the real ones: these remember what they are told.
MINIO = r"""#!/bin/sh
trap 'exit 0' TERM
[ ${#MINIO_ROOT_USER} -ge 3 ] && [ ${#MINIO_ROOT_PASSWORD} -ge 8 ] || exit 1
echo "$*" >/data/.arguments
mkdir -p /data/minio/health
touch /data/minio/health/live
busybox httpd -f -p 9000 -h /data & wait
"""
MC = r"""#!/bin/sh
[ "$1" = --quiet ] && shift
case "$1 $2" in
"ready local") exec busybox wget -qO- http://127.0.0.1:9000/minio/health/live ;;
"alias set")
    read -r user && read -r password || exit 1
    [ "$user/$password" = "$MINIO_ROOT_USER/$MINIO_ROOT_PASSWORD" ] && touch /tmp/logged-in
    ;;
"mb --ignore-existing") [ -e /tmp/logged-in ] && mkdir -p "/data/${3#omnitron/}" ;;
"quota set") [ -d "/data/${3#omnitron/}" ] && echo "$5" >"/data/${3#omnitron/}.quota" ;;
*) echo "mc: $*: not known" >&2; exit 1 ;;
esac
"""
# OpenResty has built in what the distribution's nginx loads.
OPENRESTY = r"""#!/bin/sh
at=/usr/lib/nginx/modules
modules="load_module $at/ndk_http_module.so; load_module $at/ngx_http_lua_module.so;"
for last; do :; done
case "$last" in
*"daemon off;") exec /usr/bin/nginx $(printf '%s\n' "$@" | sed '$d' | sed '$d') -g "$modules $last" ;;
*) exec /usr/bin/nginx "$@" -g "$modules" ;;
esac
"""
BUILD = r"""
mkdir -p /run/servers; cd /run/servers
mkdir -p bin usr/bin usr/lib/postgresql usr/share/postgresql usr/lib/locale etc tmp data var/lib/postgresql run var/run
chmod 1777 tmp
version=$(ls /usr/lib/postgresql | sort -n | tail -1)
cp /bin/busybox bin/
for name in sh od tr sed cat grep mkdir chown chmod ls printf sleep touch id cp mv rm; do ln -sf busybox bin/$name; done
cp /usr/bin/setpriv /usr/bin/redis-server /usr/bin/redis-cli /usr/sbin/nginx usr/bin/
mkdir -p usr/lib/postgresql/$version; cp -a /usr/lib/postgresql/$version/bin /usr/lib/postgresql/$version/lib \
    usr/lib/postgresql/$version/
rm -rf usr/lib/postgresql/$version/lib/bitcode usr/lib/postgresql/$version/lib/llvmjit*
ln -sf $version/bin usr/lib/postgresql/bin
cp -a /usr/share/postgresql/$version usr/share/postgresql/; cp -a /usr/lib/locale/C.utf8 usr/lib/locale/
mkdir -p usr/share/zoneinfo/Etc
for zone in UTC Etc/UTC; do cp /usr/share/zoneinfo/$zone usr/share/zoneinfo/$zone; done
mkdir -p usr/lib/nginx etc/nginx var/log/nginx var/lib/nginx
cp -aL /usr/lib/nginx/modules usr/lib/nginx/; cp /etc/nginx/mime.types etc/nginx/; cp -a /usr/share/lua usr/share/
grep -E '^(root|postgres|redis|nobody|nogroup):' /etc/passwd >etc/passwd
grep -E '^(root|postgres|redis|nobody|nogroup):' /etc/group >etc/group
for program in usr/bin/* /usr/lib/postgresql/$version/bin/* /usr/lib/postgresql/$version/lib/*.so \
    /usr/lib/nginx/modules/ndk*.so /usr/lib/nginx/modules/*lua*.so; do
    ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || true
done | sort -u | while read -r library; do
    mkdir -p ".$(dirname "$library")"; cp -nL "$library" ".$library"
done
"""


@contextmanager
def engine(machine: Machine) -> Iterator[None]:
    """An engine whose images are in memory, with `IMAGE`: one static program."""
    machine.run("mkdir", "-p", "/run/engine")
    machine.run("mount", "-t", "tmpfs", "tmpfs", "/run/engine")
    options = ["--data-root=/run/engine", "--storage-driver=vfs", "--host=unix:///run/docker.sock"]
    machine.write(
        f"/run/systemd/system/{ENGINE}",
        f"[Service]\nType=notify\nDelegate=yes\nKillMode=process\nExecStart=/usr/sbin/dockerd {' '.join(options)}\n",
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("start", ENGINE)
    machine.run(
        "sh",
        "-ec",
        "mkdir -p /run/image/bin /run/image/data /run/image/tmp; cp /bin/busybox /run/image/bin/; cd /run/image;"
        " for name in sh echo sleep cat; do ln -sf busybox bin/$name; done;"
        f" tar c . | docker import --change 'ENV PATH=/bin' - {IMAGE}",
    )
    yield
    machine.run("sh", "-c", "docker ps -aq | xargs -r docker rm -f", check=False)
    machine.systemctl("stop", ENGINE)
    machine.run("umount", "--lazy", "/run/engine", check=False)


def servers(machine: Machine) -> None:
    """Make `SERVERS`: an image with the distribution's own PostgreSQL and Redis, and something like MinIO."""
    machine.run("sh", "-ec", BUILD)
    for name, text in (("docker-entrypoint.sh", ENTRY), ("minio", MINIO), ("mc", MC), ("openresty", OPENRESTY)):
        machine.write(f"/run/servers/usr/bin/{name}", text, 0o755)
    changes = [
        "--change",
        "ENV PATH=/usr/lib/postgresql/bin:/usr/bin:/bin",
        "--change",
        'ENTRYPOINT ["docker-entrypoint.sh"]',
    ]
    machine.run("sh", "-ec", f'cd /run/servers; tar c . | docker import "$@" - {SERVERS}', "sh", *changes)
    machine.run("rm", "-rf", "/run/servers")
