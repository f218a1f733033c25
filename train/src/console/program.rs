//! How this program starts itself.

use std::{env, ffi::OsString, sync::OnceLock};

use anyhow::{Context as _, Result};

static COMMAND: OnceLock<Vec<OsString>> = OnceLock::new();

/// From now on the program starts itself by this command: a file, and arguments that come before all others. For a program that lives in the
/// process of another, such as an interpreter. The first call counts.
pub fn starts_by(command: Vec<OsString>) {
    let _ = COMMAND.set(command);
}

/// How the program starts itself: the file of this process, unless [`starts_by`] said otherwise.
///
/// # Errors
/// When the system does not say which file that is.
pub fn command() -> Result<Vec<OsString>> {
    match COMMAND.get() {
        Some(command) => Ok(command.clone()),
        None => Ok(vec![env::current_exe().context("failed to find this program's own file")?.into_os_string()]),
    }
}
