# Stops a stack: /bin/sh critical_check.sh [--user] NOTES TARGET UNIT… [-- UNIT…]…
# Each group of units is a critical process: a service, or for a pool the pattern of its instances, including
# added ones. Starts TARGET if one of these has failed permanently: no unit of the group runs or starts, and at
# least one has failed other than by a stop. The crash helper notes stopped runs in `<unit>.stop` in the folder NOTES.
scope=--system
if [ "$1" = --user ]; then
    scope=--user
    shift
fi
notes=
case $1 in
/*)
    notes=$1
    shift
    ;;
esac
target=$1
shift
# No globbing: systemctl expands the patterns.
set -f

PROPERTIES=Id,ActiveState,Job,Result,InvocationID

# Reads the properties of each unit, separated by blank lines; sets $verdict: failed, wait, or fine.
judge() {
    up='' coming='' failed=''
    while IFS='=' read -r key value; do
        case $key in
        Id) id=$value ;;
        ActiveState) state=$value ;;
        Job) job=$value ;;
        Result) result=$value ;;
        InvocationID) run=$value ;;
        '') judge_unit ;;
        esac
    done
    verdict=fine
    [ -z "$failed" ] || verdict=failed
    [ -z "$coming" ] || verdict=wait
    [ -z "$up" ] || verdict=fine
}

judge_unit() {
    case $state:$job in
    active:* | reloading:* | refreshing:*) up=yes ;;
    failed: | failed:0) was_stopped || failed=yes ;;
    inactive: | inactive:0) ;;
    # A pending job: an operator restarts the unit.
    *) coming=yes ;;
    esac
}

# A failure while a unit stops is not permanent, but systemd starts OnFailure= for it too.
was_stopped() {
    noted=
    [ ! -r "$notes/$id.stop" ] || read -r noted <"$notes/$id.stop"
    [ "$result" != start-limit-hit ] && [ -n "$run" ] && [ "$noted" = "$run" ]
}

end_if_failed() {
    units=$(/usr/bin/systemctl "$scope" show --property=$PROPERTIES -- $1)
    [ -n "$units" ] || return 0
    judge <<END
$units

END
    case $verdict in
    failed)
        echo "a critical app has failed permanently: $1" >&2
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
