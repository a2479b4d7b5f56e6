//! Runs the program inside the test: a command line and an input go in, what it wrote comes out.

use clap::Parser;
use pvgrub::output::Reader;
use pvgrub::{Arguments, Ending, Io};

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) ending: Ending,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) errors: String,
}

/// Runs `pvgrub` with these words and this standard input, nobody at a terminal.
pub(crate) fn run(words: &[&str], input: &[u8]) -> Ran {
    let words = std::iter::once("pvgrub").chain(words.iter().copied());
    let arguments = Arguments::try_parse_from(words).expect("a right command line");
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut input = input;
    let ending = pvgrub::run(
        &arguments,
        &mut Io {
            input: &mut input,
            output: &mut output,
            errors: &mut errors,
            output_reader: Reader::Other,
            errors_reader: Reader::Other,
            colors: pvgrub::output::ColorWishes::default(),
        },
    );
    Ran {
        ending: ending.expect("memory can be written"),
        output: String::from_utf8_lossy(&output).into_owned(),
        errors: String::from_utf8_lossy(&errors).into_owned(),
    }
}
