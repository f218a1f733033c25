//! Base64 in the forms that clients send: either alphabet, with or without padding and line breaks, bare or as a `data:` URL.

use std::borrow::Cow;

use base64::{
    DecodeError, Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// Decodes `text`.
///
/// # Errors
/// The problem, for the client.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let text = payload(text.trim_ascii())?;
    let text: Cow<'_, [u8]> = if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect()
    } else {
        text.as_bytes().into()
    };
    let engine = if text.iter().any(|byte| matches!(byte, b'-' | b'_')) { URL_SAFE } else { STANDARD };
    engine.decode(&text).map_err(|error| match error {
        DecodeError::InvalidByte(at, _) => format!("character {at} is not in the alphabet"),
        DecodeError::InvalidLength(length) => format!("{length} characters end in the middle of a byte"),
        DecodeError::InvalidLastSymbol { offset, .. } => {
            format!("character {offset}, the last, has bits left over: the text may be truncated")
        }
        DecodeError::InvalidPadding => "its padding is wrong".to_owned(),
    })
}

/// The text after `data:audio/wav;base64,`.
fn payload(text: &str) -> Result<&str, String> {
    if !text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return Ok(text);
    }
    match text.split_once(',') {
        Some((head, payload)) if head.to_ascii_lowercase().ends_with(";base64") => Ok(payload),
        _ => Err("it is a data: URL without `;base64,`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_decoded() {
        let bytes = [0xfb, 0xff, 0xbe, 0x01];
        for text in [
            "+/++AQ==",
            "+/++AQ",
            "-_--AQ==",
            "-_--AQ",
            "+/+\n+AQ==\r\n",
            "data:audio/wav;base64,+/++AQ==",
            "DATA:;Base64,-_--AQ",
        ] {
            assert_eq!(decode(text).as_deref(), Ok(&bytes[..]), "{text}");
        }
        assert_eq!(decode(""), Ok(vec![]));
    }

    #[test]
    fn invalid_base64_is_rejected() {
        for text in ["*", "AQI\u{e9}", "A", "AQ==AQ==", "+_AA", "AR==", "data:audio/wav,AQ==", "data:;base64", "é"] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
