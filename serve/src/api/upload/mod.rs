//! [`Upload`]: from the body of a request to the bytes of an audio file.

pub(crate) mod base64;
mod multipart;

use std::{borrow::Cow, fmt};

use axum::{
    body::Bytes,
    http::{HeaderMap, header as name},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use self::multipart::Parameters;
use crate::Rejection;

/// The field of a form that holds the audio.
pub const AUDIO_FIELD: &str = "audio_file";
/// Fields that are accepted in its place.
const OTHER_AUDIO_FIELDS: [&str; 2] = ["file", "audio"];
/// The member of a JSON object that holds the audio.
const AUDIO_MEMBER: &str = "audio_base64";

/// Types of a raw body, beside none at all: those of bytes that nobody looked at, and of containers that hold audio. Object stores write
/// `binary/octet-stream`, and some clients send their `Accept`.
const RAW_TYPES: [&str; 6] =
    ["", "*/*", "application/octet-stream", "binary/octet-stream", "application/ogg", "application/mp4"];
/// The same, by how they begin. Browsers call a recording without a picture `video/webm`, and a file `.mp4` `video/mp4`.
const RAW_RANGES: [&str; 2] = ["audio/", "video/"];

/// The longest file name in a response, in characters.
const MAX_NAME: usize = 255;

/// How a body carries audio, by its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `multipart/form-data`.
    Multipart {
        /// The separator of its parts.
        boundary: Vec<u8>,
    },
    /// `application/json` with `audio_base64`.
    Json,
    /// The audio itself.
    Raw,
}

impl Encoding {
    /// Reads it from the headers of a request, before the body has arrived.
    ///
    /// The type says whether the body is a form, JSON, or the file itself. Which format the file has is told by its bytes alone: browsers,
    /// recorders and object stores name many types for the same file, and some name none.
    ///
    /// # Errors
    /// [`Rejection::UnsupportedContentType`], [`Rejection::UnsupportedContentEncoding`], [`Rejection::BadMultipart`] for
    /// a form without a boundary.
    pub fn of(headers: &HeaderMap) -> Result<Self, Rejection> {
        if headers
            .get_all(name::CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            return Err(Rejection::UnsupportedContentEncoding);
        }
        let Some(content_type) = headers.get(name::CONTENT_TYPE) else { return Ok(Self::Raw) };
        let (media_type, parameters) = Parameters::split(content_type.as_bytes());
        let media_type = String::from_utf8_lossy(media_type).to_ascii_lowercase();
        match media_type.as_str() {
            "multipart/form-data" => match parameters.get("boundary") {
                Some(boundary) if (1..=70).contains(&boundary.len()) => {
                    Ok(Self::Multipart { boundary: boundary.into_owned() })
                }
                _ => Err(Rejection::BadMultipart { problem: "Content-Type names no boundary of 1 to 70 characters" }),
            },
            "application/json" => Ok(Self::Json),
            raw if RAW_TYPES.contains(&raw) || RAW_RANGES.iter().any(|range| raw.starts_with(range)) => Ok(Self::Raw),
            "application/x-www-form-urlencoded" => Err(Rejection::UnsupportedContentType {
                hint: " (curl's --data-binary sends x-www-form-urlencoded by default; add -H 'Content-Type: audio/wav')",
            }),
            _ => Err(Rejection::UnsupportedContentType { hint: "" }),
        }
    }
}

/// A whole body, and how it carries audio.
#[derive(Debug)]
pub struct Upload {
    encoding: Encoding,
    body: Bytes,
}

impl Upload {
    /// Joins the two.
    #[must_use]
    pub fn new(encoding: Encoding, body: Bytes) -> Self {
        Self { encoding, body }
    }

