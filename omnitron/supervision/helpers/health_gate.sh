# Health gate: /bin/sh health_gate.sh [--user] UNIT…
# Waits while a unit is on its way (starting, between a crash and its restart, or with a job pending);
# 0 once all are active, 1 as soon as one is failed or inactive.
scope=--system
if [ "$1" = --user ]; then
    scope=--user
    shift
fi

# Reads Id=, ActiveState= and Job= of each unit, a blank line after each, into $gate: open, wait or shut.
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
    # No answer: systemd is being re-executed.
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
    # Inactive with a job is a restart that waits for its turn.
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
