# End of a stack: /bin/sh critical.sh [--user] TARGET UNIT… [-- UNIT…]…
# Each group of units is a critical process, more than one a pool. Starts TARGET when a whole group has
# failed for good. A unit that fails while an operator restarts it has a job pending, and comes back.
scope=--system
if [ "$1" = --user ]; then
    scope=--user
    shift
fi
target=$1
shift

# The states of one group into $verdict: failed (all of them), wait, or fine.
judge() {
    verdict=failed
    for unit in $1; do
        state=$(/usr/bin/systemctl "$scope" show --property=ActiveState,Job -- "$unit")
        case $state in
        *Job=[1-9]* | *ActiveState=activating* | *ActiveState=deactivating*) [ "$verdict" = fine ] || verdict=wait ;;
        *ActiveState=failed*) ;;
        *) verdict=fine ;;
        esac
    done
}

end_if_failed() {
    judge "$1"
    case $verdict in
    failed)
        echo "a critical app has failed for good: $1" >&2
        exec /usr/bin/systemctl "$scope" start --no-block --job-mode=replace-irreversibly "$target"
        ;;
    wait) again=yes ;;
    esac
}

tries=0
while [ $tries -lt 600 ]; do
    again='' group=''
    for word in "$@" --; do
        if [ "$word" = -- ]; then
            end_if_failed "$group"
            group=''
        else
            group="$group${group:+ }$word"
        fi
    done
    [ -n "$again" ] || exit 0
    tries=$((tries + 1))
    sleep 0.1
done
