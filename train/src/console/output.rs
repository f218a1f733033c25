//! What `train` says: results on stdout, remarks on stderr, and neither ever panics as `println!` does.

use std::{
    io::{self, Write as _},
    path::Path,
    thread,
};

use anyhow::{Context as _, Result, bail};
use data::{DataFrame, LabelledDataset, Unused, UnusedCounts, Warned, WarnedCounts, tables};
use serde::Serialize;
use serde_json::{Value, json};

use crate::console::interrupt;

/// The program that reads stdout has ended, as `head` does when it has enough: no fault, and nothing to say.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output has closed it")]
pub struct ReaderGone;

/// Writes `text` to stdout as it is.
///
/// # Errors
/// [`ReaderGone`]; and what the operating system says, such as that a disk is full.
pub fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => written.context("failed to write to standard output"),
    }
}

/// Writes a line to stdout.
///
/// # Errors
/// Those of [`write`](fn@write).
pub fn line(text: impl Into<String>) -> Result<()> {
    let mut text = text.into();
    text.push('\n');
    write(&text)
}

/// Prints one JSON document on stdout.
///
/// # Errors
/// Those of [`write`](fn@write).
pub fn print_json(value: &impl Serialize) -> Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Writes a line to stderr, if anybody reads it.
pub fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Files that are named in text; `--json` names all.
const NAMED: usize = 10;

/// Says on stderr what a reader should know of a dataset: how many files are not used for which reason, how many are used although
/// something is wrong with them, the first of either by name, and its notes.
pub fn say_dataset(dataset: &LabelledDataset) {
    say_unused(dataset.unused());
    say_warned(dataset.warned());
    dataset.notes().iter().for_each(|note| remark(note));
}

/// Says on stderr how many files are not used for which reason, and names the first.
pub fn say_unused(unused: &[Unused]) {
    if unused.is_empty() {
        return;
    }
    let files = if unused.len() == 1 { "file is" } else { "files are" };
    remark(&format!("{} {files} not used: {}", unused.len(), UnusedCounts::of(unused)));
    name_files(unused, |Unused { reason, file, detail, .. }| format!("{file}: {reason}: {detail}"));
}

/// Says on stderr how many files are used although something is wrong with them, and names the first.
pub fn say_warned(warned: &[Warned]) {
    if warned.is_empty() {
        return;
    }
    let files = if warned.len() == 1 { "file is used and has" } else { "files are used and have" };
    remark(&format!("{} {files} warnings, which --strict leaves out: {}", warned.len(), WarnedCounts::of(warned)));
    name_files(warned, |warned| format!("{}: {warned}", warned.file));
}

/// Says on stderr the first of a list of files, and how many more there are.
fn name_files<T>(files: &[T], line: impl Fn(&T) -> String) {
    files.iter().take(NAMED).for_each(|file| remark(&format!("  {}", line(file))));
    if files.len() > NAMED {
        remark(&format!("  and {} more; --json names all", files.len() - NAMED));
    }
}

/// Files that are not used as JSON: `counts` by reason, and `files`, each with `file`, `reason` and `detail`.
#[must_use]
pub fn unused_json(unused: &[Unused]) -> Value {
    json!({ "counts": UnusedCounts::of(unused), "files": unused })
}

/// The same of files with warnings: `counts` by kind, and `files`, each with `file` and `warnings`.
#[must_use]
pub fn warnings_json(warned: &[Warned]) -> Value {
    json!({ "counts": WarnedCounts::of(warned), "files": warned })
}

/// The exit code of a program that did what it was told.
const SUCCESS: u8 = 0;
/// That of one that did not.
const FAILURE: u8 = 1;

/// The exit code of a program of this name, whose work gave `result`; an error is said on stderr. Does not return while an
/// interruption cleans up.
#[must_use]
pub fn end(program: &str, result: Result<()>) -> u8 {
    match result {
        Ok(()) => SUCCESS,
        Err(error) if error.is::<ReaderGone>() => SUCCESS,
        Err(_) if interrupt::is_ending() => loop {
            // The handler ends the program as soon as it has cleaned up.
            thread::park();
        },
        Err(error) => {
            remark(&format!("{program}: {}", one_line(&error)));
            FAILURE
        }
    }
}

/// The exit code of a program that ends with what its command line led to, which is printed: help, the version, or what is wrong with it.
#[must_use]
pub fn end_with(said: &clap::Error) -> u8 {
    // Nobody may read it.
    let _ = said.print();
    u8::try_from(said.exit_code()).unwrap_or(FAILURE)
}

/// An error and its causes in one line. A cause that the message before it ends with is not said again.
#[must_use]
pub fn one_line(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    // A file's name may hold anything.
    said.replace(['\n', '\r'], " ")
}

/// Writes a table as what the name of the file says.
///
/// # Errors
/// When that is neither Parquet nor CSV, or the file cannot be written.
pub fn write_table(frame: &mut DataFrame, path: &Path) -> Result<()> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => tables::write_parquet(frame, path)?,
        Some("csv") => tables::write_csv(frame, path)?,
        _ => bail!("{}: name a file that ends in .parquet or .csv", path.display()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow!("no space").context("failed to write a: no space").context("failed to keep the artifact");
        assert_eq!(super::one_line(&error), "failed to keep the artifact: failed to write a: no space");
    }
}
