//! The stack of deploy/compose/tls.yml: what is reached with which key, over a connection whose certificate is checked; and that
//! Prometheus, which has a key, gets what each panel of the dashboard asks it for.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{RESTART, inputs, said, shipped};
use crate::stack::{self, Service, Stack, docker, eventually};

/// One of the keys in the secret, and the one that Prometheus has.
const KEY: &str = "a-key-of-the-radio-0123456789";
const METRICS_KEY: &str = "a-key-of-prometheus-0123456789";

/// The stack behind its proxy.
struct Guarded {
    stack: Stack,
    https: u16,
    http: u16,
    folder: tempfile::TempDir,
}

impl Guarded {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a secret");
        write("api-keys", &format!("# Prometheus\n{METRICS_KEY}\n# the radio\n{KEY}\n"));
        write("metrics-key", &format!("{METRICS_KEY}\n"));
        let [https, http] = stack::free_ports();
        let variables = [
            ("TONEARM_SECRETS", folder.path().display().to_string()),
            ("TONEARM_CADDY_IMAGE", stack::caddy()),
            ("TONEARM_PROMETHEUS_IMAGE", stack::prometheus()),
            ("TONEARM_HTTPS_PORT", format!("127.0.0.1:{https}")),
            ("TONEARM_HTTP_PORT", format!("127.0.0.1:{http}")),
        ];
        let stack = Stack::start_with("tls", &["deploy/compose/tls.yml"], &variables, &["--observe"]);
        let guarded = Self { stack, https, http, folder };
        // Made by Caddy itself: `localhost` is a name for which no authority gives a certificate.
        let root = "/data/caddy/pki/authorities/local/root.crt";
        eventually(RESTART, "Caddy has made a certificate", || {
            let proxy = guarded.container("proxy");
            match stack::try_docker(&["cp", &format!("{proxy}:{root}"), &guarded.authority()]) {
                (true, _) => Ok(()),
                (false, said) => Err(said),
            }
        });
        guarded
    }

    fn authority(&self) -> String {
        self.folder.path().join("root.crt").display().to_string()
    }

    fn container(&self, service: &str) -> String {
        self.stack.must(&["compose", "--profile", "observe", "ps", "-q", service]).trim().to_owned()
    }

    /// What curl says to `https://localhost/…`: status and body.
    fn ask(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let (authority, url) = (self.authority(), format!("https://localhost:{}{path}", self.https));
        curl(&[&["--cacert", &authority, &url], arguments].concat()).expect("an answer over TLS")
    }

    /// What `web` answers to a track that is sent with the key.
    fn predict(&self, path: &str, track: &Path) -> Value {
        let file = format!("audio_file=@{}", track.display());
        let (status, body) = self.ask(path, &["--header", &format!("X-API-Key: {KEY}"), "--form", &file]);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// What Prometheus answers to an expression: a line for each series.
    fn query(&self, prometheus: &str, expression: &str) -> Result<Vec<String>, String> {
        let (found, said) = stack::try_docker(&[
            "exec",
            prometheus,
            "promtool",
            "query",
            "instant",
            "http://127.0.0.1:9090",
            expression,
        ]);
        if found { Ok(said.lines().map(str::to_owned).collect()) } else { Err(said) }
    }
}

/// The status and the body of an answer, or what curl says is wrong.
fn curl(arguments: &[&str]) -> Result<(u16, String), String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}"]).args(arguments);
    let output = command.stdin(Stdio::null()).output().expect("curl starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').ok_or_else(|| said(&output))?;
    let status = status.parse().map_err(|_| said(&output))?;
    if output.status.success() { Ok((status, body.to_owned())) } else { Err(said(&output)) }
}

