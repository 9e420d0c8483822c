#!/bin/sh
# Sets up a checkout: Debian packages that are missing (as root), and a virtual environment in .venv.
# `setup.sh test` adds what the tests need. Quiet when there is nothing to do; asks nothing.
# Libraries are those of packaging/locks. The first time takes half a minute: one has to be compiled.
set -eu
cd "$(dirname "$0")/.."

packages="python3-venv python3-dev gcc pkg-config libsystemd-dev systemd systemd-container dbus nodejs curl procps"
# What the demo's shop keeps its data in.
packages="$packages postgresql redis-server nginx libnginx-mod-http-lua lua-nginx-redis"
[ "${1:-}" = test ] && packages="$packages mmdebstrap libpam-systemd dbus-user-session iproute2 passwd user-mode-linux e2fsprogs docker.io busybox-static openssl wrk"

missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ]; then
    echo "installing Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # The servers' programs are wanted, not servers of the host's own.
    case "$missing" in
    *postgresql*)
        mkdir -p /etc/postgresql-common/createcluster.d
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/omnitron.conf
        ;;
    esac
    apt-get -qq update
    # shellcheck disable=SC2086 # a list of words
    apt-get -qq install -y --no-install-recommends $missing >/dev/null
    for server in redis-server nginx docker.io; do
        case "$missing " in
        *" $server "*) [ ! -d /run/systemd/system ] || systemctl --quiet disable --now ${server%.io}.service ;;
        esac
    done
    rm -f /etc/postgresql-common/createcluster.d/omnitron.conf
    missing=""
elif [ -n "$missing" ]; then
    echo "not installed, and only root can:$missing" >&2
fi

stamp=.venv/.complete lock=packaging/locks/venv.txt
if [ "${1:-}" = test ] || [ -e .venv/.complete-test ]; then
    stamp=.venv/.complete-test lock=packaging/locks/test.txt
fi
fresh() { # whether .venv was made after everything that says what is in it
    [ -e $stamp ] || return 1
    for source in pyproject.toml packaging/setup.sh packaging/locks/build.txt packaging/locks/run.txt $lock; do
        [ ! "$source" -nt $stamp ] || return 1
    done
}
try_install() { .venv/bin/pip --quiet --disable-pip-version-check install "$@" 2>.venv/pip.log; }
install() {
    try_install "$@" || {
        cat .venv/pip.log >&2
        exit 1
    }
}
if ! fresh; then
    # The distribution's own interpreter: its path survives upgrades, and every user can read it.
    python=/usr/bin/python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || python=python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "needs Python 3.11 or newer; $python is $("$python" --version)" >&2
        exit 1
    }
    echo "making .venv with $("$python" --version); this takes about half a minute"
    "$python" -m venv .venv
    # Nothing but what is locked: builds use what build.txt installs, not the newest in an environment of their own.
    install --require-hashes --requirement packaging/locks/build.txt
    install --require-hashes --requirement $lock
    if ! try_install --require-hashes --no-build-isolation --requirement packaging/locks/run.txt; then
        # Without a compiler and headers there is no pystemd, and without that no `omnitron run`.
        case "$missing" in
        *libsystemd-dev* | *gcc* | *pkg-config* | *python3-dev*)
            echo "leaving out \`omnitron run\`: pystemd needs the packages above" >&2
            ;;
        *)
            cat .venv/pip.log >&2
            exit 1
            ;;
        esac
    fi
    install --no-deps --no-build-isolation --editable .
    touch $stamp
fi
# Who runs a service may not write here: without this, each start would compile what it imports anew.
[ ! -O omnitron ] || .venv/bin/python -m compileall -q omnitron
