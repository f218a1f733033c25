//! One file at one address, in ranges of bytes.

use std::{io::Read, ops::Range};

use ureq::{
    Agent,
    http::{HeaderMap, header},
};

use super::Error;
use crate::http::{Fault, address, agent};

/// Redirects that are followed.
const MAX_REDIRECTS: u32 = 5;

/// Why a step of a download did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Trying again would give the same.
    Fatal(Error),
    /// No connection, for the reason given. Where there was one before, there may be one again.
    Unreached(String),
    /// The server says that it cannot just now.
    Busy(Error),
    /// The connection ended before the body did, for the reason given.
    Cut(String),
    /// The file is not the one of which the first part was read.
    Changed,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// Asks one address.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
}

/// What the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// The file, of `total` bytes where it says so.
    Whole { total: Option<u64> },
    /// The bytes from `start` to before `end` of `total`.
    Part { start: u64, end: u64, total: u64 },
    /// Nothing, for the range is none of the file's, or is not named.
    None,
}

/// An answer, its body unread.
pub(super) struct Answer {
    pub(super) extent: Extent,
    /// What names the version of the file in `If-Range`: its strong ETag, else the time of its last change.
    pub(super) version: Option<String>,
    pub(super) body: Box<dyn Read>,
}

impl Client {
    /// Refuses an address that is not an `http` or `https` one with a host.
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        let uri = address(url).map_err(|detail| Error::Url { url: url.to_owned(), detail })?;
        // Ranges are counted in the bytes of the file.
        let config = agent(&uri).max_redirects(MAX_REDIRECTS).accept_encoding("identity");
        Ok(Self { agent: config.build().new_agent(), url: url.to_owned() })
    }

    /// Asks for the file, or for a range of it: all of it should it no longer be of `version`.
    pub(super) fn get(&self, range: Option<Range<u64>>, version: Option<&str>) -> Result<Answer, Failure> {
        let mut request = self.agent.get(&self.url);
        if let Some(Range { start, end }) = &range {
            let last = if *end == u64::MAX { String::new() } else { end.saturating_sub(1).to_string() };
            request = request.header(header::RANGE, format!("bytes={start}-{last}"));
            if let Some(version) = version {
                request = request.header(header::IF_RANGE, version);
            }
        }
        let response = request.call().map_err(|error| self.failure(error))?;
        let (status, headers) = (response.status().as_u16(), response.headers());
        let number = |name| text(headers, name).and_then(|value| value.trim().parse::<u64>().ok());
        let length = number(header::CONTENT_LENGTH);
        let extent = match status {
            200 => Extent::Whole { total: length },
            206 => text(headers, header::CONTENT_RANGE).and_then(part).unwrap_or(Extent::None),
            416 if range.is_some() => Extent::None,
            _ => {
                let error = Error::Status { url: self.url.clone(), status };
                return Err(match status {
                    408 | 429 | 500 | 502 | 503 | 504 => Failure::Busy(error),
                    _ => Failure::Fatal(error),
                });
            }
        };
        if extent != Extent::None
            && text(headers, header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"))
        {
            return Err(Error::Html { url: self.url.clone() }.into());
        }
        let version = text(headers, header::ETAG)
            .filter(|tag| tag.starts_with('"'))
            .or_else(|| text(headers, header::LAST_MODIFIED))
            .map(str::to_owned);
        Ok(Answer { extent, version, body: Box::new(response.into_body().into_reader()) })
    }

    /// A body that is not as long as was announced.
    pub(super) fn length(&self, announced: u64, found: impl ToString) -> Error {
        Error::Length { url: self.url.clone(), announced, found: found.to_string() }
    }

    fn failure(&self, error: ureq::Error) -> Failure {
        use ureq::Error as E;

        let url = self.url.clone();
        match Fault::of(error, url.starts_with("https")) {
            Fault::Unreached(detail) => Failure::Unreached(detail),
            Fault::Cut(detail) => Failure::Cut(detail),
            Fault::Tls(detail) => Error::Tls { url, detail }.into(),
            Fault::Other(error) => {
                let detail = error.to_string();
                match error {
                    E::TooManyRedirects => Error::Redirects { url }.into(),
                    E::RequireHttpsOnly(to) => {
                        Error::Url { url, detail: format!("redirects to {to}, which is not secure") }.into()
                    }
                    E::BadUri(_) => {
                        Error::Url { url, detail: format!("is or redirects to no address: {detail}") }.into()
                    }
                    _ => Error::Http { url, detail }.into(),
                }
            }
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Reads `bytes 0-99/1234`.
fn part(value: &str) -> Option<Extent> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, last, total): (u64, u64, u64) = (start.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (start <= last && last < total).then(|| Extent::Part { start, end: last + 1, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_or_refused() {
        assert_eq!(part("bytes 0-99/1234"), Some(Extent::Part { start: 0, end: 100, total: 1234 }));
        for wrong in [
            "",
            "bytes",
            "bytes */5",
            "bytes 0-9/*",
            "bytes 5-4/9",
            "bytes 0-9/9",
            "bytes 0-18446744073709551615/1",
            "lines 0-1/9",
        ] {
            assert_eq!(part(wrong), None, "{wrong}");
        }
    }
}
