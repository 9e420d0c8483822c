# ExecStartPre=: /bin/sh start_delay.sh PYTHON UNIT [--user] --record PATH --backoff KIND:MS:MS:FACTOR --window MS
# Leaves without a fork unless a crash left something to do before this start; only shell builtins.
python=$1 unit=$2
shift
previous=
for argument; do
    [ "$previous" != --record ] || record=$argument
    previous=$argument
done
[ -e "${record%/*}/$unit.due" ] || exit 0
exec "$python" -I -S "${0%/*}/run.py" start_delay "$@"
