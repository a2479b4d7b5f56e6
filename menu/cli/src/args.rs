//! The command line, as clap reads it. `--help`, the manual pages and the completions all come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What the command line says.
#[derive(Clone, Parser, Debug)]
#[command(
    name = "pvgrub",
    version,
    about = "Says what pv-grub makes of a guest's menu, before anything runs",
    long_about = "Says what pv-grub makes of a guest's menu, before anything runs.\n\n\
        pvgrub is made of the loader's own parser, evaluator and screens: what it says is what the loader does.",
    after_long_help = "Exit codes: 0 nothing to complain about, 1 something was found, 2 something could not be read.",
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
    /// In which manner.
    #[command(flatten)]
    pub manner: Manner,
}

/// What every subcommand takes.
#[derive(Clone, Args, Default, Debug)]
pub struct Manner {
    /// When to use colour; `auto` also heeds NO_COLOR
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
    /// Say less: no summary, no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// When to do something that only suits a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, ValueEnum)]
pub enum When {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What can be done.
#[derive(Clone, Subcommand, Debug)]
pub enum Action {
    /// Draw a menu as the loader would, and list what its entries do
    #[command(after_long_help = SHOW_EXAMPLES)]
    Show(ShowOptions),
    /// Print a shell's completions
    #[command(after_long_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsOptions),
    /// Print the manual pages, or write them into a folder
    #[command(after_long_help = MAN_EXAMPLES)]
    Man(ManOptions),
}

const SHOW_EXAMPLES: &str = "Examples:\n  \
    pvgrub show /boot/grub/menu.lst\n  \
    pvgrub show --entry 2 menu.lst\n  \
    pvgrub show --format json menu.lst | jq '.entries[].title'";

const COMPLETIONS_EXAMPLES: &str = "Examples:\n  \
    pvgrub completions bash > /usr/share/bash-completion/completions/pvgrub\n  \
    pvgrub completions zsh > /usr/share/zsh/site-functions/_pvgrub";

const MAN_EXAMPLES: &str = "Examples:\n  \
    pvgrub man | man -l -\n  \
    pvgrub man --dir /usr/share/man/man1";

/// Options of `show`.
#[derive(Clone, Args, Debug)]
pub struct ShowOptions {
    /// The menu; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Highlight this entry, from 0, instead of the default one
    #[arg(long, value_name = "NUMBER")]
    pub entry: Option<usize>,
    /// Columns of the terminal that is drawn for
    #[arg(long, default_value_t = 80, value_name = "N", value_parser = clap::value_parser!(u16).range(40..=240))]
    pub columns: u16,
    /// Rows of it
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(15..=100))]
    pub rows: u16,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = ShowFormat::Human, value_name = "FORMAT")]
    pub format: ShowFormat,
}

/// Formats of `show`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ShowFormat {
    /// The page, and the entries below it
    Human,
    /// One JSON object
    Json,
}

/// Options of `completions`.
#[derive(Clone, Args, Debug)]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Clone, Args, Debug)]
pub struct ManOptions {
    /// Write one page for each subcommand into this folder
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}
