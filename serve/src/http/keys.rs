//! [`ApiKeys`]: the keys that requests need, where they need one.

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Characters that a key has at least.
pub const MIN_CHARACTERS: usize = 16;

/// The header that carries a key alone.
const API_KEY: &str = "x-api-key";
/// The scheme of `Authorization` that carries a key.
const BEARER: &str = "bearer";

/// The keys that admit a request, as their digests: a dump of the memory or of a log shows none.
///
/// ```
/// use axum::http::HeaderMap;
/// use serve::http::keys::ApiKeys;
///
/// let keys = ApiKeys::parse("# of the radio\n0123456789abcdef\n")?;
/// let mut headers = HeaderMap::new();
/// assert!(!keys.admits(&headers));
/// headers.insert("authorization", "Bearer 0123456789abcdef".parse()?);
/// assert!(keys.admits(&headers));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ApiKeys {
    digests: Vec<[u8; 32]>,
}

/// What is wrong with a file of keys; no message has a key, or a part of one, in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A key can be guessed.
    #[error(
        "line {line} has a key of {characters} characters; a key has at least {MIN_CHARACTERS}: \
         `openssl rand -hex 32` prints a good one"
    )]
    Short {
        /// Counted from 1.
        line: usize,
        /// Of the key.
        characters: usize,
    },
    /// A key could not be sent in a header, or was meant as more than one.
    #[error(
        "line {line} has a key with a space or a character that is not visible ASCII; \
         put one key on a line, and comments on lines that begin with `#`"
    )]
    NotVisible {
        /// Counted from 1.
        line: usize,
    },
    /// No key: no request would be admitted.
    #[error("there is no key in it; put one key on each line")]
    None,
}

impl ApiKeys {
    /// Reads the text of a file of keys: one a line, of at least 16 characters of visible ASCII. Lines that are blank or
    /// begin with `#` are passed over, as is white space around a key.
    ///
    /// # Errors
    /// [`KeysError`], for the first line that is wrong, or where no line has a key.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut digests = Vec::new();
        for (line, key) in lines(text) {
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(KeysError::NotVisible { line });
            }
            if key.len() < MIN_CHARACTERS {
                return Err(KeysError::Short { line, characters: key.len() });
            }
            digests.push(digest(key.as_bytes()));
        }
        if digests.is_empty() { Err(KeysError::None) } else { Ok(Self { digests }) }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Never: [`parse`](Self::parse) refuses a file without a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Whether a request with these headers has one of the keys, as `Authorization: Bearer KEY` or as `X-API-Key: KEY`.
    ///
    /// How long this takes depends on what was sent and on the number of keys, not on how much of a key was right.
    #[must_use]
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes()));
        let bare = headers.get_all(API_KEY).iter().map(|value| value.as_bytes().trim_ascii());
        let found = bearers.chain(bare).fold(Choice::from(0), |found, sent| found | self.has(sent));
        found.into()
    }

    /// Compares with every key, also after one was found.
    fn has(&self, sent: &[u8]) -> Choice {
        let sent = digest(sent);
        self.digests.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(&sent))
    }
}

