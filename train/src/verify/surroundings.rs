//! Where a run takes place: all that must make no difference.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::lock::Holds;
use crate::console::{interrupt::Scratch, output, program};

/// A folder, a user, a time zone, a language, a number of threads and a width of vectors.
#[derive(Debug, Serialize)]
pub struct Surroundings {
    /// What a person calls them.
    name: &'static str,
    threads: u16,
    time_zone: &'static str,
    language: &'static str,
    /// What holds the vectors of the features down (`TONEARM_SIMD`); `None` for the widest.
    simd: Option<&'static str>,
    /// The user and group, where it is not that of this program.
    user: Option<u32>,
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip)]
    scratch: Scratch,
}

/// The surroundings of the runs, the plainest first; a new temporary folder for each.
///
/// With `any_user`, the second has another user where this program may choose one, which takes root.
///
/// # Errors
/// When temporary files cannot be written.
pub(super) fn all(any_user: bool) -> Result<Vec<Surroundings>> {
    let at = |name, folder: &str| -> Result<Surroundings> {
        let scratch = Scratch::new().context("failed to make a temporary folder")?;
        let folder = scratch.path().join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let (threads, time_zone, language) = (1, "UTC", "C");
        Ok(Surroundings { name, threads, time_zone, language, simd: None, user: None, folder, scratch })
    };
    let mut second = Surroundings {
        threads: 2,
        time_zone: "Pacific/Auckland",
        language: "fr_FR.UTF-8",
        ..at("2 threads, all else another", "elsewhere/où ça va")?
    };
    if any_user {
        second.become_another_user();
    }
    let third = Surroundings { threads: 2, simd: Some("scalar"), ..at("without SIMD", "scalar")? };
    Ok(vec![at("1 thread", "here")?, second, third])
}

impl Surroundings {
    /// What a person calls them.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The folder in which the run takes place.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether what holds so far only is computed here: with vectors held down, only what holds on any CPU.
    pub(super) fn computes(&self, holds: Holds) -> bool {
        holds == Holds::AnyCpu || self.simd.is_none()
    }

    /// Runs this program here with other arguments, to which the number of threads is added, to its end.
    ///
    /// # Errors
    /// When it cannot be started, or fails; says what it wrote.
    pub(super) fn train(&self, arguments: &[&str]) -> Result<()> {
        let what = || format!("train {}", arguments.join(" "));
        let mut command = self.command()?;
        command.args(arguments).args(["--threads", &self.threads.to_string()]);
        let ended = command.output().with_context(|| format!("failed to start {}", what()))?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            bail!("{} failed ({}; {}): {}", what(), self.name, ended.status, said.trim());
        }
        Ok(())
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.program()?;
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.to_string_lossy().starts_with("TONEARM_")) {
            command.env_remove(name);
        }
        let user = if self.user.is_some() { "another" } else { "one" };
        command
            .env_remove("RAYON_NUM_THREADS")
            .envs([("TZ", self.time_zone), ("LANG", self.language), ("LC_ALL", self.language)])
            .envs([("USER", user), ("LOGNAME", user)])
            .envs(["HOME", "TMPDIR"].map(|name| (name, &self.folder)))
            .envs(self.simd.map(|level| ("TONEARM_SIMD", level)))
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        Ok(command)
    }

    #[cfg(unix)]
    fn program(&self) -> Result<Command> {
        use std::os::unix::process::CommandExt as _;

        let own = program::command()?;
        Ok(match (self.user, own.as_slice()) {
            // Another user may not be able to reach the file by its path. Linux reaches it through the process.
            (Some(user), [_]) => {
                let mut command = Command::new("/proc/self/exe");
                command.uid(user).gid(user);
                command
            }
            (Some(user), own) => {
                let mut command = command_of(own);
                command.uid(user).gid(user);
                command
            }
            (None, own) => command_of(own),
        })
    }

    #[cfg(not(unix))]
    fn program(&self) -> Result<Command> {
        Ok(command_of(&program::command()?))
    }

    /// Gives the folder to another user and runs as that one from now on, where that can be done.
    #[cfg(unix)]
    fn become_another_user(&mut self) {
        use std::os::unix::fs::{MetadataExt as _, chown};

        /// The highest of 16 bits but one: `nobody` on most systems, and an unused id where it has no name.
        const NOBODY: u32 = 65_534;
        let is_root = fs::metadata(&self.folder).is_ok_and(|metadata| metadata.uid() == 0);
        if !is_root {
            return;
        }
        let within = self.folder.ancestors().take_while(|folder| folder.starts_with(self.scratch.path()));
        if within.map(|folder| chown(folder, Some(NOBODY), Some(NOBODY))).all(|given| given.is_ok()) {
            self.user = Some(NOBODY);
        }
        let started = self.command().and_then(|mut command| Ok(command.arg("--version").output()?));
        if !started.is_ok_and(|ended| ended.status.success()) {
            self.user = None;
            output::remark("all runs are of the same user, for another cannot run this program here");
        }
    }

    #[cfg(not(unix))]
    fn become_another_user(&mut self) {}
}

fn command_of(words: &[OsString]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
    command.args(words);
    command
}
