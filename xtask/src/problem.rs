//! The one error of xtask: a chain of sentences for the person at the terminal.
//!
//! [`Context`] puts a sentence in front of any error, so that "no such file" always says which file.

use std::fmt;

/// What went wrong, outermost sentence first.
#[derive(Debug)]
pub(crate) struct Problem(String);

/// The result of nearly every function here.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// A problem described by `text`: lower case, no full stop.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Problem(text.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Problem(error.to_string())
    }
}

/// Adds what was being done to an error.
pub(crate) trait Context<T> {
    /// Puts the sentence that `what` returns in front of the error.
    ///
    /// # Errors
    /// The same case as the receiver, with more words.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Problem(format!("{}: {error}", what().into())))
    }
}

impl<T> Context<T> for Option<T> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.ok_or_else(|| Problem(what().into()))
    }
}
