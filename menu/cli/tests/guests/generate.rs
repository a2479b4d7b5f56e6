//! `pvgrub generate`: menus made from what guests have for other boot loaders, and what `check` says of them.

use pvgrub::Ending;
use serde_json::Value;

use super::images::{Layout, Scratch, disk, kernel};
use super::session::run;

/// As `grub-mkconfig` of Debian 12 writes it, without what is the same in every entry of every guest.
const DEBIAN: &str = r#"
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi

if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    insmod efi_gop
  fi
}
if [ x$feature_timeout_style = xy ] ; then
  set timeout_style=menu
  set timeout=7
# Fallback normal timeout code in case the timeout_style feature is unavailable.
else
  set timeout=7
fi
function gfxmode { set gfxpayload="${1}"; }
set linux_gfx_mode=
menuentry 'Debian GNU/Linux' --class debian --class gnu-linux --class os $menuentry_id_option 'gnulinux-simple-x' {
	load_video
	insmod gzio
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	insmod part_msdos
	set root='hd0,msdos5'
	if [ x$feature_platform_search_hint = xy ]; then
	  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1 --hint='hd0,msdos1'  01234567-89ab-cdef-0123-456789abcdef
	else
	  search --no-floppy --fs-uuid --set=root 01234567-89ab-cdef-0123-456789abcdef
	fi
	echo	'Loading Linux 6.1.0-18-amd64 ...'
	linux	/boot/vmlinuz-6.1 root=UUID=01234567-89ab-cdef-0123-456789abcdef ro "quiet"
	echo	'Loading initial ramdisk ...'
	initrd	/boot/initrd-6.1
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-x' {
	menuentry 'Debian GNU/Linux, with Linux 6.1 (recovery mode)' --class debian $menuentry_id_option 'gnulinux-6.1-recovery-x' {
		set root='hd0,msdos1'
		linux	/boot/vmlinuz-6.1 root=/dev/xvda1 ro single console=hvc0 \
			price=\$5 'a $b'
		initrd	/boot/initrd-6.1
	}
	menuentry 'Debian GNU/Linux, with Linux 5.10' $menuentry_id_option 'gnulinux-5.10-x' {
		set root='hd0,msdos1'
		linux	/boot/vmlinuz-5.10 root=/dev/xvda1
	}
}
menuentry 'Windows' { set root='hd0,msdos1'; chainloader +1; }
"#;

fn generated(guest: &str) -> String {
    let ran = run(&["generate", guest], b"");
    assert_eq!(ran.ending, Ending::Clean, "{}", ran.errors);
    let (first, rest) = ran.output.split_once('\n').expect("a first line");
    assert!(first.starts_with("# Made by pvgrub "), "{first}");
    rest.to_owned()
}

/// The menu boots, as `check` sees it, and there is nothing odd about it, as `lint` sees it.
fn checked(guest: &str, menu: &str) -> Value {
    let linted = run(&["lint", "-"], menu.as_bytes());
    assert_eq!(linted.ending, Ending::Clean, "{}", linted.output);
    let ran = run(
        &["check", "--format=json", "--menu=-", guest],
        menu.as_bytes(),
    );
    let report: Value = serde_json::from_str(&ran.output).expect("JSON");
    assert_eq!(report["verdict"], "boots", "{menu}\n{report:#}");
    assert_eq!(report["menu"]["note"], Value::Null, "{menu}");
    report
}

