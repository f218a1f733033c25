//! `serve health`: asks a server whether it lives, or is ready, and exits with the answer.
//!
//! The health check of a container is run within it. With this its image needs no other client of HTTP.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::ExitCode,
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

use crate::{Error, Result, api::problem::MAX_DETAIL, cli::config::join, gateway::error_chain};

/// Between two questions of one wait.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a wait is silent, where somebody watches.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const MAX_BODY: usize = 64 << 10;

/// Options of `serve health`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  serve health --url http://127.0.0.1:8083\n  \
                        TONEARM_LISTEN=0.0.0.0:8081 serve health      # asks http://127.0.0.1:8081/healthz\n  \
                        serve health --url http://127.0.0.1:8081 --ready --wait 60\n\
                        `serve web` is ready while one of its models is; which is not is said.\n\
                        Exit codes: 0 it is well, 1 it is not, or does not answer, 2 wrong usage.")]
pub struct HealthArgs {
    /// Where the server is, such as http://127.0.0.1:8083; counts more than --listen
    #[arg(long, value_name = "URL")]
    url: Option<Uri>,

    /// Address that the server was told to listen on; one that stands for every interface is asked on this machine
    #[arg(long, value_name = "HOST:PORT", env = "TONEARM_LISTEN")]
    listen: Option<String>,

    /// Ask whether it takes songs (/readyz), and not only whether it lives (/healthz)
    #[arg(long)]
    ready: bool,

    /// Go on asking until it is well, at most this long
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = crate::cli::args::seconds_or_never)]
    wait: f64,

    /// How long one answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = crate::cli::args::seconds)]
    timeout: f64,
}

/// What is asked of whom, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// A name or an address, without brackets.
    host: String,
    port: u16,
    /// What the server knows its route by.
    target: String,
    timeout: Duration,
    wait: Duration,
}

/// Why a server is not well.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Unwell {
    #[error(": failed to connect: {0}")]
    Unreachable(String),
    #[error(" gave no answer within {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error(" gave no answer of HTTP: {0}")]
    Garbled(String),
    #[error(" answered {status}{}", after_colon(detail))]
    Refused { status: u16, detail: String },
}

impl HealthArgs {
    /// What is to be asked.
    ///
    /// # Errors
    /// [`Error::Usage`] when no server is named, or cannot be by that.
    pub(crate) fn probe(&self) -> Result<Probe> {
        let (host, port, prefix) = match (&self.url, &self.listen) {
            (Some(url), _) => of_url(url)?,
            (None, Some(listen)) => of_listen(listen)?,
            (None, None) => {
                let problem =
                    "which server is to be asked? Name it with --url, or set TONEARM_LISTEN to what it listens on";
                return Err(Error::Usage(problem.to_owned()));
            }
        };
        let route = if self.ready { "/readyz" } else { "/healthz" };
        let (timeout, wait) = (Duration::from_secs_f64(self.timeout), Duration::from_secs_f64(self.wait));
        Ok(Probe { host, port, target: format!("{prefix}{route}"), timeout, wait })
    }
}

/// Host, port and path of a server that is named by its URL.
fn of_url(url: &Uri) -> Result<(String, u16, String)> {
    // None of the messages repeats the URL: there may be a password in it.
    let refuse = |problem: &str| Err(Error::Usage(format!("--url: {problem}, such as http://127.0.0.1:8083")));
    match (url.scheme_str(), url.authority()) {
        (Some("http"), Some(authority)) if !authority.host().is_empty() => {
            if authority.as_str().contains('@') || url.query().is_some() {
                return refuse("no user, password or query is sent; give it without");
            }
            let prefix = url.path().trim_end_matches('/').to_owned();
            Ok((without_brackets(authority.host()).to_owned(), authority.port_u16().unwrap_or(80), prefix))
        }
        (Some("https"), _) => refuse("https:// is not spoken here; give the server's own address"),
        _ => refuse("it is to begin with http:// and to name a host"),
    }
}

/// Where a server on this machine is to be found that listens on `listen`.
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

