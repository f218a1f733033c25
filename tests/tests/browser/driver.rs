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
    /// Starts it on a port that is free. It takes one of IPv6 first, and ends where something else has the same of IPv4; then it is started again.
    pub fn start() -> Self {
        let mut said = String::new();
        for _ in 0..10 {
            match Self::started(&mut said) {
                Some(driver) => return driver,
                None => assert!(said.contains("port not available"), "chromedriver ended: {said}"),
            }
        }
        panic!("chromedriver found no port: {said}")
    }

    /// One that runs; `None` where it ended, with what it said.
    fn started(said: &mut String) -> Option<Self> {
        let mut child = match Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("{MISSING}"),
            Err(error) => panic!("chromedriver does not start: {error}"),
        };
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        said.clear();
        let port: u16 = loop {
            let start = said.len();
            if stdout.read_line(said).expect("it is UTF-8") == 0 {
                let _ = child.wait();
                return None;
            }
            let started = said[start..].split_once("successfully on port ");
            if let Some(port) = started.and_then(|(_, port)| port.trim_end_matches(['.', '\n']).parse().ok()) {
                break port;
            }
        };
        // Drained, so that a full pipe never holds it up.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Some(Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) })
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
