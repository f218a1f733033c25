//! MLflow's REST API, as far as it is needed: <https://mlflow.org/docs/latest/rest-api.html>.

use std::{cell::Cell, thread, time::Duration};

use serde_json::Value;
use train::http::{Fault, address, agent};
use ureq::{
    Agent, Body,
    http::{Response, header},
};

use super::{Credentials, Error};

type Result<T> = std::result::Result<T, Error>;

/// How often a request is sent again whose connection was cut, or to which the server said that it is busy.
const RETRIES: u32 = 4;
/// How long to wait before the first of them; each wait is twice the one before.
const WAIT: Duration = Duration::from_secs(1);
/// How long a request and its answer may take in all, however steadily they drip.
const CALL_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of an answer that are read.
const MAX_ANSWER: u64 = 16 << 20;
/// Characters of what a server says that are repeated.
const MAX_SAID: usize = 300;

/// Where MLflow takes artifacts that it keeps in its own store.
pub(super) const ARTIFACTS: &str = "/api/2.0/mlflow-artifacts/artifacts/";

/// What became of a file that was to be put beside a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// The server keeps it.
    StoredResult,
    /// The server keeps no files for others.
    NotServed,
}

/// Asks one server.
pub struct Client {
    agent: Agent,
    base: String,
    credentials: Credentials,
    /// Whether it has answered: before that, no connection is a mistake, and afterwards a mishap.
    reached: Cell<bool>,
    wait: Duration,
}

/// An answer that is read.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    /// A client of the server at `url`, which is not asked yet.
    ///
    /// # Errors
    /// When it is no address of a server.
    pub fn new(url: &str, credentials: Credentials) -> Result<Self> {
        let base = base(url)?;
        let uri = address(&base).map_err(|detail| Error::Url { url: base.clone(), detail })?;
        // Followed, a redirect would turn what is sent into a question.
        let config = agent(&uri).max_redirects(0).timeout_global(Some(CALL_TIMEOUT));
        Ok(Self { agent: config.build().new_agent(), base, credentials, reached: Cell::new(false), wait: WAIT })
    }

    /// The address, without what follows the server's own path.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Does `work` again after what passes by itself, a few times. It must not matter that it was half done before.
    pub(super) fn patiently<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        for retry in 0..RETRIES {
            match work() {
                Err(error) if error.is_passing() => thread::sleep(self.wait * 2_u32.pow(retry)),
                done => return done,
            }
        }
        work()
    }

    /// Asks once.
    pub(super) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in query {
            request = request.query(name, value);
        }
        self.json(path, self.answer(self.signed(request).call())?)
    }

    /// Sends once.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.signed(self.agent.post(self.url(path))).header(header::CONTENT_TYPE, "application/json");
        self.json(path, self.answer(request.send(body.to_string()))?)
    }

    /// Puts a file where the server keeps those of runs, once.
    pub(super) fn put(&self, file: &str, bytes: &[u8]) -> Result<Put> {
        let request = self.signed(self.agent.put(self.url(&format!("{ARTIFACTS}{file}"))));
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        let answer = self.answer(request.send(bytes))?;
        match answer.status {
            200..300 => Ok(Put::StoredResult),
            // `--no-serve-artifacts`, which MLflow says as if it might pass, and servers that never heard of it.
            503 if answer.said().contains("serve-artifacts") => Ok(Put::NotServed),
            404 | 405 | 501 => Ok(Put::NotServed),
            _ => Err(self.refusal(ARTIFACTS, &answer)),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn signed<Any>(&self, request: ureq::RequestBuilder<Any>) -> ureq::RequestBuilder<Any> {
        match self.credentials.header() {
            None => request,
            Some(header) => request.header(header::AUTHORIZATION, header),
        }
    }

    fn answer(&self, response: std::result::Result<Response<Body>, ureq::Error>) -> Result<Answer> {
        let mut response = response.map_err(|error| self.fault(error))?;
        self.reached.set(true);
        let status = response.status().as_u16();
        if (300..400).contains(&status) {
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            return Err(Error::Redirect { url: self.base.clone(), to: short(to) });
        }
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        Ok(Answer { status, body: body.map_err(|error| self.fault(error))? })
    }

    fn json(&self, path: &str, answer: Answer) -> Result<Value> {
        if !(200..300).contains(&answer.status) {
            return Err(self.refusal(path, &answer));
        }
        serde_json::from_slice(&answer.body)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| self.not_mlflow(format!("what it says to {path} is no JSON object: {}", answer.said())))
    }

    /// What an answer that is none of success means.
    fn refusal(&self, path: &str, answer: &Answer) -> Error {
        let (url, status) = (self.base.clone(), answer.status);
        match status {
            401 => return Error::Unauthorised { url, who: self.credentials.who() },
            403 => return Error::Forbidden { url, said: answer.said() },
            408 | 425 | 429 | 500 | 502..600 => return Error::Busy { url, status, said: answer.said() },
            _ => {}
        }
        match serde_json::from_slice::<Value>(&answer.body).ok().as_ref().and_then(|json| json["error_code"].as_str()) {
            Some(code) => Error::Refused { url, path: path.to_owned(), status, code: short(code), said: answer.said() },
            None => self.not_mlflow(format!("it answers {path} with HTTP status {status}: {}", answer.said())),
        }
    }

    pub(super) fn not_mlflow(&self, detail: String) -> Error {
        Error::NotMlflow { url: self.base.clone(), detail }
    }

    fn fault(&self, error: ureq::Error) -> Error {
        let url = self.base.clone();
        match Fault::of(error, url.starts_with("https")) {
            Fault::Unreached(detail) if self.reached.get() => Error::Cut { url, detail },
            Fault::Unreached(detail) => Error::Connect { url, detail },
            Fault::Cut(detail) => Error::Cut { url, detail },
            Fault::Tls(detail) => Error::Tls { url, detail },
            Fault::Other(ureq::Error::BodyExceedsLimit(limit)) => {
                self.not_mlflow(format!("an answer has more than {limit} bytes"))
            }
            Fault::Other(error) => self.not_mlflow(format!("what it says cannot be understood: {error}")),
        }
    }
}

