# ExecStopPost=: /bin/sh count_crash.sh PYTHON UNIT [--user] --record PATH --budget N:MS --backoff KIND:MS:MS:FACTOR
#                        [--restart always]
# Exits without a fork if systemd does not restart the unit, or restarts it for an operator. Otherwise the run ended
# in a crash, and the Python helper counts it. Before that, only shell builtins are used, to be fast.
python=$1 unit=$2
shift
scope=--system
[ "$2" != --user ] || scope=--user

# Call it in a subshell: it becomes systemctl, with a clean environment, because the unit's Environment= is unsafe.
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

# True if the watcher has written a note of the kind $1 about this run; $note is then its path.
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

    # Exits that are a success for Restart=on-failure, but that RestartForceExitStatus= restarts;
    # with the policy "always", every exit.
    case "$EXIT_CODE:$EXIT_STATUS $* " in
    exited:143\ * | killed:TERM\ * | killed:INT\ * | killed:HUP\ * | killed:PIPE\ *) ;;
    *" --restart always "*) ;;
    *) exit 0 ;;
    esac

    ! is_noted stop || exit 0

    # The exit looks the same as after `systemctl stop`; only a pending job shows the difference. The description
    # of a unit cannot contain this text, because JSON escapes its quotes.
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
# systemctl takes as long to start as the interpreter, so both start at once. Not as a pipeline: systemd kills the
# process that it has started after a timeout, so that one must become the helper. A here-document is a pipe too.
exec 3<<END

END
exec 4>/proc/self/fd/3
ask show --property=Job,ExecMainExitTimestampMonotonic >&4 3<&- 4>&- &
exec "$python" -I -S "${0%/*}/run.py" count_crash "$@" <&3 3<&- 4>&-