    /// The bytes of the audio file. Of a form or a raw body they are a slice, not a copy.
    ///
    /// # Errors
    /// A [`Rejection`] that names the problem.
    pub fn into_audio(self) -> Result<Bytes, Rejection> {
        let audio = match self.encoding {
            Encoding::Multipart { boundary } => from_form(&self.body, &boundary)?,
            Encoding::Json => from_json(&self.body)?,
            Encoding::Raw => self.body,
        };
        if audio.is_empty() { Err(Rejection::EmptyAudio) } else { Ok(audio) }
    }
}

fn from_form(body: &Bytes, boundary: &[u8]) -> Result<Bytes, Rejection> {
    let mut parts = multipart::parse(body, boundary)?;
    let names = field_names(&parts);
    let is_one = |part: &multipart::Part, names: &[&str]| names.iter().any(|name| part.name == name.as_bytes());
    let fields: &[&str] = match parts.iter().any(|part| is_one(part, &[AUDIO_FIELD])) {
        true => &[AUDIO_FIELD],
        false => &OTHER_AUDIO_FIELDS,
    };
    parts.retain(|part| is_one(part, fields));
    match (parts.len(), parts.pop()) {
        (1, Some(file)) => file.file(body),
        (0, _) => Err(Rejection::NoFile { fields: names }),
        (files, _) => Err(Rejection::SeveralFiles { files }),
    }
}

/// The names of the fields of a form, for a client that named none of those that are read.
fn field_names(parts: &[multipart::Part]) -> Vec<String> {
    parts.iter().map(|part| String::from_utf8_lossy(&part.name).into_owned()).collect()
}

/// The field of a form with several files.
pub const FILES_FIELD: &str = "files";

/// One of several files.
#[derive(Debug)]
pub struct File {
    /// Its name in the form, for the response; empty without one.
    pub name: String,
    /// Its bytes, a slice of the body.
    pub audio: Bytes,
}

/// The files of a form whose fields `files` hold them.
///
/// # Errors
/// [`Rejection::BadMultipart`]; [`Rejection::NoFiles`] when there are none.
pub fn files(body: &Bytes, boundary: &[u8]) -> Result<Vec<File>, Rejection> {
    let parts = multipart::parse(body, boundary)?;
    let fields = field_names(&parts);
    let named = parts.into_iter().filter(|part| part.name == FILES_FIELD.as_bytes());
    let files = named.map(|part| {
        let name = String::from_utf8_lossy(&part.file_name);
        let name = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        Ok(File { name, audio: part.file(body)? })
    });
    let files = files.collect::<Result<Vec<File>, Rejection>>()?;
    if files.is_empty() { Err(Rejection::NoFiles { fields }) } else { Ok(files) }
}

/// Names of members that are remembered, for a message: one more than it tells.
const MAX_MEMBERS: usize = 9;

