#!/bin/busybox sh
# The test guest's init: says what the kernel was handed, tries disk and network, and ends.
/bin/busybox mkdir -p /proc /sys /dev /mnt /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev 2>/dev/null
say() { echo "GUEST: $*"; }
say "kernel=$(uname -r)"
say "cmdline=[$(cat /proc/cmdline)]"
say "memory=$(awk '/MemTotal/{print $2}' /proc/meminfo) KiB"
[ -e /payload ] && say "payload-sha256=$(sha256sum </payload | cut -d' ' -f1)"
for f in /second /third; do [ -e $f ] && say "${f#/}=$(cat $f)"; done
while read -r m; do insmod /modules/$m 2>/dev/null || say "cannot load $m"; done < /modules/order
i=0; while [ $i -lt 50 ] && ls /sys/bus/xen/devices 2>/dev/null | grep -q vbd && ! ls /sys/block | grep -q -E 'xvd|hd|sd'; do usleep 100000; i=$((i+1)); done
for d in /sys/block/xvd* /sys/block/hd* /sys/block/sd*; do
  [ -e $d ] || continue; n=${d##*/}; say "disk $n sectors=$(cat $d/size) sector-bytes=$(cat $d/queue/logical_block_size)"
done
for p in $(awk '$4 ~ /^(xvd|hd|sd)/{print $4}' /proc/partitions); do
  for t in ext4 vfat iso9660; do
    if mount -r -t $t /dev/$p /mnt 2>/dev/null; then
      say "mounted $p as $t: $(ls /mnt | tr '\n' ' ')"
      [ -e /mnt/marker ] && say "marker $p=$(cat /mnt/marker)"
      umount /mnt; break
    fi
  done
done
if [ -e /sys/class/net/eth0 ]; then
  last=$(printf '%d' 0x$(cut -d: -f6 /sys/class/net/eth0/address))
  ip addr add 192.0.2.$last/24 dev eth0; ip link set eth0 up
  i=0; until ping -c 1 -W 1 192.0.2.1 >/dev/null 2>&1 || [ $i -ge 20 ]; do i=$((i+1)); done
  if [ $i -lt 20 ]; then say "network works"; else say "network is dead"; fi
fi
[ -e /more ] && . /more
say "user space reached"
grep -q pvgrub.stay /proc/cmdline && exec sh
poweroff -f
