//! What decides the result of a job, and the key that this gives.

use anyhow::{Result, bail};
use features::Fingerprint;
use serde_json::{Map, Value, json};

use super::Job;

/// Revision of what a job does with what its identity says. Raise it when the same identity gives another result, so that what
/// was stored before is not taken for it.
const REVISION: u32 = 3;

/// Everything that decides the result of a job. Threads, folders and names are no part of it.
pub(super) struct Identity {
    /// `revision`, `split`, `seed`, `model` (its kind), every field of its [`ModelConfig`](crate::declarations::ModelConfig), and
    /// what it is fitted on.
    pub(super) made_from: Value,
    /// 64 hexadecimal digits: the digest of `made_from`.
    pub(super) key: String,
    /// The digest of `made_from` without the seed and what follows from it: what jobs share that differ in their seeds alone.
    pub(super) configuration: String,
}

impl Identity {
    /// `inputs` are digests, in the place of paths; `without_seed` takes the place of those that follow from the seed.
    pub(super) fn new(job: &Job, inputs: Vec<(&str, Value)>, without_seed: Vec<(&str, Value)>) -> Result<Self> {
        let Value::Object(mut model) = serde_json::to_value(&job.experiment.model)? else {
            bail!("the model is not a JSON object");
        };
        let Some(Value::Object(mut made_from)) = model.remove(job.experiment.model.name()) else {
            bail!("the model has no fields");
        };
        // The seed of a training is that of the job.
        if let Some(Value::Object(training)) = made_from.get_mut("training") {
            training.remove("seed");
        }
        let fields = [
            ("revision", json!(REVISION)),
            ("split", json!(job.split.to_string())),
            ("seed", json!(job.seed)),
            ("model", json!(job.experiment.model.name())),
        ];
        put(&mut made_from, fields);
        put(&mut made_from, inputs);
        let mut shared = made_from.clone();
        put(&mut shared, [("seed", Value::Null)]);
        put(&mut shared, without_seed);
        let made_from = made_from.into();
        Ok(Self { key: digest(&made_from), configuration: digest(&shared.into()), made_from })
    }
}

/// The digest of a JSON value.
pub(super) fn digest(value: &Value) -> String {
    Fingerprint::of(value.to_string().as_bytes()).to_string()
}

fn put<'a>(into: &mut Map<String, Value>, fields: impl IntoIterator<Item = (&'a str, Value)>) {
    into.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
}
