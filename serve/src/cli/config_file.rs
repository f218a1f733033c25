//! The configuration file: settings as TOML, which go through the parser as if they were flags.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Args, Command, parser::ValueSource};
use etcetera::base_strategy::{BaseStrategy as _, Xdg};
use toml::{Table, Value};

use crate::{Error, Result};

/// Largest configuration file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The option of every command that has settings.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// TOML file with any options of any command, such as `queue = 16` [default: $XDG_CONFIG_HOME/tonearm/config.toml
    /// (~/.config/tonearm/config.toml), if it is there]
    #[arg(long, value_name = "FILE", env = "TONEARM_CONFIG")]
    config: Option<PathBuf>,
}

/// The configuration file that is read where none is named; `None` for a user without a home.
pub(super) fn default_file() -> Option<PathBuf> {
    Xdg::new().ok().map(|xdg| xdg.config_dir().join("tonearm").join("config.toml"))
}

/// What a file says for one command.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    is_named: bool,
    /// The name of each setting, and the flags that say the same.
    settings: Vec<(String, Vec<OsString>)>,
}

impl ConfigFile {
    /// Reads the file that `given` (the command line and the environment) names for the command `role` of `program`, else the one
    /// at `default` if it is there. Left out is what `given` has already, or excludes; and what concerns other commands alone, so
    /// that one file can serve all of them. `None` where there is no file, and for a command that reads none.
    ///
    /// # Errors
    /// [`Error::Usage`] for a file that cannot be read or is not TOML, for an unknown setting, and for a value that no flag can
    /// have.
    pub(super) fn read(
        program: &Command,
        role: &str,
        given: &ArgMatches,
        default: Option<PathBuf>,
    ) -> Result<Option<Self>> {
        let Some(command) = program.find_subcommand(role) else { return Ok(None) };
        let (path, is_named) = match given.try_get_one::<PathBuf>("config") {
            Ok(Some(path)) => (path.clone(), true),
            Ok(None) => match default.filter(|path| path.exists()) {
                Some(path) => (path, false),
                None => return Ok(None),
            },
            Err(_) => return Ok(None),
        };
        let mut file = Self { path, is_named, settings: Vec::new() };
        let table = parse(&file.path).map_err(|problem| file.refuse(&problem))?;
        for (name, value) in &table {
            if let Some(flags) = file.flags_of(program, command, given, name, value)? {
                file.settings.push((name.clone(), flags));
            }
        }
        Ok(Some(file))
    }

    /// The flags that a setting stands for; `None` for one that is left out.
    fn flags_of(
        &self,
        program: &Command,
        command: &Command,
        given: &ArgMatches,
        name: &str,
        value: &Value,
    ) -> Result<Option<Vec<OsString>>> {
        if matches!(name, "config" | "print-config" | "help" | "version") {
            return Err(self.refuse(&format!("`{name}` cannot be set in a file")));
        }
        let Some(arg) = option(command, name) else {
            let is_known = |command: &Command| option(command, "config").is_some() && option(command, name).is_some();
            if program.get_subcommands().any(is_known) {
                return Ok(None);
            }
            let role = command.get_name();
            return Err(self.refuse(&format!("unknown setting `{name}`; `serve {role} --help` lists the settings")));
        };
        let is_given = |arg: &Arg| {
            let source = given.value_source(arg.get_id().as_str());
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        if command.get_arguments().any(|other| is_given(other) && excludes(command, arg, other)) {
            return Ok(None);
        }
        let is_switch = !arg.get_action().takes_values();
        let flags = flags(name, value, is_switch).ok_or_else(|| {
            let expected = if is_switch { "true or false" } else { "a string, a number, or a list of strings" };
            self.refuse(&format!("`{name}` has the wrong type; expected {expected}"))
        })?;
        Ok(Some(flags))
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file was named, not found.
    pub(super) fn is_named(&self) -> bool {
        self.is_named
    }

    /// Whether a setting comes from the file.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.settings.iter().any(|(known, _)| known == name)
    }

    /// Its settings as flags.
    pub(super) fn flags(&self) -> impl Iterator<Item = OsString> {
        self.settings.iter().flat_map(|(_, flags)| flags.iter().cloned())
    }

    /// What is wrong with the file, as an error that names it.
    pub(super) fn refuse(&self, problem: &str) -> Error {
        let option = if self.is_named { "--config " } else { "" };
        Error::Usage(format!("{option}{}: {problem}", self.path.display()))
    }
}

/// The option of that long name.
fn option<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(name))
}

/// Whether one option cannot be beside the other: it is the same, or they conflict.
fn excludes(command: &Command, one: &Arg, other: &Arg) -> bool {
    let conflict =
        |a: &Arg, b: &Arg| command.get_arg_conflicts_with(a).iter().any(|found| found.get_id() == b.get_id());
    one.get_id() == other.get_id() || conflict(one, other) || conflict(other, one)
}

fn parse(path: &Path) -> Result<Table, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE {
        return Err(format!("it has {size} bytes, more than a configuration may have"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: toml::de::Error| error.to_string().trim_end().to_owned())
}

/// `--name=value` for each value; a switch is there or not.
fn flags(name: &str, value: &Value, is_switch: bool) -> Option<Vec<OsString>> {
    let flag = |text: String| OsString::from(format!("--{name}={text}"));
    match value {
        Value::Boolean(on) if is_switch => Some(if *on { vec![format!("--{name}").into()] } else { Vec::new() }),
        _ if is_switch => None,
        Value::String(text) => Some(vec![flag(text.clone())]),
        Value::Integer(number) => Some(vec![flag(number.to_string())]),
        Value::Float(number) => Some(vec![flag(number.to_string())]),
        Value::Array(values) => values.iter().map(|value| value.as_str().map(|text| flag(text.to_owned()))).collect(),
        _ => None,
    }
}
