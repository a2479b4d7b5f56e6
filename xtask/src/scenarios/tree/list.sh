#!/bin/sh
# list.sh FOLDER FILE: writes to FILE what Linux sees in FOLDER: S mode size name, L name -> target, H sum name.
cd "$1" || exit 1
{
  find . -exec stat -c 'S %f %s %n' {} +
  find . -type l -exec sh -c 'for l; do echo "L $l -> $(readlink "$l")"; done' sh {} +
  find . -type f -exec sha256sum {} + | sed 's/^/H /'
} > "$2"
