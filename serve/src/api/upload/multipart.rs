//! `multipart/form-data` (RFC 7578, RFC 2046) of a whole body.
//!
//! Parts are ranges of the body, so the audio in a form of 64 MiB is never copied, and the time is linear in the body. A
//! stream parser (multer, as in axum) copies the body and rejects forms that clients send: see
//! `docs/decisions/0015-gateway.md`.

use std::{borrow::Cow, ops::Range};

use axum::body::Bytes;
use memchr::memmem;

use crate::Rejection;

/// Parts of one form.
const MAX_PARTS: usize = 64;
/// Bytes of the head of one part.
const MAX_PART_HEAD: usize = 16 << 10;

/// One field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The field's name.
    pub(super) name: Vec<u8>,
    /// The client's name of the file; empty without one.
    pub(super) file_name: Vec<u8>,
    /// The range of its content in the body.
    pub(super) content: Range<usize>,
    /// Whether the content is encoded (`Content-Transfer-Encoding`, which RFC 7578 has removed), so that it is not the file itself.
    pub(super) is_encoded: bool,
}

impl Part {
    /// Its content, where it is the file itself.
    ///
    /// # Errors
    /// [`Rejection::BadMultipart`].
    pub(super) fn file(self, body: &Bytes) -> Result<Bytes, Rejection> {
        if self.is_encoded {
            let problem = "the part of the audio has a Content-Transfer-Encoding, which RFC 7578 has removed; send its bytes as they are";
            return Err(Rejection::BadMultipart { problem });
        }
        Ok(body.slice(self.content))
    }
}

/// What is read of the head of a part.
struct Head {
    name: Vec<u8>,
    file_name: Vec<u8>,
    is_encoded: bool,
}

/// Splits a form into its parts.
///
/// # Errors
/// [`Rejection::BadMultipart`].
pub(super) fn parse(body: &[u8], boundary: &[u8]) -> Result<Vec<Part>, Rejection> {
    parts(body, boundary).map_err(|problem| Rejection::BadMultipart { problem })
}

fn parts(body: &[u8], boundary: &[u8]) -> Result<Vec<Part>, &'static str> {
    let delimiters = Delimiters::new(body, boundary);
    let mut found = Vec::new();
    let mut delimiter = delimiters.first().ok_or("the boundary that Content-Type names is not in the body")?;
    while !delimiter.closes {
        if found.len() == MAX_PARTS {
            return Err("it has over 64 parts");
        }
        let start = delimiter.end;
        let content = start + head_len(body.get(start..).unwrap_or_default())?;
        // The line break after an empty head may be the one that begins the next delimiter.
        let next = delimiters.after(content.saturating_sub(2)).ok_or("it ends before the closing boundary")?;
        let end = next.start.max(content);
        let Head { name, file_name, is_encoded } = read_head(body.get(start..content).unwrap_or_default())?;
        found.push(Part { name, file_name, content: content..end, is_encoded });
        delimiter = next;
    }
    Ok(found)
}

/// Length of a part's head in bytes, with its empty line.
fn head_len(part: &[u8]) -> Result<usize, &'static str> {
    let window = part.get(..MAX_PART_HEAD).unwrap_or(part);
    if window.starts_with(b"\r\n") {
        return Ok(2);
    }
    match memmem::find(window, b"\r\n\r\n") {
        Some(at) => Ok(at + 4),
        None if window.len() == MAX_PART_HEAD => Err("the head of a part is over 16 KiB"),
        None => Err("it ends in the head of a part"),
    }
}

/// Reads the head of a part.
fn read_head(head: &[u8]) -> Result<Head, &'static str> {
    let (mut name, mut file_name, mut is_encoded) = (None, None, false);
    for line in head.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (field, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if field.eq_ignore_ascii_case(b"content-disposition") {
            let (kind, parameters) = Parameters::split(value);
            if !kind.eq_ignore_ascii_case(b"form-data") {
                return Err("a part is not form-data");
            }
            name = parameters.get("name");
            file_name = parameters.get("filename");
        } else if field.eq_ignore_ascii_case(b"content-transfer-encoding") {
            is_encoded |= ![&b"binary"[..], b"8bit", b"7bit"].iter().any(|plain| value.eq_ignore_ascii_case(plain));
        }
    }
    let name = name.ok_or("a part has no Content-Disposition with a name")?;
    Ok(Head { name: name.into_owned(), file_name: file_name.unwrap_or_default().into_owned(), is_encoded })
}

/// One line `--boundary` or `--boundary--`.
#[derive(Clone, Copy, Debug)]
struct Delimiter {
    /// Its start: the line break before it, which is part of it.
    start: usize,
    /// Its end, with its line break.
    end: usize,
    /// Whether it ends the form.
    closes: bool,
}

/// Finds them in a body.
struct Delimiters<'a> {
    body: &'a [u8],
    needle: memmem::Finder<'static>,
}

impl<'a> Delimiters<'a> {
    fn new(body: &'a [u8], boundary: &[u8]) -> Self {
        let needle = memmem::Finder::new(&[b"\r\n--", boundary].concat()).into_owned();
        Self { body, needle }
    }

    /// The first delimiter, at the very start or after a preamble.
    fn first(&self) -> Option<Delimiter> {
        let bare = self.needle.needle().get(2..)?;
        if self.body.starts_with(bare)
            && let Some((end, closes)) = self.rest_of_line(bare.len())
        {
            return Some(Delimiter { start: 0, end, closes });
        }
        self.after(0)
    }

