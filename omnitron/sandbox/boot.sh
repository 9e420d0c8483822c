# Boots a directory as a disposable machine. Run it in a mount namespace of its own: then the kernel removes
# all mounts together with the last process of the machine.
#
# boot.sh FILESYSTEM ROOT NAME NSPAWN-OPTION... -b KERNEL-OPTION...
set -eu
fs=$1 root=$2 name=$3
shift 3

# A relative lowerdir needs no escaping of commas and colons.
cd "$root"
mount -t tmpfs -o mode=755 omnitron-sandbox "$fs"
mkdir "$fs/upper" "$fs/work" "$fs/root"
mount -t overlay -o "lowerdir=.,upperdir=$fs/upper,workdir=$fs/work" omnitron-sandbox "$fs/root"

# systemd-nspawn stores files here, which would be left over after a SIGKILL.
mkdir -p /run/systemd
mount -t tmpfs -o mode=755 omnitron-sandbox /run/systemd

cd "$fs/root"
# Units that are enabled on the host would start here a second time, on the same ports, and timers would
# keep the machine busy.
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/systemd/user/*.wants
# Without a machine id systemd assumes a first boot and enables all units again.
if ! grep -qxE '[0-9a-f]{32}' etc/machine-id; then
    rm -f etc/machine-id
    tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
fi
# Newer than /usr: no rebuilding of caches at boot.
touch etc/.updated var/.updated
# Debian's prompt shows this name, so that users do not mistake a shell here for one on the host.
echo "$name" >etc/debian_chroot

exec systemd-nspawn --directory="$fs/root" --machine="$name" "$@"
