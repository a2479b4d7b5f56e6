#!/bin/sh
# Hotplug script of a virtual interface: joins the bridge that xl.cfg names.
case "$1" in online|add) ;; *) exit 0 ;; esac
[ -n "$vif" ] || vif=$(echo $XENBUS_PATH | sed 's,.*/vif/\([0-9]*\)/\([0-9]*\).*,vif\1.\2,')
bridge=$(xenstore-read $XENBUS_PATH/bridge 2>/dev/null)
ip link set $vif master ${bridge:-br0}; ip link set $vif up
xenstore-write $XENBUS_PATH/hotplug-status connected