/// Asks, and says on standard error what is not well.
///
/// # Errors
/// [`Error::System`] when nothing can be asked at all.
pub fn run(probe: &Probe) -> Result<ExitCode> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::System { what: "the async runtime", source })?;
    let outcome = runtime.block_on(probe.until_well());
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let (code, said) = match outcome {
        Ok(None) => return Ok(ExitCode::SUCCESS),
        Ok(Some(but)) => (ExitCode::SUCCESS, format!("{probe}: ready, but {but}")),
        Err(unwell) if probe.wait.is_zero() => (ExitCode::FAILURE, format!("{probe}{unwell}")),
        Err(unwell) => {
            (ExitCode::FAILURE, format!("{probe}{unwell}; it was waited for {} s", probe.wait.as_secs_f64()))
        }
    };
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(io::stderr(), "serve health: {said}"));
    Ok(code)
}

impl Probe {
    /// Asks until the server is well or the time is over. What is not well even so, of a server that is ready, comes back.
    async fn until_well(&self) -> Result<Option<String>, Unwell> {
        let start = Instant::now();
        let mut bar = None;
        let mut before: Option<Unwell> = None;
        loop {
            let left = self.wait.saturating_sub(start.elapsed());
            let limit = if self.wait.is_zero() { self.timeout } else { self.timeout.min(left) };
            let unwell = match (self.ask(limit).await, before) {
                (Ok(but), _) => return Ok(but),
                // The end of the wait cut it short: what was said before says more.
                (Err(Unwell::Silent(_)), Some(before)) if limit < self.timeout => before,
                (Err(unwell), _) => unwell,
            };
            if start.elapsed() + PAUSE >= self.wait {
                return Err(unwell);
            }
            if start.elapsed() > PATIENCE && io::stderr().is_terminal() {
                let bar = bar.get_or_insert_with(|| spinner(start));
                bar.set_message(format!("{self}{unwell}"));
                bar.tick();
            }
            before = Some(unwell);
            time::sleep(PAUSE).await;
        }
    }

    /// Asks once.
    async fn ask(&self, limit: Duration) -> Result<Option<String>, Unwell> {
        let (status, body) = time::timeout(limit, self.exchange()).await.unwrap_or(Err(Unwell::Silent(limit)))?;
        let said = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status == StatusCode::OK {
            return Ok(not_ready(&said));
        }
        let detail = plain(said["detail"].as_str().unwrap_or_default());
        Err(Unwell::Refused { status: status.as_u16(), detail })
    }

    async fn exchange(&self) -> Result<(StatusCode, Bytes), Unwell> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| Unwell::Unreachable(error.to_string()))?;
        let garbled = |error: &dyn std::error::Error| Unwell::Garbled(error_chain(error));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| garbled(&error))?;
        // It ends with this program, and what is wrong with it is said to the request.
        tokio::spawn(connection);
        let request = Request::get(&self.target)
            .header(header::HOST, join(&self.host, self.port))
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| garbled(&error))?;
        let (head, body) = sender.send_request(request).await.map_err(|error| garbled(&error))?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| garbled(&*error))?;
        Ok((head.status, body.to_bytes()))
    }
}

impl fmt::Display for Probe {
    /// The URL that is asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", join(&self.host, self.port), self.target)
    }
}

/// The models that a server which is ready says are not, as `serve web` does, and why.
fn not_ready(said: &Value) -> Option<String> {
    let models = said["models"].as_object()?.iter().filter(|(_, model)| model["ready"] == false);
    let problem = |model: &Value| after_colon(model["problem"].as_str().unwrap_or_default());
    let problems: Vec<_> = models.map(|(name, model)| format!("{name} is not{}", problem(model))).collect();
    if problems.is_empty() { None } else { Some(plain(&problems.join("; "))) }
}

/// What may stand on a line of a terminal, whoever it was that wrote it.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect()
}