    /// The first delimiter that starts at `from` or later.
    fn after(&self, mut from: usize) -> Option<Delimiter> {
        loop {
            let start = from + self.needle.find(self.body.get(from..)?)?;
            let end = start + self.needle.needle().len();
            if let Some((end, closes)) = self.rest_of_line(end) {
                return Some(Delimiter { start, end, closes });
            }
            // A longer line that only begins like a delimiter.
            from = end;
        }
    }

    /// The rest of the line after a boundary that ends at `at`: `--`, or only blanks.
    fn rest_of_line(&self, at: usize) -> Option<(usize, bool)> {
        let rest = self.body.get(at..)?;
        if rest.starts_with(b"--") {
            return Some((at + 2, true));
        }
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        rest.get(blanks..)?.starts_with(b"\r\n").then_some((at + blanks + 2, false))
    }
}

/// The parameters of a header `value; name=token; name="quoted"` (RFC 9110, 5.6.6): the form of Content-Type and
/// Content-Disposition. Works on bytes, as a file name may be in any encoding.
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

/// Whether a value is over before these bytes.
fn is_end(rest: Option<&[u8]>) -> bool {
    rest.is_none_or(|rest| matches!(rest.trim_ascii_start().first(), None | Some(b';')))
}

/// Reads a token or a quoted string. Returns it and the rest, from the next `;` on.
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
            // A backslash quotes a quote or itself; before anything else it is one (file names of Windows). So it is before the quote
            // that ends the value, of clients that write every backslash as it is.
            b'\\' => match quoted.get(index + 1) {
                Some(b'"') if is_end(quoted.get(index + 2..)) => value.push(byte),
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

    fn fields(body: &str, boundary: &str) -> Result<Vec<(String, String)>, &'static str> {
        let parts = parts(body.as_bytes(), boundary.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(parts.into_iter().map(|part| (text(&part.name), text(&body.as_bytes()[part.content]))).collect())
    }

    fn pair(name: &str, content: &str) -> (String, String) {
        (name.to_owned(), content.to_owned())
    }

    const HEAD: &str =
        "Content-Disposition: form-data; name=\"a\"; filename=\"../x.wav\"\r\nContent-Type: audio/wav\r\n\r\n";

    #[test]
    fn a_form_is_split() {
        let body = format!("--B\r\n{HEAD}one\r\n--B\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--B--\r\n");
        assert_eq!(fields(&body, "B").expect("a form"), [pair("a", "one"), pair("b", "")]);
        assert_eq!(fields("--B--", "B").expect("an empty form"), []);
    }

    #[test]
    fn preamble_epilogue_and_padding_are_ignored() {
        let body = format!("preamble\r\n--B \t\r\n{HEAD}one\r\n--B--epilogue\r\n--B\r\n");
        assert_eq!(fields(&body, "B").expect("a form"), [pair("a", "one")]);
    }

    #[test]
    fn content_that_only_begins_like_a_delimiter_is_content() {
        let content = "\r\n--BB\r\n--B-\r\n\r\n--b--\r\nx--B--";
        let body = format!("--B\r\n{HEAD}{content}\r\n--B--");
        assert_eq!(fields(&body, "B").expect("a form"), [pair("a", content)]);
    }

    #[test]
    fn every_truncation_is_rejected() {
        let body = format!("--B\r\n{HEAD}one\r\n--B--");
        for length in 0..body.len() {
            assert!(fields(&body[..length], "B").is_err(), "{length}: {}", &body[..length]);
        }
        assert!(fields(&body, "B").is_ok());
    }

    #[test]
    fn broken_forms_say_what_is_broken() {
        let problem = |body: &str| fields(body, "B").expect_err("broken");
        assert!(problem("--C\r\n\r\nx\r\n--C--").contains("not in the body"));
        assert!(problem("--B\r\n\r\nx\r\n--B--").contains("no Content-Disposition"));
        assert!(problem("--B\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--B--").contains("form-data"));
        let long = format!("--B\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\nx\r\n--B--", "n".repeat(20_000));
        assert!(problem(&long).contains("16 KiB"));
        let many = format!("{}--B--", format!("--B\r\n{HEAD}x\r\n").repeat(65));
        assert!(problem(&many).contains("64 parts"));
    }

    #[test]
    fn an_encoded_part_is_no_file_and_harms_no_other() {
        let part = |name: &str, coding: &str| {
            format!(
                "--B\r\nContent-Disposition: form-data; name={name}\r\nContent-Transfer-Encoding: {coding}\r\n\r\nx\r\n"
            )
        };
        let body =
            [part("a", "quoted-printable"), part("b", "8bit"), part("c", "BASE64"), part("d", "Binary")].concat();
        let body = Bytes::from(format!("{body}--B--"));
        let files = parse(&body, b"B").expect("a form").into_iter().map(|part| part.file(&body).is_ok());
        assert_eq!(files.collect::<Vec<_>>(), [false, true, false, true]);
    }

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
        let folder = "form-data; filename=\"C:\\music\\\"; name=\"a\\\"";
        assert_eq!(
            [get(folder, "filename"), get(folder, "name")].map(Option::unwrap_or_default),
            ["C:\\music\\", "a\\"]
        );
        assert_eq!(get("form-data; name=\"say \\\"a\\\"\"", "name").as_deref(), Some("say \"a\""));
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
