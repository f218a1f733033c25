//! The configuration file: its values as the flags that they stand for.

use std::{ffi::OsString, fs, path::Path};

use clap::{ArgMatches, Command, parser::ValueSource};
use toml::{Table, Value};

use crate::{Error, Result};

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// For each setting that counts: its name, and the flags that say the same.
pub(crate) type Args = Vec<(String, Vec<OsString>)>;

/// Reads the file at `path` for a role of `program`, leaving out what `given` (the command line and the environment) has
/// already, and what concerns other roles alone, so that one file can serve all of them.
///
/// # Errors
/// [`Error::Usage`] for a file that cannot be read or is no TOML, for a name that no role knows, and for a value that no flag
/// can have.
pub(crate) fn read(path: &Path, program: &Command, role: &str, given: &ArgMatches) -> Result<Args> {
    let refuse = |problem: String| Error::Usage(format!("--config {}: {problem}", path.display()));
    let table = parse(path).map_err(refuse)?;
    let Some(command) = program.find_subcommand(role) else { return Ok(Args::new()) };
    let stronger =
        |id: &str| matches!(given.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
    let mut args = Args::new();
    for (name, value) in &table {
        if matches!(name.as_str(), "config" | "print-config" | "help" | "version") {
            return Err(refuse(format!("`{name}` has no place in a file")));
        }
        let known = |command: &Command| command.get_arguments().any(|arg| arg.get_long() == Some(name));
        let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(name)) else {
            // Of a role, that is: what takes no file is told nothing by one.
            let takes_a_file = |command: &&Command| command.get_arguments().any(|arg| arg.get_long() == Some("config"));
            if program.get_subcommands().filter(takes_a_file).any(known) {
                continue;
            }
            return Err(refuse(format!("there is no setting `{name}`; `serve {role} --help` lists them")));
        };
        // An address in one piece and one in two parts are the same setting.
        let id = arg.get_id().as_str();
        let same: &[&str] = if matches!(id, "listen" | "host" | "port") { &["listen", "host", "port"] } else { &[id] };
        if same.iter().any(|id| stronger(id)) {
            continue;
        }
        let is_switch = !arg.get_action().takes_values();
        let flags = flags(name, value, is_switch).ok_or_else(|| {
            let wanted = if is_switch { "true or false" } else { "a text, a number, or a list of texts" };
            refuse(format!("`{name}` is no value that it can have; {wanted} is wanted"))
        })?;
        args.push((name.clone(), flags));
    }
    Ok(args)
}

fn parse(path: &Path) -> Result<Table, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_BYTES {
        return Err(format!("it has {size} bytes, which is no configuration"));
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
