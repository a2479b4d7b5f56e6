#!/bin/sh
# dom0's init: starts the stock Xen toolstack, then one agent for each of the host's control ports.
export PATH=/bin:/sbin:@XENBIN@ LD_LIBRARY_PATH=/lib/x86_64-linux-gnu HOME=/
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /share /mnt
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mkdir -p /dev/pts; mount -t devpts pts /dev/pts
while read -r m; do insmod /modules/$m || echo "DOM0: cannot load $m"; done < /modules/order
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none share /share || echo "DOM0: no share"
mount -t xenfs xenfs /proc/xen
mkdir -p /share/console /var/log/xen; mount --bind /share/console /var/log/xen
hostname dom0; ip link set lo up
xenstored --pid-file /run/xenstored.pid
i=0; while [ $i -lt 50 ]; do xenstore-read / >/dev/null 2>&1 && break; i=$((i+1)); usleep 100000; done
xen-init-dom0
xenconsoled --log=guest --log-dir=/share/console --pid-file=/run/xenconsoled.pid
ip link add br0 type bridge; ip addr add 192.0.2.1/24 dev br0; ip link set br0 up
echo "DOM0: up $(cut -d' ' -f1 /proc/uptime)"
agent() { # agent DEVICE: runs each line it reads, answers "exit-code length" and the output
  exec 3<>$1
  printf 'ready\n' >&3
  while :; do
    IFS= read -r line <&3 || { usleep 200000; continue; }
    ( eval "$line" ) >/tmp/agent.$2 2>&1 </dev/null; code=$?
    { printf '%d %d\n' $code $(stat -c %s /tmp/agent.$2); cat /tmp/agent.$2; } >&3
  done
}
for d in /sys/class/virtio-ports/*; do
  name=$(cat $d/name 2>/dev/null); case "$name" in control*) agent /dev/${d##*/} $name & ;; esac
done
wait
while :; do sleep 1000; done
