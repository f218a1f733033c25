//! Export of results to an MLflow server: an experiment for each of ours, a run for each result.
//!
//! A run carries the key of its result as a tag from its first moment, and is `FINISHED` only when all of it was sent. So a result
//! is sent once: what is finished there is left alone, and what an export that was killed left behind is finished by the next.

mod client;
mod error;
mod record;

use std::{
    collections::BTreeMap,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use self::client::{Client, Credentials};
use self::{
    client::{ARTIFACTS, Put},
    error::ExportError,
    record::{KEY, Metric, Record},
};
use crate::results::store::{RESULT, SCORES, StoredResult};

type Result<T> = std::result::Result<T, ExportError>;

/// Characters of an experiment's name.
const MAX_NAME: usize = 500;
/// Runs that are asked for at a time.
const PAGE: usize = 100;
/// Pages that are asked for, should a server never say that one is the last.
const MAX_PAGES: usize = 100;

/// Sends results to one server.
pub(crate) struct Exporter {
    client: Client,
    prefix: String,
    /// Their numbers there, by name.
    experiments: BTreeMap<String, String>,
}

/// How a result came to be on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It was sent now.
    SentNow,
    /// It was begun before, and finished now.
    FinishedNow,
    /// It was there before.
    ThereBefore,
}

/// A result that is on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Exported {
    /// The experiment.
    pub(crate) experiment: String,
    /// Its number there.
    pub(crate) experiment_id: String,
    /// The run.
    pub(crate) run_id: String,
    /// Its page.
    pub(crate) url: String,
    /// How it came there.
    pub(crate) status: Status,
    /// Why its files are not there, where they were to be sent and the server stores none.
    pub(crate) without_files: Option<String>,
}

/// A run on the server.
#[derive(Debug)]
struct Run {
    id: String,
    status: String,
    /// Milliseconds since 1970; all figures get it, so that those which are sent again are not doubled.
    start: Option<i64>,
    artifact_uri: String,
    params: Vec<(String, String)>,
    metrics: Vec<(Metric, Option<i64>)>,
}

impl Exporter {
    /// Sends to the server of `client`, into experiments whose names begin with `prefix`. Nothing is sent yet.
    pub(crate) fn new(client: Client, prefix: &str) -> Self {
        Self { client, prefix: prefix.to_owned(), experiments: BTreeMap::new() }
    }

