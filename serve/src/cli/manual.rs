//! `serve completions` and `serve man`: what a package puts beside the program.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, SUCCESS};
use crate::{Error, Result};

/// The name of the program.
const PROGRAM: &str = "serve";

/// Options of `serve completions`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  serve completions bash > ~/.local/share/bash-completion/completions/serve\n  \
                        serve completions zsh > \"${fpath[1]}/_serve\"\n  \
                        serve completions fish > ~/.config/fish/completions/serve.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Options of `serve man`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  serve man | man -l -\n  serve man classify | man -l -\n  serve man --out /usr/local/share/man/man1"
)]
pub struct ManArgs {
    /// The command whose page is printed [default: the program]
    #[arg(conflicts_with = "out")]
    command: Option<String>,

    /// Write the pages of the program and of all its commands into this folder, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the script for a shell. Gives the exit code.
///
/// # Errors
/// [`Error::Write`] when standard output fails.
pub fn completions(args: &CompletionsArgs) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), PROGRAM, &mut script);
    print(&script)
}

/// Prints a page of the manual, or writes all of them. Gives the exit code.
///
/// # Errors
/// [`Error::Usage`] for a command that does not exist; [`Error::Write`] when a page cannot be written.
pub fn man(args: &ManArgs) -> Result<u8> {
    if let Some(out) = &args.out {
        return write_all(out).map(|()| SUCCESS).map_err(failed(&out.display().to_string()));
    }
    // Of a command, once it is built, the name is that of its page: `serve-classify`.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => program.find_subcommand(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
            Error::Usage(format!("unknown command `{name}`; there are: {}", known.join(", ")))
        })?,
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text).map_err(failed("the manual"))?;
    print(&text)
}

fn write_all(out: &Path) -> io::Result<()> {
    fs::create_dir_all(out)?;
    clap_mangen::generate_to(Cli::command(), out)
}

/// Writes to standard output.
pub(super) fn print(text: &[u8]) -> Result<u8> {
    let mut stdout = io::stdout();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        // The reader has enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(SUCCESS),
        written => written.map(|()| SUCCESS).map_err(failed("standard output")),
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> Error {
    let what = what.to_owned();
    move |source| Error::Write { what, source }
}
