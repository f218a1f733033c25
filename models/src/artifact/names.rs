//! Names that come from a file are used as paths only in the one form that this program writes.

use crate::{Error, Result};

/// Digits of a version.
pub(super) const VERSION_DIGITS: usize = 12;

/// The version that the text of `CURRENT` or `PINNED` names, which is a line.
///
/// # Errors
/// [`Error::Name`].
pub fn version_in(text: &str) -> Result<&str> {
    check_version(text.strip_suffix('\n').unwrap_or(text))
}

/// A version: 12 lower-case hexadecimal digits.
///
/// # Errors
/// [`Error::Name`].
pub fn check_version(name: &str) -> Result<&str> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    check(
        name.len() == VERSION_DIGITS && name.bytes().all(digit),
        "the version",
        name,
        "a version is 12 hexadecimal digits in lower case",
    )
}

/// A kind of model, as `artifact.json` has it.
///
/// # Errors
/// [`Error::Name`].
pub fn check_kind(name: &str) -> Result<&str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    check(
        (1..=32).contains(&name.len()) && name.bytes().all(allowed),
        "the kind of model",
        name,
        "it is 1 to 32 of the characters a–z, 0–9, `-` and `_`",
    )
}

/// The name of a model, which is that of its folder. It is not that of a version, so that a folder of a model is never taken for one.
///
/// # Errors
/// [`Error::Name`].
pub fn check_model(name: &str) -> Result<&str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    check(
        (1..=64).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with('.')
            && check_version(name).is_err(),
        "the model name",
        name,
        "it is 1 to 64 of the characters a–z, 0–9, `-`, `_` and `.`, does not begin with `.`, and is not 12 hexadecimal \
         digits, which name a version",
    )
}

/// A file of an artifact other than its manifest.
///
/// # Errors
/// [`Error::Name`].
pub fn check_file(name: &str) -> Result<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    check(
        (1..=64).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with('.')
            && !name.eq_ignore_ascii_case(super::MANIFEST),
        "the file name",
        name,
        "it is 1 to 64 of the characters A–Z, a–z, 0–9, `-`, `_` and `.`, does not begin with `.`, and is not artifact.json",
    )
}

fn check<'a>(ok: bool, what: &'static str, name: &'a str, rule: &'static str) -> Result<&'a str> {
    if ok { Ok(name) } else { Err(Error::Name { what, name: name.to_owned(), rule }) }
}
