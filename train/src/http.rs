//! What every client of this project holds to when it asks a server: addresses, time limits, and what an error means.

use std::{io::ErrorKind, time::Duration};

use ureq::{Agent, config::ConfigBuilder, http::Uri, typestate::AgentScope};

/// Time limit of finding a server and of connecting to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may give no byte.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Parses an address: `http` or `https`, with a host and without a user.
///
/// # Errors
/// What is wrong with it, to be said after the address.
pub fn address(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("is not an address: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("does not begin with `https://` or `http://`".to_owned());
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("names no host".to_owned());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("names a user; addresses are written into files and messages, so give one without".to_owned());
    }
    Ok(uri)
}

/// A client of the server at this address, before anything else is set. It does not go from `https` to `http`, takes no
/// proxy to this machine, and any status for an answer.
#[must_use]
pub fn agent(uri: &Uri) -> ConfigBuilder<AgentScope> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .https_only(uri.scheme_str() == Some("https"))
        .user_agent(concat!("tonearm/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT));
    match uri.host() {
        Some("localhost" | "127.0.0.1" | "[::1]") => config.proxy(None),
        _ => config,
    }
}

/// Why no whole answer came.
#[derive(Debug)]
pub enum Fault {
    /// No connection, for the reason given. Where there was one before, there may be one again.
    Unreached(String),
    /// The connection ended before the answer did, for the reason given.
    Cut(String),
    /// No secure connection, for the reason given.
    Tls(String),
    /// Trying again would give the same.
    Other(ureq::Error),
}

impl Fault {
    /// What an error of a client that was made by [`agent`] means.
    #[must_use]
    pub fn of(error: ureq::Error, secure: bool) -> Self {
        use ureq::Error as E;

        let detail = error.to_string();
        match error {
            E::HostNotFound => Self::Unreached("the server was not found".to_owned()),
            E::ConnectionFailed | E::ConnectProxyFailed(_) | E::InvalidProxyUrl => Self::Unreached(detail),
            E::Io(source) => match source.kind() {
                ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::TimedOut
                | ErrorKind::WouldBlock
                | ErrorKind::Interrupted
                | ErrorKind::UnexpectedEof => Self::Cut(source.to_string()),
                // What rustls refuses comes as data that are not valid.
                ErrorKind::InvalidData if secure => Self::Tls(source.to_string()),
                _ => Self::Unreached(source.to_string()),
            },
            E::Timeout(_) => Self::Cut(detail),
            E::Tls(_) | E::Pem(_) | E::Rustls(_) | E::TlsRequired => Self::Tls(detail),
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_asked_are_refused() {
        for (url, says) in [
            ("", "not an address"),
            ("weights.safetensors", "begin with"),
            ("ftp://host/file", "begin with"),
            ("file:///etc/passwd", "not an address"),
            ("http://", "address"),
            ("https://me:secret@host/file", "names a user"),
            ("http://a b/", "not an address"),
        ] {
            let said = address(url).unwrap_err();
            assert!(said.contains(says), "{url}: {said}");
        }
        assert!(address("http://[::1]:5000/mlflow").is_ok());
    }
}
