//! `value; name=token; name="quoted"`: the form of Content-Type and Content-Disposition (RFC 9110, 5.6.6).

use std::borrow::Cow;

/// The parameters of a header, read as they are asked for. Works on bytes: a file name may be in any encoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    /// Splits `value; parameters`.
    pub(super) fn split(header: &'a [u8]) -> (&'a [u8], Self) {
        let end = header.iter().position(|&byte| byte == b';').unwrap_or(header.len());
        let (value, rest) = header.split_at(end);
        (value.trim_ascii(), Self(rest))
    }

    /// The first parameter of that name, without its quotes. Names are compared without regard to case.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let mut rest = self.0;
        while let Some(after) = rest.strip_prefix(b";") {
            let equals = after.iter().position(|byte| matches!(byte, b'=' | b';'))?;
            let (found, after) = after.split_at(equals);
            let Some(after) = after.strip_prefix(b"=") else {
                // A word without a value.
                rest = after;
                continue;
            };
            let (value, after) = read_value(after)?;
            if found.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) {
                return Some(value);
            }
            rest = after;
        }
        None
    }
}

/// Reads a token or a quoted string, and gives what follows, from the next `;` on.
fn read_value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(quoted) = text.trim_ascii_start().strip_prefix(b"\"") else {
        let end = text.iter().position(|&byte| byte == b';').unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        return Some((Cow::Borrowed(token.trim_ascii()), rest));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((index, &byte)) = bytes.next() {
        match byte {
            b'"' => {
                let after = quoted.get(index + 1..).unwrap_or_default();
                let next = after.iter().position(|&byte| byte == b';').unwrap_or(after.len());
                return Some((Cow::Owned(value), after.get(next..).unwrap_or_default()));
            }
            // A backslash quotes a quote or itself; before anything else it is one (file names of Windows).
            b'\\' => match quoted.get(index + 1) {
                Some(&escaped @ (b'"' | b'\\')) => {
                    value.push(escaped);
                    bytes.next();
                }
                _ => value.push(byte),
            },
            _ => value.push(byte),
        }
    }
    // Never closed.
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(header: &str, name: &str) -> Option<String> {
        let (_, parameters) = Parameters::split(header.as_bytes());
        parameters.get(name).map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn parameters_are_found_whatever_stands_before_them() {
        for header in [
            "form-data; name=audio_file",
            "form-data;NAME=\"audio_file\"",
            "form-data; filename=\"a; name=\\\"x\\\".wav\"; name=\"audio_file\"",
            "form-data; flag; name = \"audio_file\" ; filename*=UTF-8''x",
            "form-data; filename=\"C:\\music\\a.wav\"; name=audio_file",
        ] {
            assert_eq!(get(header, "name").as_deref(), Some("audio_file"), "{header}");
        }
        assert_eq!(get("form-data; filename=\"C:\\music\\a.wav\"", "filename").as_deref(), Some("C:\\music\\a.wav"));
    }

    #[test]
    fn what_is_broken_has_no_parameter() {
        for header in
            ["", ";", "form-data", "form-data; name", "form-data; name=\"audio_file", "form-data name=audio_file"]
        {
            assert_eq!(get(header, "name"), None, "{header}");
        }
        assert_eq!(get("form-data; name=", "name").as_deref(), Some(""));
    }
}
