#!/bin/sh
# Shows omnitron at work on examples/shop, and leaves nothing behind: in a sandbox, or for a user without
# root on a host that runs systemd, in the user's own manager under its runtime directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
omnitron=$here/../.venv/bin/omnitron
omnitron=$(cd "$(dirname "$omnitron")" && pwd)/omnitron
page=http://127.0.0.1:8480/ gateway=http://127.0.0.1:8488

if [ "$(id -u)" = 0 ]; then
    place=sandbox
elif [ -d /run/systemd/system ]; then
    place=user
    OMNITRON_SCOPE=user
    export OMNITRON_SCOPE
else
    echo "the demo needs root (for a sandbox) or a host that runs systemd: try sudo make demo" >&2
    exit 1
fi

inside() {
    if [ $place = sandbox ]; then "$omnitron" sandbox exec -- "$@"; else "$@"; fi
}

show() {
    line=""
    for word in "$@"; do
        case "$word" in
        "$omnitron") word=omnitron ;;
        *" "*) word="'$word'" ;;
        esac
        line="$line $word"
    done
    printf '\n\033[1m$%s\033[0m\n' "$line" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi
    inside "$@"
}

# A user's checkout is not root's word: trusted in the sandbox alone, and gone with it.
trust_checkout() {
    folder=$here
    while [ "$folder" != / ]; do
        if [ "$(stat -c %u "$folder")" != 0 ]; then
            inside "$omnitron" trust --yes "$folder" >/dev/null
            return
        fi
        folder=$(dirname "$folder")
    done
}

user_flag() { [ $place = user ] && echo --user || true; }

up() {
    cd "$here/shop"
    if [ $place = sandbox ]; then
        echo "booting a disposable systemd from this machine's own files"
        "$omnitron" sandbox up
        trust_checkout
    fi
    runtime=$([ $place = user ] && echo --runtime || true)
    # shellcheck disable=SC2046,SC2086 # nothing, or one flag
    show "$omnitron" generate $runtime
    show systemctl $(user_flag) start omnitron-dev.target
    show "$omnitron" status
    show curl -s $page
    show curl -s -d "3 apples" $gateway/api/web/
    show curl -s $gateway/api/web/
    victim=$(inside systemctl $(user_flag) show -P MainPID omnitron-dev-prices-main.service)
    show kill -9 "$victim"
    echo "waiting for systemd to start it again (the first delay is one second)"
    tries=0
    until [ "$(inside systemctl $(user_flag) show -P ActiveState omnitron-dev-prices-main.service)" = active ] &&
        [ "$(inside systemctl $(user_flag) show -P MainPID omnitron-dev-prices-main.service)" != "$victim" ]; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] || { echo "prices did not come back" >&2; exit 1; }
        sleep 0.25
    done
    show "$omnitron" status
    next
}

next() {
    flag=$([ $place = user ] && echo " --user" || true)
    enter=$([ $place = sandbox ] && echo "  cd examples/shop && omnitron sandbox shell     # step into the sandbox; then:" || true)
    cat <<TEXT

prices was killed and is back: systemd did it, not omnitron: the watcher is for groups of apps alone.
What to type next, after PATH="$(dirname "$omnitron"):\$PATH" :
$enter
  systemctl$flag status 'omnitron-dev-*'
  journalctl$flag -f -u 'omnitron-dev-*'
  omnitron logs$flag orders -f
  curl -d '3 apples' $page
  omnitron scale$flag orders 5
  omnitron exec$flag web Shop order bread 2
  omnitron infra$flag status; omnitron infra psql$flag -c 'SELECT * FROM goods'
  omnitron maintenance on$flag; curl -i $gateway/api/web/
The page is at $page and, through the gateway, at $gateway/api/web/;
\`make demo-down\` ends the demo.
TEXT
}

down() {
    if [ $place = sandbox ]; then
        "$omnitron" sandbox down
    else
        units=$(systemctl --user list-units --plain --no-legend 'omnitron-dev-*.service' | cut -d' ' -f1)
        "$omnitron" down
        # What the shop has written is the demo's too; most services have nothing to clean.
        for unit in $units; do systemctl --user clean --what=all "$unit" 2>/dev/null || true; done
        "$omnitron" down --remove
        rm -f "${XDG_CONFIG_HOME:-$HOME/.config}"/omnitron/secrets/omnitron-dev.* "${XDG_CONFIG_HOME:-$HOME/.config}"/omnitron/secrets/.omnitron-dev.*
        rmdir "${XDG_CONFIG_HOME:-$HOME/.config}/omnitron/secrets" 2>/dev/null || true
        for folder in "${XDG_CONFIG_HOME:-$HOME/.config}" "${XDG_STATE_HOME:-$HOME/.local/state}"; do
            rmdir "$folder/omnitron/dev" "$folder/omnitron" 2>/dev/null || true
        done
    fi
}

case "${1:-}" in
up | down) "$1" ;;
*) echo "usage: $0 up|down" >&2 && exit 2 ;;
esac
