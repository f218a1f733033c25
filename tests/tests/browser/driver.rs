//! `chromedriver`, which starts browsers for the tests.

use std::{
    io::{BufRead as _, BufReader, ErrorKind},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tests::request;

const MISSING: &str = "chromedriver is missing: `tests/browser/install.sh` installs it with Chromium from Debian's packages \
                       (`apt-get install chromium chromium-driver`); elsewhere, put both on the PATH";

/// A running `chromedriver`; it ends with its browsers when it is dropped.
pub struct Driver {
    child: Child,
    pub address: SocketAddr,
}

impl Driver {
    /// Starts it on a port that is free.
    pub fn start() -> Self {
        let mut child = match Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("{MISSING}"),
            Err(error) => panic!("chromedriver does not start: {error}"),
        };
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut text = String::new();
        let port: u16 = loop {
            let start = text.len();
            assert!(stdout.read_line(&mut text).expect("it is UTF-8") > 0, "chromedriver ended: {text}");
            let started = text[start..].split_once("successfully on port ");
            if let Some(port) = started.and_then(|(_, port)| port.trim_end_matches(['.', '\n']).parse().ok()) {
                break port;
            }
        };
        // Drained, so that a full pipe never holds it up.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked rather than killed, so that no browser is left behind.
        let _ = request(self.address, "GET", "/shutdown", None, b"");
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
