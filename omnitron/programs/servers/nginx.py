"""nginx as the gateway's service: `python -I -S serve.py run|hand|reload SETTINGS`. Standard library only.

`run` and `reload` check the configuration first: nginx never runs with one that it does not accept. `hand` runs as
root before a reload: it copies the current certificate and key for nginx, where only root can read them.
"""

from __future__ import annotations

import os
import sys

# As a program this file stands alone until its last lines have set the path: what is omnitron's is imported later.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from omnitron.policy.server_specs import NginxSpec

NGINX = "/usr/sbin/nginx"
HANDED = ("tls-certificate", "tls-key")
"""Certificate and key: their names as credentials of the unit, and as files in nginx's folder."""


def main(arguments: list[str]) -> int:
    """Run the verb on the command line."""
    from omnitron.programs.servers.service_folders import run

    return run({"run": serve, "hand": hand, "reload": reload}, arguments)


def serve(arguments: list[str]) -> None:
    """Become nginx."""
    from omnitron.programs.secrets.credentials import read
    from omnitron.programs.servers.service_folders import CannotError, folder, write, write_text

    spec, place = _spec(arguments[0]), folder("RUNTIME_DIRECTORY")
    if spec.credential:
        write_text(f"{place}/redis-password", read(spec.credential))
    write(f"{place}/maintenance.html", [spec.page])
    if spec.tls:
        certificate, key = spec.tls.certificate, spec.tls.key
        if spec.is_handed:
            for name in HANDED:
                write_text(f"{place}/{name}", read(name))
            certificate, key = (f"{place}/{name}" for name in HANDED)
        write(f"{place}/tls.conf", [f"ssl_certificate {certificate};", f"ssl_certificate_key {key};"])
    os.symlink(folder("CACHE_DIRECTORY"), f"{place}/cache")  # noqa: PTH211
    accepted = f"{place}/cache/accepted.conf"
    try:
        _checked(spec.config, place)
        _keep(f"{place}/nginx.conf", accepted)
    except CannotError as error:
        if not os.path.exists(accepted):  # noqa: PTH110 - pathlib is slow to import
            raise
        print(f"{error}; going on with the last one that could be used", file=sys.stderr)
        _checked(accepted, place)
    os.execv(NGINX, ["nginx", *_arguments(place, "nginx.conf"), "-g", "daemon off;"])


def _spec(path: str) -> NginxSpec:
    from omnitron.policy.server_specs import NginxSpec
    from omnitron.programs.servers.service_folders import read_spec

    return read_spec(path, NginxSpec)


def hand(arguments: list[str]) -> None:
    """Put certificate and key into the folder of nginx, for it alone."""
    from omnitron.programs.servers.service_folders import CannotError, folder

    tls = _spec(arguments[0]).tls
    if tls is None:
        raise CannotError("cannot pass on a certificate: the gateway has none")
    # The folder is another user's: nothing in it is followed, nor written to as it is.
    place = os.open(folder("RUNTIME_DIRECTORY"), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    owner = os.fstat(place)
    for name, path in zip(HANDED, (tls.certificate, tls.key), strict=True):
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
            content = file.read()
        new = f"{name}.{os.getpid()}"
        to = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=place)
        with open(to, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
            os.fchown(to, owner.st_uid, owner.st_gid)
        os.rename(new, name, src_dir_fd=place, dst_dir_fd=place)


def reload(arguments: list[str]) -> None:
    """Check the current configuration, and let the running nginx load it."""
    import signal

    from omnitron.programs.servers.service_folders import folder

    place = folder("RUNTIME_DIRECTORY")
    _checked(_spec(arguments[0]).config, place)
    _keep(f"{place}/nginx.conf", f"{place}/cache/accepted.conf")
    os.kill(int(os.environ["MAINPID"]), signal.SIGHUP)


def _keep(path: str, copy: str) -> None:
    """Save the accepted configuration, for a start at which nginx does not accept the current one."""
    from omnitron.programs.servers.service_folders import write

    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        write(copy, file.read().splitlines())


def _checked(config: str, place: str) -> None:
    """Put the configuration in place if nginx accepts it."""
    import subprocess

    from omnitron.programs.servers.service_folders import CannotError, write

    with open(config, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        write(f"{place}/nginx.conf.new", file.read().splitlines())
    done = subprocess.run([NGINX, *_arguments(place, "nginx.conf.new"), "-t", "-q"], capture_output=True, text=True)
    if done.returncode:
        # The mark of the level is the same in every language.
        lines = [line for line in done.stderr.splitlines() if "[emerg]" in line] or done.stderr.splitlines()
        raise CannotError(f"cannot use the configuration: {lines[-1] if lines else 'nginx -t failed'}")
    os.rename(f"{place}/nginx.conf.new", f"{place}/nginx.conf")  # noqa: PTH104


def _arguments(place: str, name: str) -> list[str]:
    return ["-p", f"{place}/", "-e", "stderr", "-c", f"{place}/{name}"]


if __name__ == "__main__":
    here = __file__.rpartition("/")[0]
    # A user could not remove root's bytecode from their checkout.
    sys.dont_write_bytecode = os.stat(here).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(here + "/../../..")
    sys.exit(main(sys.argv[1:]))