#[test]
#[ignore = "needs an engine and the images"]
fn tls_and_keys_guard_the_stack() {
    let guarded = Guarded::start();
    let stack = &guarded.stack;
    // At once, by the models of the images, without any training.
    let track = guarded.folder.path().join("track.wav");
    fs::write(&track, &inputs().track).expect("a track");
    for (service, path, model) in [(Service::Svm, "/predict", "svm"), (Service::Vgg, "/vgg", "vgg19")] {
        let answer = guarded.predict(path, &track);
        assert_eq!(answer["model"]["version"], shipped(model));
        // The proxy is the only way without a key of one's own: also from this machine each server wants one.
        let refused = stack.ask(service, "POST", path, &inputs().track).expect("an answer");
        assert_eq!(refused.json()["type"], "/problems/unauthorized");
    }
    let key = format!("Authorization: Bearer {KEY}");
    assert_eq!(guarded.ask("/v1/models", &[]).0, 401);
    assert_eq!(guarded.ask("/v1/models", &["--header", "X-API-Key: another-key-0123456789"]).0, 401);
    let (_, models) = guarded.ask("/v1/models", &["--header", &key]);
    let models: Value = serde_json::from_str(&models).expect("JSON");
    // `web` has a key to ask the others with.
    assert_eq!(models["models"][0]["version"], shipped("svm"), "{models}");
    let (status, page) = guarded.ask("/", &[]);
    assert!(status == 200 && page.contains("<title>Tonearm"), "{status}: {page}");
    assert_eq!(guarded.ask("/metrics", &["--header", &key]).0, 404, "only within the network");
    let (_, head) = guarded.ask("/", &["--head"]);
    assert!(head.to_ascii_lowercase().contains("strict-transport-security: max-age="), "{head}");

    let distrusted = curl(&[&format!("https://localhost:{}/", guarded.https)]).expect_err("of no authority");
    assert!(distrusted.contains("certificate"), "{distrusted}");
    let (status, head) = curl(&["--head", &format!("http://localhost:{}/a?b=c", guarded.http)]).expect("an answer");
    assert!(status == 301 && head.contains("Location: https://localhost/a?b=c"), "{head}");

    for service in Service::ALL {
        let told = stack.inspect(service, "{{json .Config}}");
        assert!(told.contains("/run/secrets/api-keys") && !told.contains(KEY), "a key is shown: {told}");
    }
    let proxy = docker(&["inspect", "--format", "{{.State.Pid}}", &guarded.container("proxy")]);
    let status = fs::read_to_string(format!("/proc/{proxy}/status")).expect("a process of this machine");
    // CAP_NET_BIND_SERVICE alone.
    assert!(status.contains("CapBnd:\t0000000000000400") && status.contains("NoNewPrivs:\t1"), "{status}");
    no_panel_is_dead(&guarded, &track);
}

/// Each query of the dashboard has an answer with a value in it, and each name in its legends is a label of that answer.
fn no_panel_is_dead(guarded: &Guarded, track: &Path) {
    let prometheus = guarded.container("prometheus");
    let file = fs::read_to_string(stack::root().join("deploy/grafana/tonearm.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&file).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (&panel["title"], &target["expr"], &target["legendFormat"]))
    });
    let mut waiting: Vec<_> = targets
        .map(|(title, query, legend)| {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let query = text(query).replace("$__rate_interval", "1m").replace("$service", ".*");
            assert!(!query.contains('$'), "{title}: a variable that this test does not know: {query}");
            (text(title), query, text(legend))
        })
        .collect();
    assert!(waiting.len() >= 20, "{waiting:?}");
    let broken = guarded.folder.path().join("broken.wav");
    fs::write(&broken, "no audio").expect("a file");
    eventually(RESTART, "every panel has data", || {
        // Predictions, refusals and cached responses, for as long as Prometheus has not seen them twice.
        for path in ["/predict", "/vgg"] {
            guarded.predict(path, track);
            let file = format!("audio_file=@{}", broken.display());
            assert_eq!(guarded.ask(path, &["--header", &format!("X-API-Key: {KEY}"), "--form", &file]).0, 415);
        }
        waiting.retain(|(_, query, legend)| {
            let series = guarded.query(&prometheus, query).unwrap_or_default();
            let labels = legend.split("{{").skip(1).filter_map(|part| Some(part.split_once("}}")?.0));
            let named = |line: &String| labels.clone().all(|label| line.contains(&format!("{label}=\"")));
            !series.iter().any(|line| !line.contains("=> NaN") && named(line))
        });
        if waiting.is_empty() { Ok(()) } else { Err(format!("{waiting:?}")) }
    });
    let up = guarded.query(&prometheus, r#"up{job="tonearm"} == 1"#).expect("an answer");
    assert_eq!(up.len(), Service::ALL.len(), "each is read with the key: {up:?}");
}
