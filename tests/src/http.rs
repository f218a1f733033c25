//! The little of HTTP/1.1 that a test needs, so that requests can be as broken as it likes.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends one request on a connection of its own and reads the response to its end.
///
/// # Errors
/// When the connection fails or the response is not HTTP.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    content_type: Option<&str>,
    body: &[u8],
) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let content_type = content_type.map_or(String::new(), |value| format!("Content-Type: {value}\r\n"));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{content_type}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    // A server that refuses a body early may close before all of it is sent; its response still counts.
    let sent = stream.write_all(body);
    let mut response = Vec::new();
    let mut block = [0; 1 << 16];
    // Not every server closes the connection when it is told to.
    while !is_whole(&response) {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(n) => response.extend_from_slice(&block[..n]),
            Err(error) if response.is_empty() => return Err(sent.err().unwrap_or(error)),
            Err(_) => break,
        }
    }
    let (head, body) = parse(&response)
        .ok_or_else(|| std::io::Error::other(format!("not HTTP: {:?}", String::from_utf8_lossy(&response))))?;
    Ok(Response { body: body.to_vec(), ..head })
}

/// Whether a response is as long as it says.
fn is_whole(response: &[u8]) -> bool {
    let Some((head, body)) = parse(response) else { return false };
    let length = head.header("content-length").and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// The head of a response, and what there is of its body.
fn parse(response: &[u8]) -> Option<(Response, &[u8])> {
    let end = response.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&response[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some((Response { status, headers, body: Vec::new() }, &response[end + 4..]))
}

/// A `multipart/form-data` body with one file: its content type and its bytes.
#[must_use]
pub fn multipart(field: &str, file_name: &str, content: &[u8]) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "tonearm-test-boundary";
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file_name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}
