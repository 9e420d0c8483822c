# ExecStopPost=: /bin/sh count_crash.sh PYTHON UNIT [--user] --record PATH --budget N:MS --backoff KIND:MS:MS:FACTOR
#                        [--restart always]
# Leaves without a fork where systemd will not restart the unit, or is about to for an operator;
# otherwise it was a crash, and the helper counts it. Only shell builtins before that.
python=$1 unit=$2
shift
scope=--system
[ "$2" != --user ] || scope=--user

# In a subshell: becomes a systemctl with an environment of its own. The unit's Environment= may hold anything.
ask() {
    exec /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 \
        ${XDG_RUNTIME_DIR+"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR"} \
        ${DBUS_SESSION_BUS_ADDRESS+"DBUS_SESSION_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS"} \
        /usr/bin/systemctl "$scope" "$@" -- "$unit" 2>/dev/null
}

record_of() {
    previous=
    for argument; do
        [ "$previous" != --record ] || record=$argument
        previous=$argument
    done
}

# Whether the watcher knows of this run what $1 says, in the file that is $note then.
is_noted() {
    note="${record%/*}/$unit.$1" run=
    [ ! -r "$note" ] || read -r run <"$note"
    [ "$run" = "${INVOCATION_ID:-unknown}" ]
}

leave_unless_crashed() {
    case $SERVICE_RESULT in
    exec-condition) exit 0 ;;
    success) ;;
    *) return ;;
    esac

    # What Restart=on-failure calls a success but RestartForceExitStatus= restarts all the same;
    # with the policy "always", anything.
    case "$EXIT_CODE:$EXIT_STATUS $* " in
    exited:143\ * | killed:TERM\ * | killed:INT\ * | killed:HUP\ * | killed:PIPE\ *) ;;
    *" --restart always "*) ;;
    *) exit 0 ;;
    esac

    ! is_noted stop || exit 0

    # The same end as after `systemctl stop`: only a pending job tells them apart. A unit's
    # description cannot forge this text, JSON escapes its quotes.
    case $(ask list-units --all --full --output=json) in
    '' | *'","job":"stop"'* | *'","job":"restart"'*) exit 0 ;;
    esac
}

record=
record_of "$@"
leave_unless_crashed "$@"
[ -x "$python" ] || {
    echo "cannot count a crash of $unit: no $python" >&2
    exit 0
}
! is_noted crash || exec "$python" -I -S "${0%/*}/run.py" count_crash "$@" <"$note"
# systemctl takes as long to start as the interpreter, so both do at once. Not as a pipeline: systemd knows the
# process that it has started, and ends that one when time is up. A short here-document is a pipe as well.
exec 3<<END

END
exec 4>/proc/self/fd/3
ask show --property=Job,ExecMainExitTimestampMonotonic >&4 3<&- 4>&- &
exec "$python" -I -S "${0%/*}/run.py" count_crash "$@" <&3 3<&- 4>&-
