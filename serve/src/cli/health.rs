//! `serve health`: checks whether a server is alive, or ready, and exits with 0 or 1.
//!
//! The health check of a container runs within it. With this its image needs no other client of HTTP.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{Request, StatusCode, Uri, header},
};
use clap::Args;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use serde_json::Value;
use tokio::{net::TcpStream, runtime, time};

use super::{FAILURE, SUCCESS, config_file::ConfigArgs};
use crate::{
    Error, Result,
    config::{join, seconds, seconds_or_never},
    gateway::error_chain,
    rejection::MAX_DETAIL,
};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a wait shows nothing on a terminal.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a response that are read, at most.
const MAX_BODY: usize = 64 << 10;

/// Options of `serve health`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  serve health --url http://127.0.0.1:8083\n  \
                        TONEARM_LISTEN=0.0.0.0:8081 serve health      # checks http://127.0.0.1:8081/healthz\n  \
                        serve health --url http://127.0.0.1:8081 --ready --wait 60\n\
                        `serve web` is ready while one of its models is; those that are not are named.\n\
                        Exit codes: 0 healthy, 1 unhealthy or no response, 2 wrong usage.")]
pub struct HealthArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// URL of the server, such as http://127.0.0.1:8083; overrides --listen
    #[arg(long, value_name = "URL")]
    url: Option<Uri>,

    /// Address that the server listens on; one that stands for every interface is checked on this machine
    #[arg(long, value_name = "HOST:PORT", env = "TONEARM_LISTEN")]
    listen: Option<String>,

    /// Check whether it is ready to predict (/readyz), not only whether it is alive (/healthz)
    #[arg(long)]
    ready: bool,

    /// Try again until it is healthy, at most this long
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds_or_never)]
    wait: f64,

    /// How long one response may take
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    timeout: f64,
}

/// A check of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// A name or an address, without brackets.
    host: String,
    port: u16,
    /// The path of the route.
    target: String,
    timeout: Duration,
    wait: Duration,
}

/// Why a server is not healthy.
#[derive(Debug, PartialEq, thiserror::Error)]
enum ProbeError {
    #[error(": failed to connect: {0}")]
    Unreachable(String),
    #[error(" did not respond within {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error(" did not respond with HTTP: {0}")]
    NotHttp(String),
    #[error(" answered {status}{}", after_colon(detail))]
    Refused { status: u16, detail: String },
}

impl HealthArgs {
    /// The check.
    ///
    /// # Errors
    /// [`Error::Usage`] when no server is named, or its address is invalid.
    pub(crate) fn probe(&self) -> Result<Probe> {
        let (host, port, prefix) = match (&self.url, &self.listen) {
            (Some(url), _) => of_url(url)?,
            (None, Some(listen)) => of_listen(listen)?,
            (None, None) => {
                let problem = "no server is named; name it with --url, or set TONEARM_LISTEN to its address";
                return Err(Error::Usage(problem.to_owned()));
            }
        };
        let route = if self.ready { "/readyz" } else { "/healthz" };
        let (timeout, wait) = (Duration::from_secs_f64(self.timeout), Duration::from_secs_f64(self.wait));
        Ok(Probe { host, port, target: format!("{prefix}{route}"), timeout, wait })
    }
}

/// Host, port and path of the server at a URL.
fn of_url(url: &Uri) -> Result<(String, u16, String)> {
    // None of the messages repeats the URL: there may be a password in it.
    let refuse = |problem: &str| Err(Error::Usage(format!("--url: {problem}, such as http://127.0.0.1:8083")));
    match (url.scheme_str(), url.authority()) {
        (Some("http"), Some(authority)) if !authority.host().is_empty() => {
            if authority.as_str().contains('@') || url.query().is_some() {
                return refuse("expected a URL without user, password or query");
            }
            let prefix = url.path().trim_end_matches('/').to_owned();
            Ok((without_brackets(authority.host()).to_owned(), authority.port_u16().unwrap_or(80), prefix))
        }
        (Some("https"), _) => refuse("https:// is not supported; give the server's own address"),
        _ => refuse("expected http:// and a host"),
    }
}

