//! An HTTP client that shows what is on the wire.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

/// One connection.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    buffer: Vec<u8>,
}

/// The head of an answer.
pub(super) struct Head {
    pub(super) status: u16,
    text: String,
}

impl Head {
    /// The value of a header that stands there once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.text.lines().skip(1).filter_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        let value = values.next();
        assert!(values.next().is_none(), "{name} stands there twice: {}", self.text);
        value
    }
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("is a TCP connection");
        Self { stream, buffer: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await;
        sent.expect("is taken in time").expect("is taken");
    }

    /// `POST` with a body.
    pub(super) async fn post(&mut self, path: &str, body: &[u8]) {
        self.send(format!("POST {path} HTTP/1.1\r\nHost: tonearm.example\r\nContent-Length: {}\r\n\r\n", body.len()))
            .await;
        self.send(body).await;
    }

    pub(super) async fn get(&mut self, path: &str) -> (u16, Value) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: tonearm.example\r\n\r\n")).await;
        self.json().await
    }

    /// Reads more; `false` at the end, of whatever kind.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await.expect("says something in time");
        read.is_ok_and(|n| n > 0)
    }

    /// Reads up to `end`, with it; `None` where the connection ends before.
    pub(super) async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    pub(super) async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.more().await {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    pub(super) async fn head(&mut self) -> Option<Head> {
        let text = String::from_utf8(self.until(b"\r\n\r\n").await?).expect("is ASCII");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Some(Head { status, text })
    }

    /// The next chunk of a body that is chunked; empty at its end, `None` where it breaks off.
    pub(super) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = String::from_utf8(self.until(b"\r\n").await?).expect("is ASCII");
        let length = usize::from_str_radix(line.trim_end(), 16).expect("a length");
        let mut chunk = self.exactly(length + 2).await?;
        chunk.truncate(length);
        Some(chunk)
    }

    /// The whole of a body.
    pub(super) async fn body(&mut self, head: &Head) -> Option<Vec<u8>> {
        if let Some(length) = head.header("content-length") {
            return self.exactly(length.parse().expect("a length")).await;
        }
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        let mut body = Vec::new();
        loop {
            match self.chunk().await? {
                chunk if chunk.is_empty() => return Some(body),
                chunk => body.extend(chunk),
            }
        }
    }

    /// The whole of an answer in JSON.
    pub(super) async fn json(&mut self) -> (u16, Value) {
        let head = self.head().await.expect("an answer");
        let body = self.body(&head).await.expect("a whole answer");
        (head.status, serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body))))
    }

    /// Whether the other side closes the connection, with nothing more to say.
    pub(super) async fn is_closed(&mut self) -> bool {
        !self.more().await && self.buffer.is_empty()
    }
}
