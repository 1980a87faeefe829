#!/bin/sh
# Boots the machine's own systemd in namespaces of its own, on a copy of the file system that vanishes with it, with fwc.service and nftables.service
# and nothing else. usage: systemd.sh FWC UNIT OUT CGROUP; OUT/driver.sh runs once fwc.service has been started, and prints to OUT/log.
# All its processes are in the control group CGROUP, which the caller removes.
set -e
fwc=$1 unit=$2 out=$3 cgroup=$4
work=$out/work

if [ "$5" != inside ]; then
    mount --make-rprivate /
    mkdir "$work"
    mount -t tmpfs tmpfs "$work"
    mkdir $work/cgroup
    mount -t cgroup2 cgroup2 $work/cgroup
    mkdir "$work/cgroup/$cgroup"
    # The shell as the machine knows it: its number here is another one, and 0 means itself.
    echo 0 >"$work/cgroup/$cgroup/cgroup.procs"
    umount $work/cgroup
    exec unshare --cgroup sh "$0" "$@" inside
fi
mkdir $work/upper $work/work $work/root
mount -t overlay overlay -o lowerdir=/,upperdir=$work/upper,workdir=$work/work $work/root
root=$work/root

install -D -m 755 "$fwc" $root/usr/local/bin/fwc
install -D -m 644 "$out/spec.yaml" $root/etc/fwc/spec.yaml
install -D -m 644 "$unit" $root/etc/systemd/system/fwc.service
rm -rf $root/var/lib/fwc
printf '#!/usr/sbin/nft -f\nflush ruleset\ntable inet theirs\n' >$root/etc/nftables.conf
printf '[Unit]\nDefaultDependencies=no\nWants=nftables.service fwc.service driver.service\n' >$root/etc/systemd/system/fwc-test.target
cat >$root/etc/systemd/system/driver.service <<EOF
[Unit]
DefaultDependencies=no
After=fwc.service network-pre.target
[Service]
Type=oneshot
StandardOutput=append:/out/log
StandardError=append:/out/log
ExecStart=/bin/sh /out/driver.sh
EOF

mkdir -p $root/out
mount --bind "$out" $root/out
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs tmpfs $root/run
mount -t tmpfs tmpfs $root/tmp
mount -t tmpfs -o mode=755 tmpfs $root/dev
for device in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 $root/dev/${device%:*} c 1 ${device#*:}
done
mkdir $root/dev/pts $root/dev/shm $root/dev/mqueue $root/dev/hugepages
mount -t devpts devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx

cd $root
mkdir -p old
pivot_root . old
umount -l /old
export container=fwc-test
exec /lib/systemd/systemd --system --unit=fwc-test.target --log-target=console --show-status=no