    /// Sends a result, unless all of it is there.
    pub(crate) fn send(&mut self, stored: &StoredResult) -> Result<Exported> {
        let result = &stored.result;
        if result.key.len() != 64 || !result.key.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ExportError::Key { dir: stored.dir.clone() });
        }
        let experiment = format!("{}{}", self.prefix, result.name);
        let experiment_id = self.experiment(&experiment)?;
        let record = Record::new(result);
        let begun = now();
        // A run that was made by a request whose response was lost is found when this is done again.
        let (run, found) = self.client.with_retries(|| match self.find(&experiment_id, &result.key, &record)? {
            Some(run) => Ok((run, true)),
            None => Ok((self.create(&experiment_id, &result.key, &record, begun)?, false)),
        })?;
        let finished = run.status == FINISHED;
        let without_files = if finished { None } else { self.fill(stored, &record, &run, begun)? };
        Ok(Exported {
            url: format!("{}/#/experiments/{experiment_id}/runs/{}", self.client.base(), run.id),
            experiment,
            experiment_id,
            run_id: run.id,
            status: match (finished, found) {
                (true, _) => Status::ThereBefore,
                (false, true) => Status::FinishedNow,
                (false, false) => Status::SentNow,
            },
            without_files,
        })
    }

    /// The number of the experiment, which is made where there is none.
    fn experiment(&mut self, name: &str) -> Result<String> {
        if let Some(id) = self.experiments.get(name) {
            return Ok(id.clone());
        }
        if name.chars().count() > MAX_NAME {
            return Err(ExportError::Name { name: name.to_owned(), detail: "it has more than 500 characters" });
        }
        let id = self.client.with_retries(|| match self.experiment_there(name)? {
            Some(id) => Ok(id),
            None => match self.client.post("/api/2.0/mlflow/experiments/create", &json!({ "name": name })) {
                // Another export made it meanwhile.
                Err(ExportError::Refused { code, .. }) if code == "RESOURCE_ALREADY_EXISTS" => {
                    self.experiment_there(name)?.ok_or_else(|| self.lacks("the experiment that it says to have"))
                }
                made => text(&made?["experiment_id"]).ok_or_else(|| self.lacks("the experiment that was made")),
            },
        })?;
        self.experiments.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    fn experiment_there(&self, name: &str) -> Result<Option<String>> {
        let found = match self.client.get("/api/2.0/mlflow/experiments/get-by-name", &[("experiment_name", name)]) {
            Err(ExportError::Refused { code, .. }) if code == "RESOURCE_DOES_NOT_EXIST" => return Ok(None),
            found => found?,
        };
        let experiment = &found["experiment"];
        let id = text(&experiment["experiment_id"]).ok_or_else(|| self.lacks("an experiment"))?;
        if experiment["lifecycle_stage"] == "deleted" {
            return Err(ExportError::Deleted { url: self.client.base().to_owned(), name: name.to_owned(), id });
        }
        Ok(Some(id))
    }

    /// The run of this key: one that is finished, or else the first that can be finished. What else was begun, and cannot or need
    /// not be, goes to the server's bin.
    fn find(&self, experiment_id: &str, key: &str, record: &Record) -> Result<Option<Run>> {
        let mut runs = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut body = json!({
                "experiment_ids": [experiment_id],
                "filter": format!("tags.`{KEY}` = '{key}'"),
                "run_view_type": "ACTIVE_ONLY",
                "max_results": PAGE,
                "order_by": ["attributes.start_time ASC"],
            });
            if let Some(page) = page.take() {
                body["page_token"] = page.into();
            }
            let found = self.client.post("/api/2.0/mlflow/runs/search", &body)?;
            for run in found["runs"].as_array().into_iter().flatten() {
                runs.push(self.run(run)?);
            }
            match text(&found["next_page_token"]).filter(|token| !token.is_empty()) {
                Some(next) => page = Some(next),
                None => break,
            }
        }
        if let Some(at) = runs.iter().position(|run| run.status == FINISHED) {
            return Ok(Some(runs.swap_remove(at)));
        }
        let mut chosen = None;
        for run in runs {
            if chosen.is_none() && run.is_begun_of(record) {
                chosen = Some(run);
            } else {
                self.client.post("/api/2.0/mlflow/runs/delete", &json!({ "run_id": run.id }))?;
            }
        }
        Ok(chosen)
    }

    fn create(&self, experiment_id: &str, key: &str, record: &Record, begun: i64) -> Result<Run> {
        let body = json!({
            "experiment_id": experiment_id,
            "run_name": record.run_name,
            "start_time": begun,
            "tags": [{ "key": KEY, "value": key }],
        });
        self.run(&self.client.post("/api/2.0/mlflow/runs/create", &body)?["run"])
    }

    /// Sends everything of a run, and that it is finished only then. Gives the reason why files were not sent.
    fn fill(&self, stored: &StoredResult, record: &Record, run: &Run, begun: i64) -> Result<Option<String>> {
        for batch in record.batches(&run.id, run.start.unwrap_or(begun)) {
            self.client.with_retries(|| self.client.post("/api/2.0/mlflow/runs/log-batch", &batch))?;
        }
        let without_files = self.files(stored, run)?;
        let body = json!({ "run_id": run.id, "status": FINISHED, "end_time": now(), "run_name": record.run_name });
        self.client.with_retries(|| self.client.post("/api/2.0/mlflow/runs/update", &body))?;
        Ok(without_files)
    }

    fn files(&self, stored: &StoredResult, run: &Run) -> Result<Option<String>> {
        let Some(folder) = folder(&run.artifact_uri, self.client.base()) else {
            let store = run.artifact_uri.split([':', '/']).next().unwrap_or_default();
            let store = if store.is_empty() { "a folder" } else { store };
            return Ok(Some(format!("the server stores files of runs elsewhere ({store}) and passes none on")));
        };
        for name in [RESULT, SCORES] {
            let path = stored.dir.join(name);
            let bytes = fs::read(&path).map_err(|source| ExportError::Read { path, source })?;
            if self.client.with_retries(|| self.client.put(&format!("{folder}/{name}"), &bytes))? == Put::NotServed {
                return Ok(Some("the server takes no files of runs (it runs with --no-serve-artifacts)".to_owned()));
            }
        }
        Ok(None)
    }

    fn run(&self, run: &Value) -> Result<Run> {
        let info = &run["info"];
        let id = text(&info["run_id"]).or_else(|| text(&info["run_uuid"])).ok_or_else(|| self.lacks("a run"))?;
        let list = |of: &str| run["data"][of].as_array().cloned().unwrap_or_default();
        let word = |value: &Value| text(value).unwrap_or_default();
        let figure = |metric: &Value| {
            let step = usize::try_from(whole(&metric["step"]).unwrap_or(0)).unwrap_or(usize::MAX);
            let value = metric["value"].as_f64().unwrap_or(f64::NAN);
            (Metric { key: word(&metric["key"]), value, step }, whole(&metric["timestamp"]))
        };
        Ok(Run {
            id,
            status: word(&info["status"]),
            start: whole(&info["start_time"]),
            artifact_uri: word(&info["artifact_uri"]),
            params: list("params").iter().map(|param| (word(&param["key"]), word(&param["value"]))).collect(),
            metrics: list("metrics").iter().map(figure).collect(),
        })
    }

    fn lacks(&self, what: &str) -> ExportError {
        self.client.not_mlflow(format!("a response lacks {what}"))
    }
}

