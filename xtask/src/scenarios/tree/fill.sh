#!/bin/sh
# fill.sh FOLDER KIND: writes a tree with a bit of everything; KIND is posix, or fat where there are neither links nor modes.
set -e
cd "$1"
mkdir -p boot/grub deep names more
printf 'timeout 5\ndefault 0\n' > boot/grub/menu.lst
: > boot/empty
d=deep; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do d=$d/level-$i; mkdir $d; echo $i > $d/file; done
i=0; while [ $i -lt 250 ]; do echo "content $i" > "names/a file with number $i"; i=$((i+1)); done
for s in 1 59 60 61 100 155 160 511 1023 1024 1025 4095 4096 4097 65536 300000 3000001; do
  head -c $s /dev/urandom > sized-$s
done
# Holes of all sizes, at the end too.
for at in 0 5 13 300 1100 5000 8999; do printf "at $at" | dd of=sparse bs=1000 seek=$at conv=notrunc 2>/dev/null; done
if [ "$2" = posix ]; then
  dd if=/dev/null of=sparse bs=1000 seek=12000 2>/dev/null
  # Two files that grow in turns, each piece on the disk before the next is written.
  i=0; while [ $i -lt 48 ]; do
    for f in one two; do
      dd if=/dev/urandom of=pieces-$f bs=4096 count=1 seek=$i conv=notrunc oflag=direct 2>/dev/null ||
        dd if=/dev/urandom of=pieces-$f bs=4096 count=1 seek=$i conv=notrunc,fsync 2>/dev/null
    done
    i=$((i+1))
  done
  ln -s boot/grub/menu.lst menu; ln -s /boot/grub/../grub/menu.lst absolute; ln -s . boot/boot
  ln -s "boot/$(printf '%0200d' 7)" slow-link; ln -s nothing/here dangling; ln -s "$(printf '%059d' 1)" link-59
  ln -s "$(printf '%060d' 1)" link-60
  ln boot/grub/menu.lst hard; mkfifo more/pipe; mknod more/null c 1 3
  chmod 4755 sized-1; chmod 0400 sized-59; chmod 1777 more
fi
# A block that begins as the journal's own do is written there in disguise.
yes "$(printf '\300\073\071\230')" 2>/dev/null | tr -d '\n' | head -c 40000 > magic