/// Host, port and path of a server on this machine that listens on `listen`.
fn of_listen(listen: &str) -> Result<(String, u16, String)> {
    let refuse = |problem: &str| {
        Err(Error::Usage(format!("TONEARM_LISTEN (or --listen) is `{listen}`{problem}; name the server with --url")))
    };
    let Some((host, port)) = listen.rsplit_once(':') else { return refuse(", not HOST:PORT such as 127.0.0.1:8081") };
    let host = without_brackets(host);
    match port.parse::<u16>() {
        Ok(0) => refuse(": port 0 is any that was free"),
        Ok(port) if !host.is_empty() => {
            let host = match host.parse() {
                Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
                Ok(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
                _ => host.to_owned(),
            };
            Ok((host, port, String::new()))
        }
        _ => refuse(", not HOST:PORT such as 127.0.0.1:8081"),
    }
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Checks, and says on standard error why the server is not healthy. Gives the exit code.
///
/// # Errors
/// [`Error::System`] when the async runtime does not start.
pub fn run(probe: &Probe) -> Result<u8> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::System { what: "the async runtime", source })?;
    let result = runtime.block_on(probe.until_healthy());
    // Does not wait for a name that is still being resolved.
    runtime.shutdown_background();
    let (code, message) = match result {
        Ok(None) => return Ok(SUCCESS),
        Ok(Some(but)) => (SUCCESS, format!("{probe}: ready, but {but}")),
        Err(error) if probe.wait.is_zero() => (FAILURE, format!("{probe}{error}")),
        Err(error) => (FAILURE, format!("{probe}{error}; gave up after {} s", probe.wait.as_secs_f64())),
    };
    // Standard error may be closed.
    drop(writeln!(io::stderr(), "serve health: {message}"));
    Ok(code)
}

impl Probe {
    /// Checks until the server is healthy or the time is over. Gives what is not ready of a server that is.
    async fn until_healthy(&self) -> Result<Option<String>, ProbeError> {
        let start = Instant::now();
        let mut bar = None;
        let mut before: Option<ProbeError> = None;
        loop {
            let left = self.wait.saturating_sub(start.elapsed());
            let limit = if self.wait.is_zero() { self.timeout } else { self.timeout.min(left) };
            let error = match (self.check(limit).await, before) {
                (Ok(but), _) => return Ok(but),
                // The end of the wait cut it short: the error before says more.
                (Err(ProbeError::Silent(_)), Some(before)) if limit < self.timeout => before,
                (Err(error), _) => error,
            };
            if start.elapsed() + PAUSE >= self.wait {
                return Err(error);
            }
            if start.elapsed() > PATIENCE && io::stderr().is_terminal() {
                let bar = bar.get_or_insert_with(|| spinner(start));
                bar.set_message(format!("{self}{error}"));
                bar.tick();
            }
            before = Some(error);
            time::sleep(PAUSE).await;
        }
    }

    /// Checks once.
    async fn check(&self, limit: Duration) -> Result<Option<String>, ProbeError> {
        let (status, body) = time::timeout(limit, self.exchange()).await.unwrap_or(Err(ProbeError::Silent(limit)))?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status == StatusCode::OK {
            return Ok(not_ready(&body));
        }
        let detail = plain(body["detail"].as_str().unwrap_or_default());
        Err(ProbeError::Refused { status: status.as_u16(), detail })
    }

    async fn exchange(&self) -> Result<(StatusCode, Bytes), ProbeError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| ProbeError::Unreachable(error.to_string()))?;
        let not_http = |error: &dyn std::error::Error| ProbeError::NotHttp(error_chain(error));
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| not_http(&error))?;
        // It ends with this program; its errors reach the request.
        tokio::spawn(connection);
        let request = Request::get(&self.target)
            .header(header::HOST, join(&self.host, self.port))
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| not_http(&error))?;
        let (head, body) = sender.send_request(request).await.map_err(|error| not_http(&error))?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| not_http(&*error))?;
        Ok((head.status, body.to_bytes()))
    }
}

