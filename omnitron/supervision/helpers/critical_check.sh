# End of a stack: /bin/sh critical_check.sh [--user] NOTES TARGET UNIT… [-- UNIT…]…
# Each group of units is a critical process: a service, or for a pool the pattern of its instances, those that
# were added too. Starts TARGET when one has failed for good: when none of it is up or on its way, and one has
# failed other than by a stop. In the folder NOTES the crash helper writes `<unit>.stop` of a run that was stopped.
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
# A pattern is systemd's to match.
set -f

PROPERTIES=Id,ActiveState,Job,Result,InvocationID

# Reads these of each unit, a blank line after each, into $verdict: failed, wait, or fine.
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
    # A job that is pending is an operator's restart.
    *) coming=yes ;;
    esac
}

# What fails while it stops, has not failed for good; systemd reports it to OnFailure= all the same.
was_stopped() {
    noted=
    [ ! -r "$notes/$id.stop" ] || read -r noted <"$notes/$id.stop"
    [ "$result" != start-limit-hit ] && [ -n "$run" ] && [ "$noted" = "$run" ]
}

end_if_failed() {
    found=$(/usr/bin/systemctl "$scope" show --property=$PROPERTIES -- $1)
    [ -n "$found" ] || return 0
    judge <<END
$found

END
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
