//! A result as MLflow holds it: parameters, metrics and tags, within its limits.

use std::collections::BTreeMap;

use features::{FeatureSpec, Fingerprint};
use serde_json::{Value, json};
use train::evaluation::metrics::Evaluation;

use crate::results::store::RunResult;

/// Characters of a key.
const MAX_KEY: usize = 250;
/// Characters of a parameter's value.
const MAX_PARAM: usize = 6000;
/// Characters of a tag's value; since MLflow 2.7 they may be 8000.
const MAX_TAG: usize = 5000;
/// Parameters, and tags, of one request.
const MAX_PARAMS: usize = 100;
/// Metrics of one request, and everything in it together.
const MAX_METRICS: usize = 1000;
/// Bytes of one request: half of what MLflow takes, so that what is around the values does not matter.
const MAX_BYTES: usize = 500_000;

/// The tag by which a result is found again.
pub(super) const KEY: &str = "tonearm.key";

/// A result as MLflow holds it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// The name of the run, for people.
    pub(super) run_name: String,
    /// What decided the result.
    pub(super) params: BTreeMap<String, String>,
    /// What came out.
    pub(super) metrics: Vec<Metric>,
    /// What else a reader wants to know.
    pub(super) tags: BTreeMap<String, String>,
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metric {
    /// Its name.
    pub(super) key: String,
    /// How much.
    pub(super) value: f64,
    /// The fold, from 0, of what each fold has.
    pub(super) step: usize,
}

impl Record {
    /// All of a result that MLflow has a field for.
    pub(super) fn new(result: &RunResult) -> Self {
        let point = if result.point.is_empty() { String::new() } else { format!(", {}", result.point) };
        let segments = result.segments_per_clip.map(|n| format!(", {n} segments")).unwrap_or_default();
        let run_name = format!("{}{segments}, seed {}{point}", result.split, result.seed);
        Self {
            run_name: limited(&run_name, MAX_KEY),
            params: params(result),
            metrics: metrics(result),
            tags: tags(result),
        }
    }

    /// The bodies of `runs/log-batch` that hold all of it, each within MLflow's limits. Those of the same time may be sent
    /// again: MLflow stores a figure once.
    pub(super) fn batches(&self, run_id: &str, milliseconds: i64) -> Vec<Value> {
        let word = |(key, value): (&String, &String)| json!({ "key": key, "value": value });
        let figure = |Metric { key, value, step }: &Metric| json!({ "key": key, "value": value, "step": step, "timestamp": milliseconds });
        let items = self.params.iter().map(|param| ("params", MAX_PARAMS, word(param)));
        let items = items.chain(self.tags.iter().map(|tag| ("tags", MAX_PARAMS, word(tag))));
        let items = items.chain(self.metrics.iter().map(|metric| ("metrics", MAX_METRICS, figure(metric))));
        let mut batches = Vec::new();
        let mut batch: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let mut bytes = 0;
        for (kind, most, item) in items {
            let length = item.to_string().len();
            let full = batch.values().map(Vec::len).sum::<usize>() == MAX_METRICS
                || batch.get(kind).is_some_and(|of_kind| of_kind.len() == most)
                || bytes + length > MAX_BYTES;
            if full && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
                bytes = 0;
            }
            batch.entry(kind).or_default().push(item);
            bytes += length;
        }
        batches.push(batch);
        let body = |batch: BTreeMap<&str, Vec<Value>>| {
            let mut body = json!(batch);
            body["run_id"] = run_id.into();
            body
        };
        batches.into_iter().filter(|batch| !batch.is_empty()).map(body).collect()
    }
}

fn params(result: &RunResult) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    flatten("", &result.made_from, &mut params);
    // Ensembles have the features of their members.
    if let Ok(spec) = serde_json::from_value::<FeatureSpec>(result.made_from["features"].clone()) {
        params.insert("features.fingerprint".to_owned(), spec.fingerprint().to_string());
    }
    for (key, value) in [("model", &result.model), ("split", &result.split), ("point", &result.point)] {
        params.insert(key.to_owned(), limited(value, MAX_PARAM));
    }
    params.insert("seed".to_owned(), result.seed.to_string());
    params.insert("segments_per_clip".to_owned(), result.segments_per_clip.unwrap_or(1).to_string());
    params.retain(|_, value| !value.is_empty());
    params
}

