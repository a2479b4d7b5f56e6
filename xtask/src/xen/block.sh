#!/bin/sh
# Hotplug script of a virtual disk: tells the backend which block device it is. Files become loop devices.
[ "$1" = add ] || exit 0
p=$(xenstore-read $XENBUS_PATH/params)
if [ -f "$p" ]; then l=$(losetup -f); losetup $l $p; p=$l; fi
xenstore-write $XENBUS_PATH/physical-device $(stat -L -c '%t:%T' $p) $XENBUS_PATH/hotplug-status connected