impl fmt::Display for Probe {
    /// The URL that is checked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", join(&self.host, self.port), self.target)
    }
}

/// The models of a ready server, such as `serve web`, that are not ready themselves, and why.
fn not_ready(body: &Value) -> Option<String> {
    let models = body["models"].as_object()?.iter().filter(|(_, model)| model["ready"] == false);
    let problem = |model: &Value| after_colon(model["problem"].as_str().unwrap_or_default());
    let problems: Vec<_> = models.map(|(name, model)| format!("{name} is not{}", problem(model))).collect();
    if problems.is_empty() { None } else { Some(plain(&problems.join("; "))) }
}

/// Text that a terminal can show on one line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect()
}

/// Shows that a server is waited for, and since when.
fn spinner(start: Instant) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(start.elapsed());
    spinner.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())).with_finish(ProgressFinish::AndClear)
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;

    fn args() -> HealthArgs {
        HealthArgs { config: ConfigArgs::default(), url: None, listen: None, ready: false, wait: 0.0, timeout: 3.0 }
    }

    /// The URL that is checked, or why there is none.
    fn probed(args: &HealthArgs) -> Result<String, String> {
        args.probe().map(|probe| probe.to_string()).map_err(|error| {
            assert!(matches!(error, Error::Usage(_)));
            error.to_string()
        })
    }

    #[test]
    fn the_address_of_a_server_gives_the_url() {
        let of = |listen: &str| probed(&HealthArgs { listen: Some(listen.to_owned()), ..args() });
        for (listen, url) in [
            ("0.0.0.0:8081", "http://127.0.0.1:8081/healthz"),
            ("[::]:8081", "http://[::1]:8081/healthz"),
            (":::8081", "http://[::1]:8081/healthz"),
            ("[::1]:9", "http://[::1]:9/healthz"),
            ("10.1.2.3:8082", "http://10.1.2.3:8082/healthz"),
            ("localhost:8083", "http://localhost:8083/healthz"),
        ] {
            assert_eq!(of(listen).as_deref(), Ok(url), "{listen}");
        }
        for bad in [
            "",
            "8081",
            "localhost",
            "0.0.0.0",
            ":8081",
            "[]:8081",
            "0.0.0.0:",
            "0.0.0.0:http",
            "0.0.0.0:70000",
            "0.0.0.0:0",
        ] {
            let problem = of(bad).expect_err(bad);
            assert!(problem.contains(&format!("`{bad}`")) && problem.contains("--url"), "{problem}");
        }
    }

    #[test]
    fn a_url_overrides_the_address_and_is_http() {
        let of = |url: &str| {
            let url = Some(url.parse().expect("a URI"));
            probed(&HealthArgs { url, listen: Some("0.0.0.0:1".to_owned()), ready: true, ..args() })
        };
        for (url, wanted) in [
            ("http://web:8083", "http://web:8083/readyz"),
            ("http://web:8083/", "http://web:8083/readyz"),
            ("http://[::1]:8083/tonearm/", "http://[::1]:8083/tonearm/readyz"),
            ("http://web", "http://web:80/readyz"),
        ] {
            assert_eq!(of(url).as_deref(), Ok(wanted), "{url}");
        }
        for bad in [
            "https://web:8083",
            "web:8083",
            "/readyz",
            "ftp://web",
            "http://me:secret@web:8083",
            "http://web/?key=secret",
        ] {
            let problem = of(bad).expect_err(bad);
            assert!(problem.starts_with("--url: ") && !problem.contains("secret"), "{problem}");
        }
        assert!(probed(&args()).is_err_and(|problem| problem.contains("--url") && problem.contains("TONEARM_LISTEN")));
    }

    /// A server that sends these responses one after the other, the last of them from then on; of one that is empty, none.
    struct Canned {
        probe: Probe,
        requests: Arc<AtomicUsize>,
        task: JoinHandle<()>,
    }

    impl Canned {
        async fn new(answers: &'static [&'static str]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let listen = Some(listener.local_addr().expect("is bound").to_string());
            let probe = HealthArgs { listen, ready: true, timeout: 20.0, ..args() }.probe().expect("sound");
            let requests = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&requests);
            let task = tokio::spawn(async move {
                let mut open = Vec::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    let answer = answers[count.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)];
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|n| n > 0) {}
                    assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\n"), "{request:?}");
                    if answer.is_empty() {
                        open.push(stream);
                    } else {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                }
            });
            Self { probe, requests, task }
        }

        /// Checks for so long in all, and for so long each time.
        fn within(mut self, wait: u64, timeout: u64) -> Self {
            (self.probe.wait, self.probe.timeout) = (Duration::from_millis(wait), Duration::from_millis(timeout));
            self
        }

        async fn result(&self) -> Result<Option<String>, String> {
            self.probe.until_healthy().await.map_err(|error| format!("it{error}"))
        }
    }

    impl Drop for Canned {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    const HEALTHY: &str =
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"status\":\"ready\",\"models\":{\"svm\":{\"ready\":true}}}";
    const HALF: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\
                        {\"models\":{\"svm\":{\"ready\":true},\"vgg19\":{\"ready\":false,\"problem\":\"its server is\\nnot reachable\"}}}";
    const UNREADY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 46\r\n\r\n{\"detail\": \"there is no svm artifact\\u001b\\n\"}";
    const OTHER: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>";

    #[tokio::test]
    async fn the_response_is_reported() {
        for (answer, wanted) in [
            (&[HEALTHY] as &[_], Ok(None)),
            (&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], Ok(None)),
            (&[HALF], Ok(Some("vgg19 is not: its server isnot reachable"))),
            (&[UNREADY], Err("it answered 503: there is no svm artifact")),
            (&[OTHER], Err("it answered 404")),
            (&["SSH-2.0-OpenSSH_9.2\r\n"], Err("it did not respond with HTTP: ")),
            (&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"], Err("it did not respond with HTTP: ")),
        ] {
            let result = Canned::new(answer).await.result().await;
            match (result, wanted) {
                (Ok(but), Ok(wanted)) => assert_eq!(but.as_deref(), wanted, "{answer:?}"),
                (Err(problem), Err(wanted)) => assert!(problem.starts_with(wanted), "{answer:?}: {problem}"),
                (result, _) => panic!("{answer:?}: {result:?}"),
            }
        }
    }

    #[tokio::test]
    async fn no_server_and_a_silent_server_are_told_apart() {
        let silent = Canned::new(&[""]).await.within(0, 50);
        assert_eq!(silent.result().await, Err("it did not respond within 0.05 s".to_owned()));
        let gone = silent.probe.clone();
        silent.task.abort();
        while !silent.task.is_finished() {
            time::sleep(Duration::from_millis(5)).await;
        }
        let error = gone.until_healthy().await.expect_err("no server listens");
        assert!(error.to_string().starts_with(": failed to connect: "), "{error}");
    }

    #[tokio::test]
    async fn it_checks_until_the_server_is_healthy() {
        let server = Canned::new(&[UNREADY, OTHER, "", HEALTHY]).await.within(20_000, 50);
        assert_eq!(server.result().await, Ok(None));
        assert_eq!(server.requests.load(Ordering::Relaxed), 4);

        let server = Canned::new(&[UNREADY]).await.within(350, 20_000);
        assert_eq!(server.result().await, Err("it answered 503: there is no svm artifact".to_owned()));
        assert!((2..=4).contains(&server.requests.load(Ordering::Relaxed)));
    }

    #[tokio::test]
    async fn a_check_that_the_end_cuts_short_does_not_hide_the_error_before() {
        let server = Canned::new(&[UNREADY, ""]).await.within(300, 20_000);
        assert_eq!(server.result().await, Err("it answered 503: there is no svm artifact".to_owned()));
        let server = Canned::new(&[""]).await.within(300, 20_000);
        assert!(server.result().await.is_err_and(|problem| problem.contains("did not respond within 0.")));
    }
}
