#!/bin/sh
# Makes the images that the targets for file systems change: sh make.sh, in this folder; needs the Debian packages
# e2fsprogs, dosfstools, mtools, xorriso, xfsprogs, btrfs-progs and squashfs-tools, and root for some. Inputs that are kept in ../seeds mean bytes of these very images: make
# new ones under new names.
set -eu
here=$PWD
fuzz() { cargo run --quiet --package pv-grub-fuzz --bin fuzz -- "$@"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export SOURCE_DATE_EPOCH=1700000000 E2FSPROGS_FAKE_TIME=1700000000 MTOOLS_SKIP_CHECK=1 TZ=UTC LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin

mkdir -p tree/boot/deeper tree/many
printf 'title x\nroot (hd0,0)\n' > tree/boot/menu.lst
head -c 3000 /dev/zero | tr '\0' 'x' > "tree/boot/a rather long name.txt"
printf deep > tree/boot/deeper/file
truncate -s 300000 tree/boot/large
for at in 0 9000 100000 299000; do
    printf 'some bytes at %s' $at | dd of=tree/boot/large bs=1 seek=$at conv=notrunc status=none
done
for number in $(seq -w 1 120); do : > "tree/many/entry number 0$number"; done
cp -r tree plain
ln -s boot/menu.lst tree/link
ln -s ./loop tree/loop
ln -s ./boot/./boot/boot/boot/boot/boot/boot/boot/boot/boot/boot/grub/././././menu.lst tree/long
find tree plain -exec touch -h -d @1700000000 {} +

keep() { # IMAGE NAME
    cd "$here"
    fuzz pack "$work/$1" "$2.gz"
    cd "$work"
}
ext() { # NAME SIZE OPTIONS…
    name=$1 size=$2
    shift 2
    rm -f image
    mke2fs -q -F -U 6f1c9f9e-0000-4000-8000-000000000001 -E hash_seed=6f1c9f9e-0000-4000-8000-000000000002 \
        -L root -d tree "$@" image "$size" > log
    [ "$name" = - ] || keep image "$name"
}
ext ext2-1k 2M -t ext2 -b 1024
ext ext2-4k 4M -t ext2 -b 4096
ext ext4-extents 2M -t ext4 -b 1024 -O ^has_journal,^metadata_csum
ext - 2M -t ext4 -b 1024 -O ^has_journal,^metadata_csum,dir_index
e2fsck -fyD image >> log 2>&1 || true
keep image ext4-htree
ext ext4-inline 2M -t ext4 -b 1024 -O ^has_journal,^metadata_csum,inline_data
ext ext4-bigalloc 16M -t ext4 -b 1024 -C 16384 -O ^has_journal,^metadata_csum,bigalloc
ext ext4-metabg 20M -t ext4 -b 1024 -O ^has_journal,^metadata_csum,^resize_inode,meta_bg,64bit,sparse_super2
ext ext4-csum 2M -t ext4 -b 1024 -O ^has_journal
dirty() { # NAME JOURNAL OPTIONS…: what is at the front of the image is in the journal once more
    dirty=$1 journal=$2
    shift 2
    ext - 4M -b 1024 "$@"
    blocks=$(seq -s, 1 40)
    dd if=image of=changes bs=1024 skip=1 count=40 status=none
    printf '%s\njw -b %s changes\njw -r 7\njc\n' "$journal" "$blocks" > script
    debugfs -w -f script image > log 2>&1
    keep image "$dirty"
}
dirty ext3-dirty jo -t ext3
dirty ext4-dirty-v3 'jo -c -v 3' -t ext4 -O ^metadata_csum
mounted() { # TYPE OPTIONS COMMAND…: runs the command with the image mounted at `at`; needs root
    type=$1 options=$2
    shift 2
    mkdir -p at
    mount -t "$type" -o "loop$options" image at
    "$@"
    umount at
}
# Names, inodes and places of data that are in fast commits alone: copied before it is unmounted.
fast_commits() {
    sync -f at
    for number in $(seq 9); do echo "fast $number" | dd of="at/fast-$number" conv=fsync status=none; done
    mv at/fast-1 "at/many/moved"
    rm "at/many/entry number 0003"
    ln at/fast-2 at/boot/hard
    mkdir at/folder
    dd if=tree/boot/menu.lst of=at/folder/file conv=fsync status=none
    dd if=tree/boot/large of=at/boot/large oflag=append conv=notrunc,fsync bs=5000 count=1 status=none
    dd if=/dev/null of=at/boot/large bs=1000 seek=3 conv=fsync status=none
    echo fast > at/boot/new
    mv at/boot/new at/boot/menu.lst
    dd if=/dev/null of=at/boot/menu.lst oflag=append conv=notrunc,fsync status=none
    cp image copied
}
ext - 8M -t ext4 -b 1024 -O fast_commit,^metadata_csum
mounted ext4 ,commit=600 fast_commits
mv copied image
keep image ext4-fast-commit

fat() { # BITS KIB
    rm -f image
    mkfs.fat -C -F "$1" -s 1 -i 12345678 --invariant -n LABEL image "$2" > log
    mcopy -i image -s -Q -m plain/boot plain/many ::
    keep image "fat$1"
}
fat 12 2000
fat 16 4200
fat 32 34000

iso() { # NAME TREE OPTIONS…
    name=$1 tree=$2
    shift 2
    rm -f image
    xorriso -as mkisofs -quiet --modification-date=2023111422132000 "$@" -o image "$tree" > log 2>&1
    keep image "$name"
}
iso iso-rock-ridge tree -R
iso iso-joliet tree --norock -J

fill() { cp -a tree/. at/; }
prototype() { # FOLDER: what mkfs.xfs -p takes; it has no way to spell a blank
    for path in "$1"/*; do
        name=${path##*/}
        case $name in
            *" "*) ;;
            *) if [ -L "$path" ]; then
                echo "$name l--777 0 0 $(readlink "$path")"
            elif [ -d "$path" ]; then
                echo "$name d--755 0 0"
                prototype "$path"
            else
                echo "$name ---644 0 0 $path"
            fi ;;
        esac
    done
    echo '$'
}
mkdir wide
cp -r tree/. wide
for number in $(seq 300); do : > "wide/many/entry-number-$number"; done
{ printf '%s\n' - '0 0' 'd--755 0 0'; prototype wide; } > tree.proto
xfs() { # NAME OPTIONS…
    name=$1
    shift
    rm -f image
    truncate -s 64M image
    mkfs.xfs -q -f -L root --unsupported -p tree.proto "$@" image 2> log
    keep image "$name"
}
xfs xfs-v5 -m uuid=6f1c9f9e-0000-4000-8000-000000000003
xfs xfs-v5-1k -b size=1024 -n size=8192 -m rmapbt=0,reflink=0
xfs xfs-v4 -m crc=0
# What is left of one that was cut off: the log holds what the rest does not.
rm -f image
truncate -s 64M image
mkfs.xfs -q -f -L root --unsupported image
cut_off() {
    fill
    sync -f at
    for number in $(seq 40); do echo $number > "at/round-$number"; done
    mv at/boot/menu.lst at/boot/menu.old
    printf 'title y\n' > at/boot/menu.lst
    xfs_io -x -c 'shutdown -f' at
}
mounted xfs ,nouuid cut_off
keep image xfs-dirty

