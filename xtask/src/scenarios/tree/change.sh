#!/bin/sh
# change.sh FOLDER WAY: changes what fill.sh wrote. The changes are committed when it returns and, as only fsync was used
# and no other sync, are not yet in their places. If WAY is fast, fast commits follow.
set -e
cd "$1"
sync -f .
echo changed > boot/grub/menu.lst.new; mv boot/grub/menu.lst.new boot/grub/menu.lst
mv "names/a file with number 7" boot/moved
i=20; while [ $i -lt 60 ]; do rm "names/a file with number $i"; i=$((i+1)); done
mkdir new; i=0; while [ $i -lt 60 ]; do echo "new $i" > "new/file $i"; i=$((i+1)); done
rm -r deep/level-1/level-2/level-3
# Blocks of the folders just removed become data.
head -c 200000 /dev/urandom | dd of=new/data conv=fsync 2>/dev/null
dd if=magic of=new/magic bs=1000 conv=fsync 2>/dev/null
ln -s ../boot/moved new/link; chmod 0640 sized-100
dd if=/dev/null of=sized-300000 bs=1000 seek=10 2>/dev/null
if [ "$2" = fast ]; then
  sync -f .
  i=0; while [ $i -lt 5 ]; do echo "fast $i" | dd of=fast-$i conv=fsync 2>/dev/null; i=$((i+1)); done
  mv fast-1 "names/moved"; rm "names/a file with number 3"; ln fast-2 more/hard; mkdir fast-folder
  echo "in a new folder" | dd of=fast-folder/file conv=fsync 2>/dev/null
  head -c 30000 /dev/urandom | dd of=sized-1024 oflag=append conv=notrunc,fsync 2>/dev/null
  dd if=/dev/null of=sized-300000 bs=1000 seek=3 conv=fsync 2>/dev/null
  echo fast > boot/new; mv boot/new boot/grub/menu.lst; echo last | dd of=fast-last conv=fsync 2>/dev/null
else
  echo all | dd of=committed conv=fsync 2>/dev/null
fi
