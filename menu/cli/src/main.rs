//! `pvgrub`: see the library for what it does. Here are only the process's streams and its exit code.

use std::io::{BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use pvgrub::confine::Place;
use pvgrub::output::{ColorWishes, Patient};
use pvgrub::{Arguments, Ending, Io};

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let (output, errors) = (std::io::stdout(), std::io::stderr());
    let mut output_reader = (&output as &dyn IsTerminal).into();
    if let Some(guest) = arguments.guest() {
        let (place, reader) = Place::of_process();
        guest.place = place;
        output_reader = reader.unwrap_or(output_reader);
    }
    let errors_reader = (&errors as &dyn IsTerminal).into();
    let mut output = BufWriter::with_capacity(1 << 16, Patient::new(output.lock()));
    let mut errors = Patient::new(errors.lock());
    let result = pvgrub::run(
        &arguments,
        &mut Io {
            input: &mut std::io::stdin().lock(),
            output: &mut output,
            errors: &mut errors,
            output_reader,
            errors_reader,
            colors: ColorWishes::of_process(),
        },
    );
    match result.and_then(|ending| output.flush().map(|()| ending)) {
        Ok(ending) => ending.into(),
        Err(error) => {
            // Where even this cannot be said there is nobody to say it to.
            let _ = writeln!(errors, "pvgrub: cannot write: {error}");
            Ending::Unreadable.into()
        }
    }
}