/// The body of a request in JSON, which is an object: `audio_base64`, or the names of the members that came without it.
enum Json<'a> {
    Audio(Text<'a>),
    None { members: Vec<String> },
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Json<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut audio, mut members) = (None, Vec::new());
                while let Some(Text(name)) = map.next_key()? {
                    if name != AUDIO_MEMBER {
                        map.next_value::<IgnoredAny>()?;
                    } else if audio.is_some() {
                        return Err(A::Error::duplicate_field(AUDIO_MEMBER));
                    } else {
                        audio = map.next_value()?;
                    }
                    if members.len() < MAX_MEMBERS {
                        members.push(name.into_owned());
                    }
                }
                Ok(audio.map_or(Json::None { members }, Json::Audio))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A string without a copy where it has no escapes, which `Option<Cow<str>>` alone would make.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn from_json(body: &[u8]) -> Result<Bytes, Rejection> {
    let json: Json<'_> = serde_json::from_slice(body).map_err(|error| {
        // serde's own message may quote the body, which may be 64 MiB.
        let what = if error.is_data() { "wrong type" } else { "not JSON" };
        Rejection::BadJson { problem: format!("{what} at line {} column {}", error.line(), error.column()) }
    })?;
    match json {
        Json::Audio(Text(text)) => {
            base64::decode(&text).map(Bytes::from).map_err(|problem| Rejection::BadBase64 { problem })
        }
        Json::None { members } => Err(Rejection::NoBase64 { members }),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn encoding(content_type: &'static str) -> Result<Encoding, Rejection> {
        let mut headers = HeaderMap::new();
        headers.insert(name::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Encoding::of(&headers)
    }

    #[test]
    fn the_content_type_says_how_the_audio_is_carried() {
        assert_eq!(Encoding::of(&HeaderMap::new()).expect("raw"), Encoding::Raw);
        for raw in [
            "",
            "*/*",
            "audio/wav",
            "AUDIO/mpeg",
            "audio/ogg; codecs=vorbis",
            "audio/webm;codecs=opus",
            "video/webm",
            "video/mp4; codecs=\"mp4a.40.2\"",
            "application/octet-stream",
            "binary/octet-stream",
            "Application/Ogg",
            "application/mp4",
        ] {
            assert_eq!(encoding(raw).expect("raw"), Encoding::Raw, "{raw}");
        }
        assert_eq!(encoding("application/json; charset=utf-8").expect("JSON"), Encoding::Json);
        let form = Encoding::Multipart { boundary: b"a b".to_vec() };
        assert_eq!(encoding("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"").expect("a form"), form);
        for unsupported in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/mixed; boundary=a",
            "audiox",
            "videos/mp4",
            "image/png",
            "application/json5",
        ] {
            let rejection = encoding(unsupported).expect_err("unsupported");
            assert!(matches!(rejection, Rejection::UnsupportedContentType { .. }), "{unsupported}: {rejection}");
        }
        for broken in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\""] {
            assert!(matches!(encoding(broken), Err(Rejection::BadMultipart { .. })), "{broken}");
        }
    }

    #[test]
    fn json_is_read_without_its_other_members() {
        let audio = |body: &str| Upload::new(Encoding::Json, Bytes::from(body.to_owned())).into_audio();
        assert_eq!(audio(r#"{"name": "x", "audio_base64": "AQID"}"#).expect("decodes"), &[1u8, 2, 3][..]);
        assert_eq!(audio(r#"{"audio_base64": "AQ\u0049D"}"#).expect("decodes"), &[1u8, 2, 3][..]);
        for none in
            ["{}", r#"{"audio_base64": null}"#, r#"{"audio": "AQID", "audio_base_64": {"audio_base64": "AQID"}}"#]
        {
            assert!(matches!(audio(none), Err(Rejection::NoBase64 { .. })), "{none}");
        }
        let long = format!("{{{}\"z\": 1}}", "\"a\": 1, ".repeat(100_000));
        let Err(Rejection::NoBase64 { members }) = audio(&long) else { panic!("it has no audio") };
        assert_eq!(members.len(), MAX_MEMBERS);
        assert!(matches!(audio(r#"{"audio_base64": ""}"#), Err(Rejection::EmptyAudio)));
        assert!(matches!(audio(r#"{"audio_base64": "*"}"#), Err(Rejection::BadBase64 { .. })));
        let twice = r#"{"audio_base64": "AQID", "audio_base64": "AQID"}"#;
        for broken in
            ["", "{", "[]", r#"["AQID"]"#, "\"AQID\"", r#"{"audio_base64": 5}"#, r#"{"audio_base64": "AQID"} x"#, twice]
        {
            assert!(matches!(audio(broken), Err(Rejection::BadJson { .. })), "{broken}");
        }
    }

    #[test]
    fn a_message_quotes_nothing_of_the_body() {
        let body = Bytes::from(format!("\"{}\"", "secret".repeat(1000)));
        let message = Upload::new(Encoding::Json, body).into_audio().expect_err("not an object").to_string();
        assert!(!message.contains("secret"), "{message}");
    }
}