#[test]
fn debian() {
    let scratch = Scratch::new();
    let files: &[(&str, &[u8])] = &[
        ("boot/grub/grub.cfg", DEBIAN.as_bytes()),
        ("boot/vmlinuz-6.1", &kernel()),
        ("boot/initrd-6.1", &[1; 100]),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let menu = generated(&guest);
    assert_eq!(
        menu,
        "# Left out: Debian GNU/Linux, with Linux 5.10: /boot/vmlinuz-5.10 is on none of the disks\n\
         # Left out: Windows: it uses `chainloader`, for which there is nothing here\n\
         default 0\ntimeout 7\nfallback 1\n\n\
         title Debian GNU/Linux\nroot (hd0,0)\n\
         kernel /boot/vmlinuz-6.1 root=UUID=01234567-89ab-cdef-0123-456789abcdef ro quiet console=hvc0\n\
         initrd /boot/initrd-6.1\n\n\
         title Debian GNU/Linux, with Linux 6.1 (recovery mode)\nroot (hd0,0)\n\
         kernel /boot/vmlinuz-6.1 root=/dev/xvda1 ro single console=hvc0 price=$5 a $b\n\
         initrd /boot/initrd-6.1\n"
    );
    let report = checked(&guest, &menu);
    assert_eq!(report["entries"][1]["verdict"], "boots");
}

#[test]
fn the_saved_entry_of_a_submenu_is_the_default() {
    let scratch = Scratch::new();
    let script = "load_env\nset default=\"${saved_entry}\"\n\
        menuentry A --id one { linux /vmlinuz root=/dev/xvda1 a; }\n\
        submenu More --id more {\n menuentry B --id two { linux /vmlinuz root=/dev/xvda1 b\n }\n }\n";
    for saved in ["more>two", "1>0", "More>B", "1"] {
        let environment = format!("# GRUB Environment Block\nsaved_entry={saved}\n####");
        let files: &[(&str, &[u8])] = &[
            ("boot/grub/grub.cfg", script.as_bytes()),
            ("boot/grub/grubenv", environment.as_bytes()),
            ("vmlinuz", &kernel()),
        ];
        let guest = disk(&scratch, "guest.img", Layout::Partition, files);
        let report = checked(&guest, &generated(&guest));
        assert_eq!(
            report["boot"][0]["command_line"], "root=/dev/xvda1 b console=hvc0",
            "{saved}"
        );
    }
}

/// Fedora: grub.cfg asks for the entries in /loader/entries, whose options are in grubenv.
#[test]
fn boot_loader_specification() {
    let scratch = Scratch::new();
    let entry = |version: &str| {
        format!(
            "title Fedora Linux ({version}) 38\nversion {version}\nlinux /vmlinuz-{version}\n\
             initrd /initramfs-{version}.img $tuned_initrd\noptions $kernelopts\ngrub_users $grub_users\n"
        )
    };
    let (old, new) = (entry("6.2.9"), entry("6.2.10"));
    let vmlinuz = kernel();
    let files: &[(&str, &[u8])] = &[
        ("grub2/grub.cfg", b"set timeout=3\ninsmod blscfg\nblscfg\n"),
        (
            "grub2/grubenv",
            b"# GRUB Environment Block\nkernelopts=root=/dev/xvda2 ro \n#####",
        ),
        ("loader/entries/abc-6.2.9.conf", old.as_bytes()),
        ("loader/entries/abc-6.2.10.conf", new.as_bytes()),
        ("vmlinuz-6.2.9", &vmlinuz),
        ("vmlinuz-6.2.10", &vmlinuz),
        ("initramfs-6.2.9.img", b"x"),
        ("initramfs-6.2.10.img", b"x"),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let menu = generated(&guest);
    assert!(
        menu.starts_with("default 0\ntimeout 3\nfallback 1\n"),
        "{menu}"
    );
    let report = checked(&guest, &menu);
    assert_eq!(report["boot"][0]["title"], "Fedora Linux (6.2.10) 38");
    assert_eq!(
        report["boot"][0]["command_line"],
        "root=/dev/xvda2 ro console=hvc0"
    );
    assert_eq!(
        report["boot"][0]["initrds"][0]["file"],
        "(hd0,0)/initramfs-6.2.10.img"
    );
    assert_eq!(report["entries"][1]["title"], "Fedora Linux (6.2.9) 38");
}

#[test]
fn extlinux() {
    let scratch = Scratch::new();
    let conf = "DEFAULT menu.c32\nPROMPT 0\nTIMEOUT 15\nDEFAULT virt\n\
        LABEL lts\n  MENU LABEL Linux ^lts\n  LINUX vmlinuz-lts\n  APPEND initrd=a.img,b.img root=/dev/xvda quiet\n\
        LABEL virt\n  MENU LABEL Linux virt\n  kernel vmlinuz-virt\n  initrd a.img\n  append root=/dev/xvda\n\
        LABEL disk\n  LOCALBOOT 0x80\n";
    let files: &[(&str, &[u8])] = &[
        ("boot/extlinux.conf", conf.as_bytes()),
        ("boot/vmlinuz-lts", &kernel()),
        ("boot/vmlinuz-virt", &kernel()),
        ("boot/a.img", b"a"),
        ("boot/b.img", b"b"),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Whole, files);
    let menu = generated(&guest);
    assert!(
        menu.contains("default 1\ntimeout 2\nfallback 0\n"),
        "{menu}"
    );
    let report = checked(&guest, &menu);
    assert_eq!(
        report["boot"][0]["command_line"],
        "root=/dev/xvda console=hvc0"
    );
    let first = &report["entries"][0];
    assert_eq!(first["title"], "Linux lts");
    assert_eq!(first["initrds"][1]["file"], "(hd0)/boot/b.img");
    assert_eq!(first["command_line"], "root=/dev/xvda quiet console=hvc0");
}

#[test]
fn a_separate_boot_partition_and_an_efi_stub() {
    let scratch = Scratch::new();
    // /boot is on the second disk; the first has the stub that leads there.
    let stub = "search.fs_uuid 01234567-89ab-cdef-0123-456789abcdef root\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n";
    let first = disk(
        &scratch,
        "a.img",
        Layout::Whole,
        &[("EFI/debian/grub.cfg", stub.as_bytes())],
    );
    let script = "menuentry A { linux ($root)/vmlinuz root=/dev/xvda1\n }\n";
    let second = disk(
        &scratch,
        "b.img",
        Layout::Whole,
        &[("grub/grub.cfg", script.as_bytes()), ("vmlinuz", &kernel())],
    );
    let ran = run(&["generate", &first, &second], b"");
    assert_eq!(ran.ending, Ending::Clean, "{}", ran.errors);
    assert!(
        ran.output
            .contains("root (hd1)\nkernel /vmlinuz root=/dev/xvda1 console=hvc0\n"),
        "{}",
        ran.output
    );
}

#[test]
fn nothing_to_make_a_menu_of() {
    let scratch = Scratch::new();
    let guest = disk(
        &scratch,
        "guest.img",
        Layout::Partition,
        &[("etc/fstab", b"x")],
    );
    let ran = run(&["generate", &guest], b"");
    assert_eq!(ran.ending, Ending::Findings);
    assert_eq!(ran.output, "");
    assert!(ran.errors.contains("no grub.cfg"), "{}", ran.errors);
}

/// Scripts that nobody wrote: nothing is promised of the menu but that there is an end.
#[test]
fn odd_scripts_have_an_end() {
    let scratch = Scratch::new();
    for script in [
        "menuentry { { { {",
        "} } fi else elif submenu {",
        "configfile /boot/grub/grub.cfg\nconfigfile /boot/grub/grub.cfg\n",
        "set a=$a$a$a${\nset x='\"\nlinux",
        "if if if [ ; then then } menuentry x { linux /v $",
        "menuentry 'a\\' { linux /v \\",
    ] {
        // What grows, grows faster the second time.
        let script = script.repeat(200);
        let files: &[(&str, &[u8])] = &[("boot/grub/grub.cfg", script.as_bytes())];
        let guest = disk(&scratch, "guest.img", Layout::Partition, files);
        let ran = run(&["generate", &guest], b"");
        assert_eq!(ran.ending, Ending::Findings, "{script}");
    }
}
