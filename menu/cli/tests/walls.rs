//! What the two walls of the sandbox refuse, together and each by itself. Each thread has its own, so the tests' process
//! goes on.
//!
//! `cargo xtask test` also runs this program in dom0, whose kernel has Landlock, with `PVGRUB_WANTS_LANDLOCK` set: there a
//! lack of it is a failure.

mod scratch;

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;

use pvgrub::sandbox::{self, Landlock};
use scratch::Scratch;

/// A folder with files to be refused.
fn folder() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("open", "seen");
    scratch.write("closed", "unseen");
    scratch
}

/// Opens a file, puts up `walls`, reads on in that file, and returns what they are and the errors of opening, making,
/// removing and starting something.
fn behind<T: Send + 'static>(
    folder: &Scratch,
    walls: fn() -> Result<T, String>,
) -> (T, [Option<i32>; 4]) {
    let mut open = File::open(folder.path("open")).expect("a file");
    let (closed, fresh) = (folder.path("closed"), folder.path("fresh"));
    let program = std::env::current_exe().expect("this program");
    let thread = std::thread::spawn(move || {
        let walls = walls().expect("walls");
        let mut seen = String::new();
        open.read_to_string(&mut seen)
            .expect("what was open stays readable");
        assert_eq!(seen, "seen");
        let errors = [
            File::open(&closed).err(),
            std::fs::write(&fresh, b"x").err(),
            std::fs::remove_file(&closed).err(),
            Command::new(&program).spawn().err(),
        ];
        (walls, errors.map(|error| error?.raw_os_error()))
    });
    let ended = thread.join().expect("no panic");
    assert!(!folder.path("fresh").exists());
    assert!(folder.path("closed").exists());
    ended
}

/// What the kernel says where it is Landlock that refuses, and not seccomp.
const BY_LANDLOCK: Option<i32> = Some(libc::EACCES);
const BY_SECCOMP: Option<i32> = Some(libc::EPERM);

#[test]
fn landlock_alone_refuses() {
    let folder = folder();
    let probe = std::thread::spawn(sandbox::landlock)
        .join()
        .expect("no panic");
    match probe.expect("no error, with it or without") {
        Landlock::Version(_) => {
            let (landlock, errors) = behind(&folder, sandbox::landlock);
            assert_eq!(errors, [BY_LANDLOCK; 4]);
            println!("refused by {landlock:?}");
        }
        Landlock::Absent => {
            let is_wanted = std::env::var_os("PVGRUB_WANTS_LANDLOCK").is_some();
            assert!(!is_wanted, "this kernel has no Landlock");
            println!("SKIP this kernel has no Landlock");
        }
    }
}

#[test]
fn seccomp_alone_refuses() {
    let folder = folder();
    let ((), errors) = behind(&folder, sandbox::seccomp);
    assert_eq!(errors, [BY_SECCOMP; 4]);
}

#[test]
fn behind_both_nothing_can_be_opened_written_or_started() {
    let folder = folder();
    let (_, errors) = behind(&folder, sandbox::enter);
    assert_eq!(errors, [BY_SECCOMP; 4]);
    let mut writable = File::create(folder.path("written")).expect("a file");
    let refused = std::thread::spawn(move || {
        sandbox::enter().expect("walls");
        let memory = vec![1_u8; 64 << 20];
        assert_eq!(
            memory.iter().map(|byte| u64::from(*byte)).sum::<u64>(),
            64 << 20
        );
        [
            writable.write_all(b"x").err(),
            std::net::TcpStream::connect("127.0.0.1:1").err(),
        ]
        .map(|error| error.and_then(|error| error.raw_os_error()))
    });
    assert_eq!(refused.join().expect("no panic"), [BY_SECCOMP; 2]);
    assert_eq!(std::fs::read(folder.path("written")).expect("a file"), b"");
}