/// The first key of a file that [`ApiKeys::parse`] accepts, as the value of `Authorization`: for a server that asks others of the
/// same file.
pub(crate) fn authorization(text: &str) -> Option<HeaderValue> {
    let (_, key) = lines(text).next()?;
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The lines of a file of keys that have one: the number of each, from 1, and the key.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    // Some editors put a byte order mark first.
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    (1..).zip(lines).filter(|(_, key)| !key.is_empty() && !key.starts_with('#'))
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeys").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Of 32 bytes, whatever the key: comparing says nothing of its length.
fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// What follows the scheme `Bearer`, which is written in any case (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(BEARER.len())?;
    let named = scheme.eq_ignore_ascii_case(BEARER.as_bytes()) && key.first() == Some(&b' ');
    named.then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    const FILE: &str = "\u{feff}# radio, until the summer\r\n  first-key-0123456789  \r\n\r\n\t# archive\r\n\
                        #not-a-key-0123456789\r\nsecond#key#0123456789\r\n";

    fn headers(sent: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        sent.iter().map(pair).collect()
    }

    #[test]
    fn a_key_admits_in_either_header() {
        let keys = ApiKeys::parse(FILE).expect("a sound file");
        assert_eq!(keys.len(), 2);
        let first = authorization(FILE).expect("a key");
        assert_eq!(first, "Bearer first-key-0123456789");
        assert_eq!(format!("{first:?}"), "Sensitive");
        assert!(keys.admits(&HeaderMap::from_iter([(header::AUTHORIZATION, first)])));
        for sent in [
            [("authorization", "Bearer first-key-0123456789")],
            [("authorization", "bearer   second#key#0123456789")],
            [("authorization", "BEARER first-key-0123456789")],
            [("x-api-key", "first-key-0123456789")],
            [("x-api-key", "second#key#0123456789")],
        ] {
            assert!(keys.admits(&headers(&sent)), "{sent:?}");
        }
        // A proxy's own credentials do not hide those of the client.
        let both = [("authorization", "Basic cHJveHk6cHJveHk="), ("x-api-key", "first-key-0123456789")];
        assert!(keys.admits(&headers(&both)));
    }

    #[test]
    fn all_else_is_refused() {
        let keys = ApiKeys::parse(FILE).expect("a sound file");
        for sent in [
            ("authorization", "first-key-0123456789"),
            ("authorization", "Bearer"),
            ("authorization", "Bearer "),
            ("authorization", "Bearerfirst-key-0123456789"),
            ("authorization", "Basic first-key-0123456789"),
            ("authorization", "Bearer first-key-012345678"),
            ("authorization", "Bearer first-key-01234567890"),
            ("authorization", "Bearer First-key-0123456789"),
            ("authorization", "Bearer first-key-0123456789,second#key#0123456789"),
            ("x-api-key", ""),
            ("x-api-key", "Bearer first-key-0123456789"),
            ("x-api-key", "#not-a-key-0123456789"),
            ("x-api-key", "# archive"),
            ("cookie", "first-key-0123456789"),
        ] {
            assert!(!keys.admits(&headers(&[sent])), "{sent:?}");
        }
        assert!(!keys.admits(&HeaderMap::new()));
        let mut bytes = HeaderMap::new();
        bytes.insert(API_KEY, HeaderValue::from_bytes(&[0xff; 20]).expect("a value"));
        assert!(!keys.admits(&bytes), "bytes that are no text");
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_with_its_line() {
        let of = |text: &str| ApiKeys::parse(text).expect_err("wrong");
        assert_eq!(of("# one\n0123456789abcdef\nshort"), KeysError::Short { line: 3, characters: 5 });
        assert_eq!(of("0123456789abcde"), KeysError::Short { line: 1, characters: 15 });
        assert_eq!(of("\n0123456789 abcdef"), KeysError::NotVisible { line: 2 });
        assert_eq!(of("0123456789abcdef # radio"), KeysError::NotVisible { line: 1 });
        assert_eq!(of("Schlüssel-0123456789"), KeysError::NotVisible { line: 1 });
        assert_eq!(of(""), KeysError::None);
        assert_eq!(of("\n# none\n\n"), KeysError::None);
        for text in ["tiny-secret", "0123456789abcdef jazz-and-more", "secrét-0123456789abc"] {
            let message = of(text).to_string();
            assert!(message.starts_with("line 1 has"), "{message}");
            assert!(text.split(' ').all(|part| !message.contains(part)), "a part of the key is shown: {message}");
        }
    }

    #[test]
    fn what_is_printed_of_them_is_their_number() {
        let keys = ApiKeys::parse(FILE).expect("a sound file");
        assert_eq!(format!("{keys:?}"), "ApiKeys { len: 2, .. }");
        let digest = format!("{:?}", digest(b"first-key-0123456789"));
        assert!(!format!("{keys:#?}").contains(&digest[..8]));
    }
}
