# Boots a directory as a disposable machine. To be run in a mount namespace of its own: what is
# mounted here then goes away with the machine's last process, however that ends.
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

# What nspawn keeps here would outlive a SIGKILL.
mkdir -p /run/systemd
mount -t tmpfs -o mode=755 omnitron-sandbox /run/systemd

cd "$fs/root"
# What is enabled on the host would start here a second time, on the same ports, and its timers would
# keep the machine busy.
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/systemd/user/*.wants
# Without an id systemd takes this for the first boot and enables everything anew.
if ! grep -qxE '[0-9a-f]{32}' etc/machine-id; then
    rm -f etc/machine-id
    tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
fi
# Newer than /usr: no rebuilding of caches at boot.
touch etc/.updated var/.updated
# Debian's prompt shows it, so that a shell here is not taken for one on the host.
echo "$name" >etc/debian_chroot

exec systemd-nspawn --directory="$fs/root" --machine="$name" "$@"
