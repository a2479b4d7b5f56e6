//! The command line, as clap reads it. `--help`, the manual pages and the completions all come from here.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::confine::Place;
use crate::disk::DiskArgument;
use crate::lint::rule::Level;
use crate::sandbox::Limits;

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

impl Arguments {
    /// What reads a guest's disks here, if anything does.
    pub fn guest(&mut self) -> Option<&mut GuestOptions> {
        match &mut self.action {
            Action::Check(options) => Some(&mut options.guest),
            Action::Generate(options) => Some(&mut options.guest),
            _ => None,
        }
    }
}

/// What every subcommand takes.
#[derive(Clone, Args, Default, Debug)]
pub struct Manner {
    /// When to use colour; `auto` heeds NO_COLOR, CLICOLOR and CLICOLOR_FORCE
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
    /// Say whether a guest would boot, and what exactly would start
    #[command(after_long_help = CHECK_EXAMPLES)]
    Check(CheckOptions),
    /// Look for what is wrong with menus
    #[command(after_long_help = LINT_EXAMPLES)]
    Lint(LintOptions),
    /// Print a menu.lst made from a guest's grub.cfg, BLS entries or extlinux.conf
    #[command(after_long_help = GENERATE_EXAMPLES)]
    Generate(GenerateOptions),
    /// Print menus in canonical form
    #[command(after_long_help = FMT_EXAMPLES)]
    Fmt(FmtOptions),
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

const CHECK_EXAMPLES: &str = "Examples:\n  \
    pvgrub check guest.img\n  \
    pvgrub check --memory 512 --extra '(hd0,0)/boot/grub/menu.lst' xvda=/dev/vg0/guest xvdb=data.img\n  \
    pvgrub check --menu new-menu.lst guest.img\n  \
    pvgrub check --format json guest.img | jq -r .verdict\n\n\
    Exit codes: 0 it boots, 1 it would not, 2 nobody knows: something cannot be read, or is on the network, which is not tried.";

const LINT_EXAMPLES: &str = "Examples:\n  \
    pvgrub lint /boot/grub/menu.lst\n  \
    pvgrub lint --fix --allow no-console /srv/guests/*/menu.lst\n  \
    pvgrub lint --format sarif menus/*.lst > menus.sarif\n  \
    pvgrub lint --explain default-fails\n  \
    ssh guest cat /boot/grub/menu.lst | pvgrub lint -\n\n\
    Comments allow rules: `# pvgrub: allow(RULE)` before a command or a title, `# pvgrub: allow-file(RULE)` anywhere.\n\
    The nearest .pvgrub.toml in the menu's folder or above it sets levels:\n\n  \
    fail-on = \"error\"\n  \
    [rules]\n  \
    no-timeout = \"allow\"\n\n\
    Exit codes: 0 clean, 1 findings of the level of --fail-on or graver, 2 something could not be read.";

const GENERATE_EXAMPLES: &str = "Examples:\n  \
    pvgrub generate guest.img > menu.lst\n  \
    pvgrub generate guest.img | pvgrub check --menu - guest.img\n\n\
    Exit codes: 0 a menu was printed, 1 there is nothing to make one of, 2 something cannot be read.";
const FMT_EXAMPLES: &str = "Examples:\n  \
    pvgrub fmt menu.lst\n  \
    pvgrub fmt --write /srv/guests/*/menu.lst\n  \
    pvgrub fmt --check menus/*.lst";

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

/// Options of `check`.
#[derive(Clone, Args, Debug)]
pub struct CheckOptions {
    /// The disks, and how they are read.
    #[command(flatten)]
    pub guest: GuestOptions,
    /// A menu on the host that stands in for the guest's own; `-` is standard input
    #[arg(long, value_name = "PATH", conflicts_with = "ramdisk")]
    pub menu: Option<PathBuf>,
    /// `extra` of the domain's configuration
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub extra: String,
    /// `ramdisk` of the domain's configuration: the menu; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub ramdisk: Option<PathBuf>,
    /// Memory of the domain; 4096 where it is not given
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    pub memory: Option<u64>,
    /// The domain has a network interface: the DHCP server is asked for a menu before the disks, so without a path in `extra`
    /// there is no verdict
    #[arg(long)]
    pub vif: bool,
    /// Read of kernels the headers alone, and of initrds nothing: fast, and blind to Xen's notes and to damage
    #[arg(long)]
    pub quick: bool,
    /// The loader that the domain is started with
    #[arg(long, value_enum, default_value_t = CheckImage::Auto, value_name = "IMAGE")]
    pub image: CheckImage,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = CheckFormat::Human, value_name = "FORMAT")]
    pub format: CheckFormat,
}