/// The status of a run that was sent to its end.
const FINISHED: &str = "FINISHED";

impl Run {
    /// Whether all that it holds is of this result, so that sending the rest gives what sending all gives. A parameter cannot be
    /// changed any more, and a figure of another time would be there twice.
    fn is_begun_of(&self, record: &Record) -> bool {
        self.start.is_some()
            && self.params.iter().all(|(key, value)| record.params.get(key) == Some(value))
            && self.metrics.iter().all(|(metric, time)| *time == self.start && record.metrics.contains(metric))
    }
}

/// Where the files of a run lie below [`ARTIFACTS`], if it is this server that stores them.
fn folder(artifact_uri: &str, base: &str) -> Option<String> {
    let own = format!("{base}{ARTIFACTS}");
    let folder = match artifact_uri.strip_prefix("mlflow-artifacts:") {
        Some(rest) => match rest.strip_prefix("//") {
            // Of a server that is named: of this one, or of another.
            Some(rest) => {
                let (host, path) = rest.split_once('/')?;
                let ours = base.split_once("://")?.1;
                if !host.is_empty() && host != ours {
                    return None;
                }
                path
            }
            None => rest,
        },
        None => artifact_uri.strip_prefix(&own)?,
    };
    let folder = folder.trim_matches('/');
    let taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    Some(folder)
        .filter(|folder| !folder.is_empty())
        .map(|folder| folder.chars().map(|c| if taken(c) { c.to_string() } else { escaped(c) }).collect())
}

/// A character as a path of an address has it.
fn escaped(c: char) -> String {
    c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A text, or a number where some servers say one.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
}

/// A whole number, or a text of one: JSON of protocol buffers has both.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_where_this_server_keeps_them_or_nowhere() {
        let base = "http://host:5000";
        for (uri, expected) in [
            ("mlflow-artifacts:/1/abc/artifacts", Some("1/abc/artifacts")),
            ("mlflow-artifacts:///1/abc/artifacts/", Some("1/abc/artifacts")),
            ("mlflow-artifacts://host:5000/1/abc", Some("1/abc")),
            ("mlflow-artifacts://other:5000/1/abc", None),
            ("mlflow-artifacts:/a b/ü", Some("a%20b/%C3%BC")),
            ("http://host:5000/api/2.0/mlflow-artifacts/artifacts/1/abc", Some("1/abc")),
            ("http://other/api/2.0/mlflow-artifacts/artifacts/1/abc", None),
            ("s3://bucket/1/abc", None),
            ("/mlruns/1/abc", None),
            ("mlflow-artifacts:", None),
            ("", None),
        ] {
            assert_eq!(folder(uri, base).as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn what_another_hand_began_is_not_finished() {
        let metric = Metric { key: "accuracy".to_owned(), value: 0.1 + 0.2, step: 0 };
        let record = Record {
            run_name: "run".to_owned(),
            params: [("a".to_owned(), "1".to_owned())].into(),
            metrics: vec![metric.clone()],
            tags: BTreeMap::new(),
        };
        let run = |start, params: &[(&str, &str)], metrics| Run {
            id: "r".to_owned(),
            status: "RUNNING".to_owned(),
            start,
            artifact_uri: String::new(),
            params: params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            metrics,
        };
        assert!(run(Some(7), &[], vec![]).is_begun_of(&record));
        assert!(run(Some(7), &[("a", "1")], vec![(metric.clone(), Some(7))]).is_begun_of(&record));
        assert!(!run(None, &[], vec![]).is_begun_of(&record));
        assert!(!run(Some(7), &[("a", "2")], vec![]).is_begun_of(&record));
        assert!(!run(Some(7), &[("b", "1")], vec![]).is_begun_of(&record));
        assert!(!run(Some(7), &[], vec![(metric.clone(), Some(8))]).is_begun_of(&record));
        assert!(!run(Some(7), &[], vec![(Metric { value: 0.3, ..metric }, Some(7))]).is_begun_of(&record));
    }
}
