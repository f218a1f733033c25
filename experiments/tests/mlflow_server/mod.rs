//! A real MLflow server, and its REST API.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

/// How long it may take to start: it imports much, and shares its cores with other tests.
const START: Duration = Duration::from_secs(120);

/// A server of its own, with nothing on it. It ends with this, or with the program of the tests, however that ends.
pub(crate) struct Server {
    child: Child,
    agent: Agent,
    pub(crate) url: String,
    folder: TempDir,
}

impl Server {
    /// Starts it, unless the environment does not say where it is.
    pub(crate) fn start() -> Option<Self> {
        // It comes from PyPI: `tests/run` installs it, and says where it is.
        let Some(environment) = std::env::var_os("TONEARM_MLFLOW") else {
            eprintln!("skipped: TONEARM_MLFLOW is not set; tests/run installs MLflow and sets it");
            return None;
        };
        let mlflow = Path::new(&environment).join("bin/mlflow");
        // Another program may take the port before it does.
        let mut started =
            (0..3).map(|_| Self::try_start(mlflow.as_os_str()).inspect_err(|output| eprintln!("{output}")));
        let server = started.find_map(Result::ok);
        assert!(server.is_some(), "MLflow does not start; its output is above");
        server
    }

    fn try_start(mlflow: &OsStr) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let output = File::create(folder.path().join("log")).expect("a file");
        let mut command = Command::new("sh");
        // Whatever ends first, its input or the server: the whole group goes, workers of the server included.
        command.args(["-c", "{ \"$@\" </dev/null; kill -s KILL 0; } & cat >/dev/null; kill -s KILL 0", "sh"]);
        command.arg(mlflow).args([
            "server",
            "--host",
            "127.0.0.1",
            "--workers",
            "1",
            "--port",
            &free.port().to_string(),
        ]);
        command.arg("--backend-store-uri").arg(format!("sqlite:///{}/mlflow.db", folder.path().display()));
        command.arg("--artifacts-destination").arg(folder.path().join("artifacts"));
        command.env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false").env("MLFLOW_DISABLE_TELEMETRY", "true");
        command.current_dir(folder.path()).process_group(0).stdin(Stdio::piped());
        command.stdout(output.try_clone().expect("a file")).stderr(output);
        let child = command.spawn().expect("a shell");
        let agent = Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(START));
        let agent = agent.build().new_agent();
        let mut server = Self { child, agent, url: format!("http://{free}"), folder };
        let begun = Instant::now();
        let health = format!("{}/health", server.url);
        while !server.agent.get(&health).call().is_ok_and(|answer| answer.status().is_success()) {
            let ended = server.child.try_wait().expect("a status").is_some();
            if ended || begun.elapsed() > START {
                let log = fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
                return Err(format!("MLflow {}: {log}", if ended { "ended" } else { "does not answer" }));
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(server)
    }

    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().expect("an answer");
        let bytes = answer.body_mut().read_to_vec().expect("a body");
        assert_eq!(answer.status(), 200, "{path}: {}", String::from_utf8_lossy(&bytes));
        bytes
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&self.bytes(path)).expect("JSON")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.agent.post(format!("{}/api/2.0/mlflow/{path}", self.url));
        let mut answer = request.header("content-type", "application/json").send(body.to_string()).expect("an answer");
        let body = answer.body_mut().read_to_string().expect("a body");
        assert_eq!(answer.status(), 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The runs of an experiment that are not deleted, by their ids.
    pub(crate) fn runs(&self, experiment: &str) -> BTreeMap<String, Value> {
        let query = format!("experiments/get-by-name?experiment_name={}", experiment.replace('/', "%2F"));
        let id = self.get(&format!("/api/2.0/mlflow/{query}"))["experiment"]["experiment_id"].clone();
        let found = self.post("runs/search", &json!({ "experiment_ids": [id], "max_results": 100 }));
        let runs = found["runs"].as_array().into_iter().flatten();
        runs.map(|run| (run["info"]["run_id"].as_str().expect("a run").to_owned(), run.clone())).collect()
    }

    /// A figure of a run.
    pub(crate) fn figure(&self, run: &str, key: &str) -> Value {
        let history = self.get(&format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={key}"));
        history["metrics"][0]["value"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