/// Options of `generate`.
#[derive(Clone, Args, Debug)]
pub struct GenerateOptions {
    /// The disks, and how they are read.
    #[command(flatten)]
    pub guest: GuestOptions,
}

/// A guest's disks, and what reading them may cost.
#[derive(Clone, Args, Debug)]
pub struct GuestOptions {
    /// The guest's disks, PATH or NAME=PATH (xvda, xvdb and so on where no name is given), raw or qcow2; only read, never
    /// locked
    #[arg(value_name = "DISK", required = true, value_parser = OsStringValueParser::new().try_map(|word| DiskArgument::read(&word)))]
    pub disks: Vec<DiskArgument>,
    /// Sector size of image files; block devices say their own
    #[arg(long, value_name = "BYTES", default_value_t = 512, value_parser = sector_size)]
    pub sector_size: u32,
    /// Open the backing files that qcow2 images name, where they lie below FOLDER; whoever wrote an image chose the names
    #[arg(long, value_name = "FOLDER")]
    pub backing_files: Vec<PathBuf>,
    /// What it may take: memory=MIB, time=SECONDS, or both with a comma
    #[arg(long, value_name = "LIMITS", default_value_t = Limits::USUAL)]
    pub limits: Limits,
    /// Stay in one process, with every right that it has: to debug
    #[arg(long)]
    pub no_sandbox: bool,
    /// In which process this is.
    #[arg(skip)]
    pub place: Place,
}

fn sector_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size @ (512 | 1024 | 2048 | 4096)) => Ok(size),
        _ => Err("512, 1024, 2048 or 4096".into()),
    }
}

/// Which loader a domain is started with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CheckImage {
    /// The one that the kernel wants
    Auto,
    /// pv-grub-x86_64.gz
    #[value(name = "x86_64")]
    X86_64,
    /// pv-grub-x86_32.gz
    #[value(name = "x86_32")]
    X86_32,
}

/// Formats of `check`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CheckFormat {
    /// The verdict, and how it comes about
    Human,
    /// One JSON object
    Json,
}

/// Options of `lint`.
#[derive(Clone, Args, Debug)]
pub struct LintOptions {
    /// The menus; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["explain", "rules"])]
    pub files: Vec<PathBuf>,
    /// Explain a rule, with examples
    #[arg(long, value_name = "RULE", conflicts_with = "files")]
    pub explain: Option<String>,
    /// List the rules
    #[arg(long, conflicts_with_all = ["files", "explain"])]
    pub rules: bool,
    /// Do not look for this rule; `all` is every rule
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// Take what breaks this rule for a note
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub note: Vec<String>,
    /// Take it for a warning
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub warn: Vec<String>,
    /// Take it for an error
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub deny: Vec<String>,
    /// Exit with 1 from this level on [default: warning]
    #[arg(long, value_name = "LEVEL", value_parser = fail_on)]
    pub fail_on: Option<Level>,
    /// Make the fixes that change nothing for the loader; of standard input, the result goes to standard output
    #[arg(long, conflicts_with = "diff")]
    pub fix: bool,
    /// Show what --fix would change, and change nothing
    #[arg(long)]
    pub diff: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = LintFormat::Human, value_name = "FORMAT")]
    pub format: LintFormat,
    /// Findings that are shown of one file
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_findings: usize,
    /// Settings, instead of the nearest .pvgrub.toml
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    pub config: Option<PathBuf>,
    /// Look for no settings
    #[arg(long)]
    pub no_config: bool,
}

impl LintOptions {
    /// Whether findings are written, and not a menu or a difference.
    #[must_use]
    pub fn shows_findings(&self) -> bool {
        let to_output = self.fix && self.files.iter().any(|file| file.as_os_str() == "-");
        !self.diff && !to_output
    }
}

fn fail_on(word: &str) -> Result<Level, String> {
    match word {
        "note" => Ok(Level::Note),
        "warning" => Ok(Level::Warning),
        "error" => Ok(Level::Error),
        _ => Err("a level is note, warning or error".into()),
    }
}

/// Formats of `lint`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LintFormat {
    /// The lines, as a compiler shows them
    Human,
    /// A JSON object for each finding, a line each
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// Annotations of GitHub's workflows
    Github,
}

/// Options of `fmt`.
#[derive(Clone, Args, Debug)]
pub struct FmtOptions {
    /// The menus; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Only name the files that are not in canonical form, and exit with 1 where there are any
    #[arg(long)]
    pub check: bool,
    /// Write the files instead of printing them
    #[arg(long, conflicts_with = "check")]
    pub write: bool,
}

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
