//! `password`: asking for it, and comparing.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commands::boot::load_menu;
use crate::crypt;
use crate::error::{Code, Failure};
use crate::eval::{Access, Exit, Session};
use crate::keys::Key;
use crate::parse;
use crate::text::visible;
use crate::tree::{Command, Password};

/// How long a password is waited for, from key to key.
const TYPING_WAIT: Duration = Duration::from_secs(60);

/// What a wrong password costs: nothing is read meanwhile.
pub(crate) const WRONG_WAIT: Duration = Duration::from_secs(3);

/// Longest password that can be typed, in bytes; the original took 31.
const MAX_TYPED_BYTES: usize = 512;

/// `password …` in an entry or typed: asks, and fails unless it is right.
pub(crate) fn password(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let Some(password) = parse::password(&command.args) else {
        return Err(Failure::new(Code::BAD_ARGUMENT)
            .because("the password is missing")
            .into());
    };
    ask(session, &password)?;
    match password.file {
        Some(file) => load_menu(session, &file),
        None => Ok(()),
    }
}

/// `p` in the menu: asks for the menu's password; right, it unlocks the menu or leads to another.
pub(crate) fn unlock(session: &mut Session<'_>) -> Result<(), Exit> {
    let Some(password) = session.state.password.clone() else {
        return Ok(());
    };
    ask(session, &password)?;
    match password.file {
        Some(file) => load_menu(session, &file),
        None => {
            session.state.access = Access::Open;
            Ok(())
        }
    }
}

/// `md5crypt`: asks for a password and shows it as `password --md5` wants it.
pub(crate) fn md5crypt(session: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    session.print("Password: ");
    let typed = read_secret(session)?;
    // A salt need not be secret, only different from others: when the keys came is enough.
    let moment = session.terminal.now().as_nanos().to_le_bytes();
    let hash = crypt::hashed(&typed, &moment);
    session.print(&format!("\nEncrypted: {}\n", visible(&hash)));
    Ok(())
}

/// Asks for a password and fails with Error 32 unless it is the right one.
fn ask(session: &mut Session<'_>, password: &Password) -> Result<(), Exit> {
    session.print("Password: ");
    let typed = read_secret(session)?;
    session.print("\n");
    if crypt::matches(password, &typed) {
        return Ok(());
    }
    // Wrong ones cost time. What is typed meanwhile is lost, or it could be typed ahead.
    let deadline = session.after(WRONG_WAIT);
    while session.key(Some(deadline))?.is_some() {}
    Err(Failure::new(Code::PRIVILEGED)
        .because("wrong password")
        .into())
}

/// Reads a line without showing anything of it.
fn read_secret(session: &mut Session<'_>) -> Result<Vec<u8>, Exit> {
    let mut typed = Vec::new();
    loop {
        let deadline = session.after(TYPING_WAIT);
        match session.key(Some(deadline))? {
            Some(Key::Enter) => return Ok(typed),
            None | Some(Key::Escape | Key::Ctrl(b'c')) => return Err(Exit::Cancelled),
            Some(Key::Backspace) => drop(typed.pop()),
            Some(Key::Ctrl(b'u')) => typed.clear(),
            Some(Key::Char(byte)) if typed.len() < MAX_TYPED_BYTES => typed.push(byte),
            Some(_) => {}
        }
    }
}
