"""Keys of a pm2 app that cannot be carried over, with reasons, and keys that are not needed."""

from __future__ import annotations

JOURNAL = "output goes to the journal: journalctl -u, or omnitron logs"
PLUS = "it is for pm2's own monitoring"
GIT = "omnitron does not use repositories"
INSTANCE = "each instance of a pool has OMNITRON_INSTANCE, counted from 1"
READY = "there is no channel to the program: see `health.probe` for when it counts as started"

LEFT = {
    "append_env_to_name": "each stack is an environment of its own",
    "cron_restart": "nothing restarts an app at set times: a timer of systemd's can (systemctl restart)",
    "deep_monitoring": PLUS,
    "disable_logs": f"{JOURNAL}; StandardOutput= in `systemd` switches it off",
    "error_file": JOURNAL,
    "event_loop_inspector": PLUS,
    "execute_command": "it is an option of the command line",
    "filter_env": "an app gets no variables of the shell that starts it",
    "increment_var": INSTANCE,
    "install_url": "programs are not fetched",
    "instance_var": INSTANCE,
    "io": PLUS,
    "kill_retry_time": "systemd sends the stop signal only once",
    "listen_timeout": READY,
    "log_date_format": "the journal keeps the time of each line",
    "log_file": JOURNAL,
    "log_type": JOURNAL,
    "name_prefix": "each stack is an environment of its own",
    "namespace": "stacks group apps",
    "out_file": JOURNAL,
    "pid_file": "systemd knows the process: systemctl show -p MainPID",
    "post_update": GIT,
    "shutdown_with_message": f"{READY}; it is stopped by a signal",
    "source_map_support": "give node --enable-source-maps in the command",
    "trace": PLUS,
    "v8": PLUS,
    "wait_ready": READY,
    "watch_options": "only `watch`, `ignore_watch` and `watch_delay` are supported",
    "write": "it is an option of the command line",
}
"""The reasons why keys of an app cannot be carried over."""

NOT_NEEDED = {
    "automation": PLUS,
    "disable_source_map_support": "node is started as it is",
    "disable_trace": PLUS,
    "force": "it is an option of the command line",
    "merge_logs": "the journal holds the lines of all instances",
    "pmx": PLUS,
    "time": "the journal keeps the time of each line",
    "username": "pm2 sets it by itself",
    "vizion": GIT,
    "windowsHide": "it is for Windows",
}
"""Keys whose effect an app has anyway, or that do not concern it."""

UNKNOWN = "omnitron does not know this key"
PER_STACK = "no app has an environment per stack: `stacks.NAME.settings.env` is that of all apps of a stack"
DEPLOY = "nothing is copied to other hosts"
