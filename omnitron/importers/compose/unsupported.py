"""Keys of a compose service that cannot be carried over, with reasons, and keys that are not needed."""

from __future__ import annotations

CONTAINER = "there is no container"
NETWORK = f"{CONTAINER}: the app is on the host's own network"
NAMESPACE = f"{CONTAINER}: the app is in the host's own namespaces"
JOURNAL = "logs go to the journal"
PRIVILEGE = "an app gets no privileges; see `hardening`, `user` and `systemd`"
DEVICES = "strict hardening hides devices; see `hardening` and `systemd`"
HOOK = "there are no hooks for a command; see ExecStartPost= and ExecStop= in `systemd`"
BLOCK_IO = "only `limits.ioWeight` bounds block IO"
CPU = "only `limits.cpuQuota` and `limits.cpuWeight` bound CPU time"
MEMORY = "only `limits.memoryMax` and `limits.memoryHigh` bound memory"

LEFT = {
    "annotations": "units have no labels",
    "attach": JOURNAL,
    "blkio_config": BLOCK_IO,
    "build": "no image is built: the program and its files must be on this host",
    "cap_add": PRIVILEGE,
    "cgroup": "each stack has a slice of its own",
    "cgroup_parent": "each stack has a slice of its own",
    "configs": "files are not copied: put them where the app reads them",
    "container_name": "units have names of their own",
    "cpu_count": CPU,
    "cpu_percent": CPU,
    "cpu_rt_period": CPU,
    "cpu_rt_runtime": CPU,
    "cpuset": "no field binds an app to CPUs; AllowedCPUs= in `systemd` does",
    "credential_spec": "it is for Windows",
    "deploy": "only replicas, restart_policy and limits are supported",
    "develop": "see `watch`",
    "device_cgroup_rules": DEVICES,
    "devices": DEVICES,
    "dns": NETWORK,
    "dns_opt": NETWORK,
    "dns_search": NETWORK,
    "domainname": NETWORK,
    "expose": NETWORK,
    "extends": "the parts from the other service are not imported",
    "external_links": NETWORK,
    "extra_hosts": f"{NETWORK}: add them to /etc/hosts",
    "gpus": DEVICES,
    "group_add": "an app has one group; SupplementaryGroups= in `systemd` adds more",
    "hostname": NETWORK,
    "image": "no image is run: its program must be installed on this host",
    "ipc": NAMESPACE,
    "isolation": CONTAINER,
    "label_file": "units have no labels",
    "labels": "units have no labels",
    "links": f"{NETWORK}, where other services are at 127.0.0.1",
    "logging": JOURNAL,
    "mac_address": NETWORK,
    "mem_reservation": MEMORY,
    "mem_swappiness": MEMORY,
    "memswap_limit": MEMORY,
    "models": "there are no models here",
    "network_mode": NETWORK,
    "networks": NETWORK,
    "oom_kill_disable": MEMORY,
    "oom_score_adj": "there is no field for it; OOMScoreAdjust= in `systemd` does it",
    "pid": NAMESPACE,
    "platform": "no image is run",
    "ports": f"{CONTAINER} to map a port of: the program must listen on the port itself",
    "post_start": HOOK,
    "pre_start": HOOK,
    "pre_stop": HOOK,
    "privileged": PRIVILEGE,
    "provider": "no other program is asked to provide a service",
    "pull_policy": "no image is run",
    "pull_refresh_after": "no image is run",
    "runtime": CONTAINER,
    "secrets": "files are not copied: put them where the app reads them",
    "security_opt": PRIVILEGE,
    "shm_size": f"{CONTAINER} with a /dev/shm of its own",
    "stdin_open": "an app has no terminal",
    "storage_opt": CONTAINER,
    "sysctls": NAMESPACE,
    "tmpfs": f"{CONTAINER} to mount it in; /tmp is the app's own, see `hardening`",
    "tty": "an app has no terminal",
    "ulimits": "there is no field for it; LimitNOFILE= and similar settings in `systemd` do it",
    "use_api_socket": CONTAINER,
    "userns_mode": NAMESPACE,
    "uts": NAMESPACE,
    "volumes": f"{CONTAINER} to mount into: the app sees the host's files; what it writes to is `paths`",
    "volumes_from": f"{CONTAINER} to mount into: the app sees the host's files",
}
"""The reasons why keys of a service cannot be carried over."""

NOT_NEEDED = {
    "cap_drop": "strict hardening removes every capability",
    "init": "systemd reaps what a program leaves behind",
    "read_only": "under strict hardening an app writes only to its `paths`",
}
"""Keys whose effect an app has anyway."""

UNKNOWN = "omnitron does not know this key"

TOP_LEVEL = {
    "configs": LEFT["configs"],
    "include": "import that file too, and join the definitions",
    "models": LEFT["models"],
    "networks": "there are no containers to connect",
    "secrets": LEFT["secrets"],
    "volumes": "there are no containers to mount into",
}
"""The reasons why keys beside `services` cannot be carried over."""