/// Puts every value that lies in `value` under the names that lead to it, with points between.
fn flatten(at: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |name: &str| if at.is_empty() { key_part(name) } else { format!("{at}.{}", key_part(name)) };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, field)| flatten(&below(name), field, into));
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().enumerate().for_each(|(index, item)| flatten(&below(&index.to_string()), item, into));
        }
        Value::String(text) => {
            into.insert(short_key(at), limited(text, MAX_PARAM));
        }
        other => {
            into.insert(short_key(at), limited(&other.to_string(), MAX_PARAM));
        }
    }
}

fn metrics(result: &RunResult) -> Vec<Metric> {
    let mut metrics = Vec::new();
    figures("", &result.evaluation, &mut metrics);
    if let Some(whole) = &result.of_whole_clips {
        figures("whole_clips_", whole, &mut metrics);
    }
    let folds = result.folds.iter().enumerate();
    metrics.extend(folds.map(|(step, fold)| Metric { key: "fold_accuracy".to_owned(), value: fold.accuracy, step }));
    metrics
}

fn figures(prefix: &str, evaluation: &Evaluation, into: &mut Vec<Metric>) {
    let mut add = |key: String, value| into.push(Metric { key: format!("{prefix}{key}"), value, step: 0 });
    let Evaluation { n, accuracy, ci95: [low, high], macro_f1, log_loss, ece, per_class, .. } = evaluation;
    for (key, value) in [
        ("n", *n as f64),
        ("accuracy", *accuracy),
        ("accuracy_ci95_low", *low),
        ("accuracy_ci95_high", *high),
        ("macro_f1", *macro_f1),
        ("log_loss", *log_loss),
        ("ece", *ece),
    ] {
        add(key.to_owned(), value);
    }
    for (label, of) in per_class {
        let label = key_part(label);
        for (key, value) in [("precision", of.precision), ("recall", of.recall), ("f1", of.f1)] {
            add(format!("{key}/{label}"), value);
        }
    }
}

fn tags(result: &RunResult) -> BTreeMap<String, String> {
    let leaks = format!("This split leaks: {}.", result.leaks);
    let note = result.remarks.iter().chain([&leaks]).cloned().collect::<Vec<_>>().join("\n\n");
    let tags = [
        (KEY, result.key.clone()),
        ("tonearm.experiment", result.name.clone()),
        ("tonearm.configuration", result.configuration.clone()),
        ("tonearm.data", result.data.digest.clone()),
        ("tonearm.data_description", result.data.description.clone()),
        ("tonearm.leaks", result.leaks.clone()),
        ("tonearm.remarks", result.remarks.join("\n")),
        // What MLflow's page shows above the figures.
        ("mlflow.note.content", note),
        ("mlflow.source.name", "tonearm experiments".to_owned()),
        ("mlflow.source.type", "LOCAL".to_owned()),
    ];
    let tags = tags.into_iter().filter(|(_, value)| !value.is_empty());
    tags.map(|(key, value)| (key.to_owned(), limited(&value, MAX_TAG))).collect()
}

/// A part of a key of what may be any text, such as the name of a folder. What MLflow does not take is replaced, and the digest
/// of the text tells apart what would then be alike.
fn key_part(text: &str) -> String {
    // What Python calls a letter differs from what Rust does, but not among Latin ones.
    let taken = |c: char| (c < '\u{250}' && c.is_alphanumeric()) || matches!(c, '_' | '-' | ' ' | '.');
    let replaced: String = match text {
        // The folder itself, and the one above.
        "" | "." | ".." => "_".to_owned(),
        text => text.chars().map(|c| if taken(c) { c } else { '_' }).take(MAX_KEY / 2).collect(),
    };
    if replaced == text { replaced } else { format!("{replaced}-{}", digits(text)) }
}

/// A key that is not too long.
fn short_key(key: &str) -> String {
    if key.chars().count() <= MAX_KEY {
        return key.to_owned();
    }
    let start: String = key.chars().take(MAX_KEY - 9).collect();
    format!("{start}-{}", digits(key))
}

