//! Commands that load and start things.

use alloc::format;
use alloc::vec::Vec;

use crate::error::{Code, Failure};
use crate::eval::{Exit, Loaded, MAX_KERNEL_ARGS, MAX_MENU_BYTES, Session, Source};
use crate::lexer::{quoted_word, split_word, words};
use crate::machine::{KernelOptions, Unzip, Verify};
use crate::run::Outcome;
use crate::text::visible;
use crate::tree::Command;

pub(crate) fn root(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    set_root(session, command, Verify::Mount)
}

pub(crate) fn rootnoverify(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    set_root(session, command, Verify::SetOnly)
}

fn set_root(session: &mut Session<'_>, command: &Command, verify: Verify) -> Result<(), Exit> {
    let (device, _) = quoted_word(&command.args);
    if device.is_empty() {
        let root = session.machine.root();
        session.print(&format!(" {}\n", visible(&root)));
        return Ok(());
    }
    let reply = session.machine.set_root(&device, verify);
    session.note(reply)
}

pub(crate) fn uuid(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (uuid, _) = split_word(&command.args);
    if uuid.is_empty() {
        return Err(Code::BAD_ARGUMENT.into());
    }
    let reply = session
        .machine
        .set_root(&[b"UUID=", uuid].concat(), Verify::Mount);
    session.note(reply)
}

pub(crate) fn kernel(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let mut options = KernelOptions::default();
    let mut rest = command.args.as_slice();
    let (file, args) = loop {
        let (word, more) = split_word(rest);
        if let Some(image_type) = word.strip_prefix(b"--type=") {
            options.image_type = Some(image_type.to_vec());
        } else if word == b"--no-mem-option" {
            options.no_mem_option = true;
        } else if word.starts_with(b"--") {
            return Err(Failure::new(Code::BAD_ARGUMENT)
                .because(format!("{} is not an option of `kernel`", visible(word)))
                .into());
        } else {
            break (word, more);
        }
        rest = more;
    };
    let file = file_name(file)?;
    let args = join_args(args, &session.state.append);
    // Whatever was loaded before is gone even if this fails: the machine forgets it first.
    session.state.loaded = Loaded::Nothing;
    let reply = session.machine.load_kernel(file, &args, &options);
    session.note(reply)?;
    session.state.loaded = Loaded::Kernel;
    if args.len() > MAX_KERNEL_ARGS {
        let len = args.len();
        session.print(&format!(
            "Warning: the command line has {len} bytes; the guest can be handed {MAX_KERNEL_ARGS}, the rest is cut off\n"
        ));
    }
    Ok(())
}

/// The menu's arguments, then those from the domain's configuration.
fn join_args(args: &[u8], append: &[u8]) -> Vec<u8> {
    let mut joined = args.to_vec();
    if !append.is_empty() {
        if !joined.is_empty() && joined.last() != Some(&b' ') {
            joined.push(b' ');
        }
        joined.extend_from_slice(append);
    }
    joined
}

pub(crate) fn initrd(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let mut files = words(&command.args).peekable();
    if files.peek().is_none() {
        return Err(missing_file().during("initrd").into());
    }
    for file in files {
        let reply = session.machine.add_initrd(file);
        let reply = reply.map_err(|failure| failure.during(&format!("initrd {}", visible(file))));
        session.note(reply)?;
    }
    Ok(())
}

pub(crate) fn module(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    add_module(session, command, Unzip::IfGzip)
}

pub(crate) fn module_as_is(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    add_module(session, command, Unzip::Never)
}

fn add_module(session: &mut Session<'_>, command: &Command, unzip: Unzip) -> Result<(), Exit> {
    let (file, _) = split_word(&command.args);
    let file = file_name(file)?;
    let reply = session.machine.add_module(file, &command.args, unzip);
    session.note(reply)
}

pub(crate) fn boot(session: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    if session.state.loaded == Loaded::Nothing {
        return Err(Failure::new(Code::KERNEL_NEEDED)
            .because("load one with `kernel FILE`")
            .into());
    }
    session.machine.boot()?;
    Err(Exit::Outcome(Outcome::Booted))
}

pub(crate) fn chainloader(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let file = words(&command.args)
        .find(|word| !word.starts_with(b"--"))
        .unwrap_or_default();
    let reply = session.machine.chainload(file_name(file)?);
    session.note(reply)?;
    session.state.loaded = Loaded::Kernel;
    Ok(())
}

pub(crate) fn configfile(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (file, _) = split_word(&command.args);
    load_menu(session, file_name(file)?)
}

/// Reads another menu; the result is where that leads.
pub(crate) fn load_menu(session: &mut Session<'_>, file: &[u8]) -> Result<(), Exit> {
    let text = session.machine.read_file(file, MAX_MENU_BYTES)?;
    session.machine.enter_menu(file);
    Err(Exit::Load(Source {
        name: file.to_vec(),
        text,
    }))
}

pub(crate) fn halt(_: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    Err(Exit::Outcome(Outcome::Halt))
}

pub(crate) fn reboot(_: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    Err(Exit::Outcome(Outcome::Reboot))
}

/// A file's name, which may not be missing.
pub(crate) fn file_name(word: &[u8]) -> Result<&[u8], Failure> {
    if word.is_empty() {
        Err(missing_file())
    } else {
        Ok(word)
    }
}

fn missing_file() -> Failure {
    Failure::new(Code::FILE_NAME).because("a file's name is missing")
}