btrfs() { # NAME OPTIONS…
    name=$1
    shift
    rm -f image
    truncate -s 120M image
    mkfs.btrfs -q -L root -U 6f1c9f9e-0000-4000-8000-000000000004 --rootdir tree "$@" image > log
    keep image "$name"
}
btrfs btrfs-single -m single -d single
btrfs btrfs-mixed -M
btrfs btrfs-4k -n 4096 -m single -d single
zipped() { # ALGORITHM
    fill
    command btrfs subvolume create at/inner > log
    cp tree/boot/menu.lst at/inner/
    cp at/boot/large "at/boot/again"
}
for algorithm in zlib lzo zstd; do
    rm -f image
    truncate -s 120M image
    mkfs.btrfs -q -L root -m single -d single image > log
    mounted btrfs ",compress-force=$algorithm" zipped
    keep image "btrfs-$algorithm"
done

# A guest that boots, and what it might have for other boot loaders.
guest() {
    mkdir -p guest/boot/grub guest/loader/entries guest/boot/extlinux
    (cd "$here" && fuzz kernel "$work/guest/boot/vmlinuz")
    printf 'default saved\ntimeout 3\nfallback 1\ntitle A\nroot (hd0)\nkernel /boot/vmlinuz ro\ninitrd /boot/initrd\nsavedefault\n' > guest/boot/grub/menu.lst
    printf 'title B\nfind --set-root /boot/vmlinuz\nkernel /boot/vmlinuz b\ntitle C\nconfigfile /boot/grub/menu.lst\n' >> guest/boot/grub/menu.lst
    printf '1:0\n#\n#\n' > guest/boot/grub/default
    printf 'an initrd\n' > guest/boot/initrd
    printf 'set timeout=2\nif [ a = b ]; then\nset default=1\nfi\nsubmenu x {\nmenuentry "A" --id a-b {\nsearch --file --set=root /boot/vmlinuz\nlinux /boot/vmlinuz $x "ro"\ninitrd /boot/initrd\n}\n}\nblscfg\n' > guest/boot/grub/grub.cfg
    printf 'title B\nlinux /boot/vmlinuz\ninitrd /boot/initrd\noptions $kernelopts ro\n' > guest/loader/entries/b-1.2.conf
    printf 'default a\ntimeout 30\nlabel a\nmenu label ^A\nlinux /boot/vmlinuz\nappend initrd=/boot/initrd ro\n' > guest/boot/extlinux/extlinux.conf
    find guest -exec touch -h -d @1700000000 {} +
    rm -f image
    mke2fs -q -F -t ext2 -b 1024 -U 01234567-89ab-cdef-0123-456789abcdef \
        -E hash_seed=6f1c9f9e-0000-4000-8000-000000000002 -L guest -d guest image 2M
    keep image guest
}
guest