/// That a server is waited for, and since when.
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
        HealthArgs { url: None, listen: None, ready: false, wait: 0.0, timeout: 3.0 }
    }

    /// What is asked, or why nothing can be.
    fn asked(args: &HealthArgs) -> Result<String, String> {
        args.probe().map(|probe| probe.to_string()).map_err(|error| {
            assert!(matches!(error, Error::Usage(_)));
            error.to_string()
        })
    }

    #[test]
    fn what_a_server_listens_on_says_where_to_ask() {
        let of = |listen: &str| asked(&HealthArgs { listen: Some(listen.to_owned()), ..args() });
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
    fn a_url_counts_more_and_is_http() {
        let of = |url: &str| {
            let url = Some(url.parse().expect("a URI"));
            asked(&HealthArgs { url, listen: Some("0.0.0.0:1".to_owned()), ready: true, ..args() })
        };
        for (url, wanted) in [
            ("http://web:8083", "http://web:8083/readyz"),
            ("http://web:8083/", "http://web:8083/readyz"),
            ("http://[::1]:8083/music/", "http://[::1]:8083/music/readyz"),
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
        assert!(asked(&args()).is_err_and(|problem| problem.contains("--url") && problem.contains("TONEARM_LISTEN")));
    }

    /// A server that gives these answers one after the other, the last of them from then on; of one that is empty, none.
    struct Canned {
        probe: Probe,
        asked: Arc<AtomicUsize>,
        task: JoinHandle<()>,
    }

    impl Canned {
        async fn new(answers: &'static [&'static str]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let listen = Some(listener.local_addr().expect("is bound").to_string());
            let probe = HealthArgs { listen, ready: true, timeout: 20.0, ..args() }.probe().expect("sound");
            let asked = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&asked);
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
            Self { probe, asked, task }
        }

        /// Asked for so long in all, and for so long each time.
        fn within(mut self, wait: u64, timeout: u64) -> Self {
            (self.probe.wait, self.probe.timeout) = (Duration::from_millis(wait), Duration::from_millis(timeout));
            self
        }

        async fn outcome(&self) -> Result<Option<String>, String> {
            self.probe.until_well().await.map_err(|unwell| format!("it{unwell}"))
        }
    }

    impl Drop for Canned {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    const WELL: &str =
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"status\":\"ready\",\"models\":{\"svm\":{\"ready\":true}}}";
    const HALF: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\
                        {\"models\":{\"svm\":{\"ready\":true},\"vgg19\":{\"ready\":false,\"problem\":\"its server is\\nnot reachable\"}}}";
    const UNREADY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 46\r\n\r\n{\"detail\": \"there is no svm artifact\\u001b\\n\"}";
    const OTHER: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>";

    #[tokio::test]
    async fn it_says_what_came_back() {
        for (answer, wanted) in [
            (&[WELL] as &[_], Ok(None)),
            (&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], Ok(None)),
            (&[HALF], Ok(Some("vgg19 is not: its server isnot reachable"))),
            (&[UNREADY], Err("it answered 503: there is no svm artifact")),
            (&[OTHER], Err("it answered 404")),
            (&["SSH-2.0-OpenSSH_9.2\r\n"], Err("it gave no answer of HTTP: ")),
            (&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"], Err("it gave no answer of HTTP: ")),
        ] {
            let outcome = Canned::new(answer).await.outcome().await;
            match (outcome, wanted) {
                (Ok(but), Ok(wanted)) => assert_eq!(but.as_deref(), wanted, "{answer:?}"),
                (Err(problem), Err(wanted)) => assert!(problem.starts_with(wanted), "{answer:?}: {problem}"),
                (outcome, _) => panic!("{answer:?}: {outcome:?}"),
            }
        }
    }

    #[tokio::test]
    async fn nobody_there_and_nobody_who_speaks_are_told_apart() {
        let silent = Canned::new(&[""]).await.within(0, 50);
        assert_eq!(silent.outcome().await, Err("it gave no answer within 0.05 s".to_owned()));
        let gone = silent.probe.clone();
        silent.task.abort();
        while !silent.task.is_finished() {
            time::sleep(Duration::from_millis(5)).await;
        }
        let unwell = gone.until_well().await.expect_err("nobody listens");
        assert!(unwell.to_string().starts_with(": failed to connect: "), "{unwell}");
    }

    #[tokio::test]
    async fn it_asks_until_all_is_well() {
        let server = Canned::new(&[UNREADY, OTHER, "", WELL]).await.within(20_000, 50);
        assert_eq!(server.outcome().await, Ok(None));
        assert_eq!(server.asked.load(Ordering::Relaxed), 4);

        let server = Canned::new(&[UNREADY]).await.within(350, 20_000);
        assert_eq!(server.outcome().await, Err("it answered 503: there is no svm artifact".to_owned()));
        assert!((2..=4).contains(&server.asked.load(Ordering::Relaxed)));
    }

    #[tokio::test]
    async fn a_question_that_the_end_cuts_short_does_not_hide_what_was_said() {
        let server = Canned::new(&[UNREADY, ""]).await.within(300, 20_000);
        assert_eq!(server.outcome().await, Err("it answered 503: there is no svm artifact".to_owned()));
        let server = Canned::new(&[""]).await.within(300, 20_000);
        assert!(server.outcome().await.is_err_and(|problem| problem.contains("no answer within 0.")));
    }
}