impl Answer {
    /// What it says, for people: MLflow's message, or the beginning of the body.
    fn said(&self) -> String {
        let json = serde_json::from_slice::<Value>(&self.body).ok();
        match json.as_ref().and_then(|json| json["message"].as_str()) {
            Some(message) => short(message),
            None if self.body.is_empty() => "nothing".to_owned(),
            None => short(&String::from_utf8_lossy(&self.body)),
        }
    }
}

/// The beginning of a text, in one line and without what would move the cursor of a terminal.
fn short(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(MAX_SAID).collect();
    if cut.len() < line.len() { format!("{cut}…") } else { cut }
}

/// The address under which the API lies: that of the page in the browser is taken, too.
fn base(url: &str) -> Result<String> {
    let url = url.trim();
    let wrong = |url: &str, detail: &str| Error::Url { url: url.to_owned(), detail: detail.to_owned() };
    let without_fragment = url.split('#').next().unwrap_or(url);
    if let Err(detail) = address(without_fragment) {
        // Not repeated: what stands before the host is mostly a password.
        if without_fragment.contains('@') {
            return Err(wrong(
                "the address",
                "names a user; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            ));
        }
        return Err(wrong(url, &detail));
    }
    if without_fragment.contains('?') {
        return Err(wrong(url, "has a question mark"));
    }
    Ok(without_fragment.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn addresses_become_that_of_the_api() {
        for (url, expected) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
            (" https://host/mlflow// ", "https://host/mlflow"),
            ("http://host:5000/#/experiments/3/runs/4", "http://host:5000"),
        ] {
            let client = Client::new(url, Credentials::None).expect(url);
            assert_eq!(client.base(), expected);
            assert_eq!(client.url("/api/2.0/mlflow/runs/create"), format!("{expected}/api/2.0/mlflow/runs/create"));
        }
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused_without_its_secrets() {
        for (url, says) in [
            ("", "no address"),
            ("sqlite:///mlflow.db", "no address"),
            ("databricks", "begin with"),
            ("./mlruns", "no address"),
            ("ftp://host", "begin with"),
            ("http://host/?a=b", "question mark"),
            ("http://me:hunter2@host", "MLFLOW_TRACKING_USERNAME"),
        ] {
            let Err(error) = Client::new(url, Credentials::None) else { panic!("{url} was taken") };
            let said = error.to_string();
            assert!(said.contains(says) && !said.contains("hunter2"), "{url}: {said}");
        }
    }

    /// A server that gives these answers, one to each connection; the client's address of it.
    fn server(answers: Vec<String>) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let client = Client::new(&url, Credentials::None).expect("an address");
        Client { wait: Duration::from_millis(1), ..client }
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn what_passes_is_waited_for_and_what_does_not_is_not() {
        let busy = || answer("503 Service Unavailable", "later");
        let good = || answer("200 OK", "{\"a\": 1}");
        // The second connection ends before the answer does.
        let client = server(vec![busy(), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_owned(), good()]);
        assert_eq!(client.patiently(|| client.get("/a", &[])).expect("at last")["a"], 1);

        let client = server((0..=RETRIES).map(|_| busy()).chain([good()]).collect());
        let said = client.patiently(|| client.get("/a", &[])).expect_err("given up").to_string();
        assert!(said.contains("503") && said.contains("later"), "{said}");

        let refused = answer("400 Bad Request", "{\"error_code\": \"INVALID\", \"message\": \"no\\nsuch\"}");
        let client = server(vec![refused, good()]);
        let said = client.patiently(|| client.get("/a", &[])).expect_err("refused").to_string();
        assert!(said.contains("INVALID") && said.contains("no such"), "{said}");
    }

    #[test]
    fn answers_are_understood_or_told_as_they_are() {
        for (answer, says) in [
            (answer("200 OK", "<html>"), "no MLflow server"),
            (answer("200 OK", "[]"), "no JSON object"),
            (answer("404 Not Found", "\u{1b}[2Jgone"), "HTTP status 404: [2Jgone"),
            (answer("401 Unauthorized", ""), "MLFLOW_TRACKING_TOKEN"),
            (answer("403 Forbidden", "Invalid Host header"), "403): Invalid Host header"),
            (
                "HTTP/1.1 302 Found\r\nlocation: http://b/\r\ncontent-length: 0\r\n\r\n".to_owned(),
                "redirects to http://b/",
            ),
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "no MLflow server"),
            (answer("200 OK", &" ".repeat(MAX_ANSWER as usize + 1)), "more than 16777216 bytes"),
        ] {
            let said = server(vec![answer.clone()]).get("/a", &[]).expect_err("none of success").to_string();
            assert!(said.contains(says) && !said.contains('\u{1b}'), "{says}: {said}");
        }
        let none = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let client = Client::new(&format!("http://{none}"), Credentials::None).expect("an address");
        let said = client.patiently(|| client.get("/a", &[])).expect_err("nobody").to_string();
        assert!(said.contains("failed to reach") && said.contains("refused"), "{said}");
    }

    #[test]
    fn a_server_that_keeps_no_files_is_no_mishap() {
        let disabled = "Endpoint: /x disabled due to the mlflow server running with `--no-serve-artifacts`.";
        for (answer, expected) in [
            (answer("200 OK", "{}"), Put::StoredResult),
            (answer("503 Service Unavailable", disabled), Put::NotServed),
            (answer("404 Not Found", ""), Put::NotServed),
        ] {
            assert_eq!(server(vec![answer]).put("1/run/artifacts/result.json", b"{}").expect("an answer"), expected);
        }
    }
}