# The same guest with one kind of configuration alone.
other() { # NAME FILE
    rm -rf other image
    mkdir -p "other/$(dirname "$2")"
    cp -r guest/boot other
    rm -r other/boot/grub other/boot/extlinux
    mkdir -p "other/$(dirname "$2")"
    cat > "other/$2"
    find other -exec touch -h -d @1700000000 {} +
    mke2fs -q -F -t ext2 -b 1024 -U 01234567-89ab-cdef-0123-456789abcdef \
        -E hash_seed=6f1c9f9e-0000-4000-8000-000000000002 -L guest -d other image 2M
    keep image "guest-$1"
}
printf 'title B\nversion 1.2\nlinux /boot/vmlinuz\ninitrd /boot/initrd\noptions $kernelopts ro\n' | other bls boot/loader/entries/b-1.2.conf
printf 'default a\ntimeout 30\nlabel a\nmenu label ^A\nlinux /boot/vmlinuz\nappend initrd=/boot/initrd ro\n' | other extlinux boot/extlinux/extlinux.conf
printf 'set timeout=2\nset x=1\nif [ "$x" = 1 ]; then\nset default="a-b"\nfi\nsubmenu x {\nmenuentry "A" --id a-b {\nsearch --file --set=root /boot/vmlinuz\nlinux /boot/vmlinuz $x "ro"\ninitrd /boot/initrd\n}\n}\n' | other grub boot/grub2/grub.cfg
printf 'timeout 3\nfallback 1\ntitle A\nroot (nd)\nkernel /vmlinuz ro\ntitle B\nroot (hd0)\nkernel /boot/vmlinuz b\ninitrd (nd)/initrd\ntitle C\ndhcp\nkernel /boot/vmlinuz\ntitle D\nkernel /boot/vmlinuz d\n' | other network boot/grub/menu.lst

squashfs() { # NAME OPTIONS…
    name=$1
    shift
    rm -f image
    mksquashfs tree image -quiet -no-progress -all-root "$@" > log
    keep image "$name"
}
squashfs squashfs-plain -noI -noD -noF -noX -b 4096
squashfs squashfs-gzip -comp gzip -b 4096
squashfs squashfs-xz -comp xz -b 8192 -no-fragments
squashfs squashfs-zstd -comp zstd -b 4096
squashfs squashfs-lz4 -comp lz4 -b 4096
squashfs squashfs-lzo -comp lzo -b 4096

# lvm-*.gz and md-*.gz need a kernel with device mapper and md: they are the disks of the scenarios place-lvm-* and
# place-md-* (lvm-refused: the first partitions of volumes-refused's), copied while the guest runs, one after the other as
# partitions that begin and end at whole MiB.
