#!/bin/sh
# Hotplug script of a virtual interface: joins the bridge.
case "$1" in online|add) ;; *) exit 0 ;; esac
[ -n "$vif" ] || vif=$(echo $XENBUS_PATH | sed 's,.*/vif/\([0-9]*\)/\([0-9]*\).*,vif\1.\2,')
ip link set $vif master br0; ip link set $vif up
xenstore-write $XENBUS_PATH/hotplug-status connected
