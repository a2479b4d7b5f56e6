//! `pvgrub man` and `pvgrub completions`: what a package installs beside the program, made from the same tree as
//! `--help`.

use std::io;

use clap::CommandFactory;

use crate::args::{Arguments, CompletionsOptions, ManOptions};
use crate::ending::Ending;
use crate::output::Io;

/// Prints a shell's completions.
///
/// # Errors
/// When they cannot be written.
pub fn completions(options: &CompletionsOptions, io: &mut Io<'_>) -> io::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(
        options.shell,
        &mut Arguments::command(),
        "pvgrub",
        &mut script,
    );
    io.output.write_all(&script)?;
    Ok(Ending::Clean)
}

/// Prints the main page, or writes all of them as `pvgrub.1`, `pvgrub-show.1` and so on.
///
/// # Errors
/// When standard output cannot be written; a folder that cannot be is complained about.
pub fn pages(options: &ManOptions, io: &mut Io<'_>) -> io::Result<Ending> {
    // `help` has nothing to say that the pages do not.
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = &options.dir else {
        clap_mangen::Man::new(command).render(io.output)?;
        return Ok(Ending::Clean);
    };
    match clap_mangen::generate_to(command, folder) {
        Ok(()) => Ok(Ending::Clean),
        Err(error) => {
            io.complain(&format!("{}: {error}", folder.display()))?;
            Ok(Ending::Unreadable)
        }
    }
}