fn digits(text: &str) -> String {
    Fingerprint::of(text.as_bytes()).to_string().chars().take(8).collect()
}

/// A value that is not too long: its end goes, and that is said.
fn limited(value: &str, most: usize) -> String {
    let n = value.chars().count();
    if n <= most {
        return value.to_owned();
    }
    let note = format!("… ({n} characters; all of them are in result.json)");
    let start = value.chars().take(most - note.chars().count());
    start.chain(note.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(value: &Value) -> BTreeMap<String, String> {
        let mut into = BTreeMap::new();
        flatten("", value, &mut into);
        into
    }

    #[test]
    fn values_are_named_by_the_way_to_them() {
        let value = json!({
            "model": "svm", "seed": 18_446_744_073_709_551_615_u64, "share": 0.1, "none": null, "empty": {},
            "search": { "c": [1.0, 4.0], "folds": 2, "inner": { "a/b": true } },
            "members": [{ "x": 1 }, { "x": 2 }],
        });
        let expected = [
            ("empty", "{}"),
            ("members.0.x", "1"),
            ("members.1.x", "2"),
            ("model", "svm"),
            ("none", "null"),
            ("search.c", "[1.0,4.0]"),
            ("search.folds", "2"),
            ("seed", "18446744073709551615"),
            ("share", "0.1"),
        ];
        let mut flat = flat(&value);
        flat.retain(|key, _| !key.starts_with("search.inner"));
        assert_eq!(flat, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn keys_are_such_as_mlflow_takes_and_stay_apart() {
        assert_eq!(key_part("hip-hop 2.0 é"), "hip-hop 2.0 é");
        let texts = ["क", "a/b", "a+b", "a=b", ".", "..", "", "\n", &"x".repeat(300), &"x".repeat(301)];
        let keys: std::collections::BTreeSet<_> =
            texts.iter().map(|text| format!("precision/{}", key_part(text))).collect();
        assert_eq!(keys.len(), texts.len(), "{keys:?}");
        for key in keys {
            assert!(key.chars().count() <= MAX_KEY && key.matches('/').count() == 1 && !key.ends_with('.'), "{key}");
        }
    }

    #[test]
    fn long_keys_and_values_are_cut_and_say_so() {
        let value =
            json!({ "a".repeat(200): { "b".repeat(200): "é".repeat(MAX_PARAM + 1), "c": "é".repeat(MAX_PARAM) } });
        let flat = flat(&value);
        assert_eq!(flat.len(), 2);
        for (key, value) in &flat {
            assert!(key.chars().count() <= MAX_KEY, "{key}");
            assert_eq!(value.chars().count(), MAX_PARAM);
        }
        assert!(flat.values().any(|value| value.ends_with("(6001 characters; all of them are in result.json)")));
    }

    #[test]
    fn no_request_is_larger_than_mlflow_takes() {
        let words = |n: usize, length: usize| (0..n).map(|i| (format!("k{i}"), "v".repeat(length))).collect();
        let record = Record {
            run_name: "run".to_owned(),
            params: words(250, 4000),
            tags: words(101, 10),
            metrics: (0..2500).map(|step| Metric { key: "m".to_owned(), value: 0.5, step }).collect(),
        };
        let batches = record.batches("r", 7);
        let count = |batch: &Value, kind: &str| batch[kind].as_array().map_or(0, Vec::len);
        for batch in &batches {
            let [params, tags, metrics] = ["params", "tags", "metrics"].map(|kind| count(batch, kind));
            assert!(params <= 100 && tags <= 100 && params + tags + metrics <= 1000 && batch["run_id"] == "r");
            assert!(batch.to_string().len() < 1_000_000);
        }
        let total = |kind| batches.iter().map(|batch| count(batch, kind)).sum::<usize>();
        assert_eq!(["params", "tags", "metrics"].map(total), [250, 101, 2500]);
        assert_eq!(batches[batches.len() - 1]["metrics"][0]["timestamp"], 7);
        let small = Record { params: words(3, 1), tags: words(3, 1), metrics: Vec::new(), ..record };
        assert_eq!(small.batches("r", 7).len(), 1, "what fits into one request is one");
    }
}
