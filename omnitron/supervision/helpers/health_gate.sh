# Health gate: /bin/sh health_gate.sh [--user] UNIT…
# Waits while a unit is starting, between a crash and its restart, or has a pending job.
# Exit status 0 when all units are active, 1 as soon as a unit is failed or inactive.
scope=--system
if [ "$1" = --user ]; then
    scope=--user
    shift
fi

# Reads Id=, ActiveState= and Job= of each unit, separated by blank lines; sets $gate: open, wait or shut.
judge() {
    gate=open seen=0
    while IFS='=' read -r key value; do
        case $key in
        Id) id=$value ;;
        ActiveState) state=$value ;;
        Job) job=$value ;;
        '') judge_unit ;;
        esac
    done
    # No answer: systemd is re-executing itself.
    [ "$seen" = 1 ] || gate=wait
}

judge_unit() {
    seen=1
    case $state:$job in
    active:* | reloading:* | refreshing:*) ;;
    failed: | inactive:)
        [ "$gate" = shut ] || printf '%s is %s\n' "$id" "$state" >&2
        gate=shut
        ;;
    # Inactive with a job: the restart is queued.
    *) [ "$gate" = shut ] || gate=wait ;;
    esac
}

pause=100 # ms
while :; do
    units=$(/usr/bin/systemctl "$scope" show --property=Id,ActiveState,Job -- "$@")
    judge <<END
$units${units:+

}
END
    case $gate in
    open) exit 0 ;;
    shut) exit 1 ;;
    esac
    sleep "0.$pause"
    pause=$((pause < 400 ? pause + pause / 4 : 500))
done
