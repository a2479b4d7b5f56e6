//! `pvgrub`: what the loader makes of a guest's menu, said on the host and before anything runs.
//!
//! The loader's own rooms do the work: `menu` parses, evaluates and draws. Each subcommand is a module with a function
//! `run` that takes its options and an [`Io`] and says by its [`Ending`] how it went: [`lint`] looks for what is wrong with menus, [`show`] draws one, [`fmt`](mod@fmt) prints
//! one in canonical form;
//! [`manual`] writes what a package needs. [`args`] is the command line, [`input`] reads files, [`output`] knows about
//! terminals and colours.
#![forbid(unsafe_code)]

pub mod args;
mod backing;
pub mod check;
pub mod confine;
pub mod disk;
pub mod ending;
pub mod fmt;
pub mod generate;
pub mod input;
pub mod lint;
pub mod manual;
pub mod output;
pub mod progress;
mod qcow2;
pub mod sandbox;
pub mod show;

pub use args::Arguments;
pub use ending::Ending;
pub use output::Io;

/// Does what the command line says.
///
/// # Errors
/// When the output cannot be written.
pub fn run(arguments: &Arguments, io: &mut Io<'_>) -> std::io::Result<Ending> {
    let manner = &arguments.manner;
    match &arguments.action {
        args::Action::Check(options) => check::run(options, manner, io),
        args::Action::Lint(options) => lint::run(options, manner, io),
        args::Action::Generate(options) => generate::run(options, manner, io),
        args::Action::Fmt(options) => fmt::run(options, manner, io),
        args::Action::Show(options) => show::run(options, manner, io),
        args::Action::Completions(options) => manual::completions(options, io),
        args::Action::Man(options) => manual::pages(options, io),
    }
}
