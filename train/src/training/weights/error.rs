//! Everything that can go wrong between an address and a file of weights.

use std::path::{Path, PathBuf};

/// Why weights could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none that can be asked.
    #[error("`{url}` {detail}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The expected digest is none.
    #[error("`{given}` is no SHA-256: give 64 hexadecimal digits")]
    NotADigest {
        /// What was given.
        given: String,
    },
    /// The path names no file.
    #[error("`{}` names no file to write; give the path of a file", path.display())]
    Out {
        /// The path.
        path: PathBuf,
    },
    /// There is something at the path, and it is not known to be what is wanted.
    #[error("{} is there already{detail}; remove it or name another file", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
        /// How it differs from what was expected, or nothing.
        detail: String,
    },
    /// Another process is downloading to the same path.
    #[error("another process is writing {}; wait for it or name another file", path.display())]
    Busy {
        /// The unfinished file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `create`, `write` ….
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The host was not found or took no connection.
    #[error("failed to reach {url}: {detail}; check the address and the network")]
    Connect {
        /// The address.
        url: String,
        /// What failed.
        detail: String,
    },
    /// No secure connection: a certificate that nobody known has signed, or no TLS at all.
    #[error("failed to connect securely to {url}: {detail}")]
    Tls {
        /// The address.
        url: String,
        /// What failed.
        detail: String,
    },
    /// The server answered with something other than the file.
    #[error("{url} answers with HTTP status {status}; check the address")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// The address leads to another, and so on.
    #[error("{url} redirects too often; check the address")]
    Redirects {
        /// The address.
        url: String,
    },
    /// What the server sent is no HTTP that can be understood.
    #[error("failed to understand the answer of {url}: {detail}")]
    Http {
        /// The address.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The connection was cut more often than it was to be taken up again.
    #[error("the download of {url} stopped: {detail}; {}", kept_of(*kept, *total))]
    Interrupted {
        /// The address.
        url: String,
        /// What cut it.
        detail: String,
        /// Bytes of the file that are kept for the next call.
        kept: u64,
        /// Bytes that it will have, when that is known.
        total: Option<u64>,
    },
    /// A body is not as long as was announced.
    #[error("{url} announces {announced} bytes and sends {found}; try again, or another address")]
    Length {
        /// The address.
        url: String,
        /// Bytes that were announced.
        announced: u64,
        /// How many there are.
        found: String,
    },
    /// More bytes than are taken.
    #[error("{url} has over {limit} bytes, which no file of these weights has; check the address")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file changed over and over while it was read.
    #[error("{url} changes while it is downloaded; try again later")]
    Changing {
        /// The address.
        url: String,
    },
    /// A page for people.
    #[error("{url} is an HTML page, not a file of weights; give the address of the file itself")]
    Html {
        /// The address.
        url: String,
    },
    /// Neither format that holds weights.
    #[error("{url} is neither a safetensors nor a PyTorch file: {detail}")]
    NotWeights {
        /// The address.
        url: String,
        /// How it begins.
        detail: String,
    },
    /// The header of a safetensors file would be larger than the format allows.
    #[error("{url} says that its safetensors header has {bytes} bytes; at most {limit} are allowed")]
    HeaderTooLarge {
        /// The address.
        url: String,
        /// Bytes that it says.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The header of a safetensors file is damaged.
    #[error("the safetensors header of {url} is damaged: {detail}")]
    Header {
        /// The address.
        url: String,
        /// What is wrong, and where.
        detail: String,
    },
    /// A tensor of the network is not as it should be.
    #[error("the weights at {url} are not those of this network: tensor `{name}` {detail}")]
    Tensor {
        /// The address.
        url: String,
        /// Name of the tensor.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The bytes are not those that were expected.
    #[error("the SHA-256 of what {url} gave should be {expected} and is {found}; nothing was kept")]
    Digest {
        /// The address.
        url: String,
        /// The digest that was asked for.
        expected: String,
        /// The digest of the bytes, and of which bytes.
        found: String,
    },
}

/// What `fetch` and its parts give.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: what was tried on which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether what is on the disk so far can be continued. Where the bytes themselves are wrong, it cannot.
    pub(super) fn keeps_the_partial(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Status { .. }
            | Self::Redirects { .. }
            | Self::Http { .. }
            | Self::Interrupted { .. }
            | Self::Exists { .. }
            | Self::Io { .. } => true,
            Self::Url { .. }
            | Self::NotADigest { .. }
            | Self::Out { .. }
            | Self::Busy { .. }
            | Self::Length { .. }
            | Self::TooLarge { .. }
            | Self::Changing { .. }
            | Self::Html { .. }
            | Self::NotWeights { .. }
            | Self::HeaderTooLarge { .. }
            | Self::Header { .. }
            | Self::Tensor { .. }
            | Self::Digest { .. } => false,
        }
    }
}

fn kept_of(kept: u64, total: Option<u64>) -> String {
    match (kept, total) {
        (0, _) => "nothing is kept; the same command tries again".to_owned(),
        (_, Some(total)) => format!("{kept} of {total} bytes are kept, and the same command continues from there"),
        (_, None) => format!("{kept} bytes are kept, and the same command continues from there"),
    }
}
