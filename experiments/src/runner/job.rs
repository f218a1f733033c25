//! What decides the result of a job, and the key that this gives.

use features::{FeatureSpec, Fingerprint};
use serde::Serialize;
use serde_json::Value;
use train::training::{svm::Search, vgg19::TrainingConfig};

use crate::declarations::declaration::Weight;

/// Revision of what a job does with what [`Identity`] says. Raise it when the same identity gives another result, so that what
/// was kept before is not taken for it.
pub const REVISION: u32 = 2;

/// Everything that decides the result of a job. Threads, folders and names are no part of it.
#[derive(Debug, Serialize)]
pub struct Identity<'a> {
    /// See [`REVISION`].
    pub revision: u32,
    /// The split.
    pub split: String,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// What is fitted.
    #[serde(flatten)]
    pub model: Model<'a>,
}

/// What is fitted, on what.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "model")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Model<'a> {
    Svm {
        data: &'a str,
        features: &'a FeatureSpec,
        search: &'a Search,
    },
    Vgg19 {
        data: &'a str,
        features: &'a FeatureSpec,
        recipe: &'a TrainingConfig,
        weights: &'a str,
        device: &'static str,
    },
    /// Of the results of other jobs, by their keys.
    Ensemble {
        members: [&'a str; 2],
        weight: Value,
    },
}

impl Identity<'_> {
    /// The identity as JSON.
    ///
    /// # Errors
    /// Should JSON not hold it.
    pub fn json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

/// 64 hexadecimal digits: the digest of an identity.
#[must_use]
pub fn key(identity: &Value) -> String {
    Fingerprint::of(identity.to_string().as_bytes()).to_string()
}

/// The digest of what jobs share that differ in their seeds alone: of the identity without seeds. Random weights follow from the seed,
/// and the keys of the members of an ensemble from theirs, so `weights` and `members` are put in their place.
#[must_use]
pub fn setting(identity: &Value, weights: Option<&str>, members: Option<[&str; 2]>) -> String {
    let mut identity = identity.clone();
    identity["seed"] = Value::Null;
    if let Some(recipe) = identity.get_mut("recipe") {
        recipe["seed"] = Value::Null;
    }
    if let Some(weights) = weights {
        identity["weights"] = weights.into();
    }
    if let Some(members) = members {
        identity["members"] = members.to_vec().into();
    }
    key(&identity)
}

impl Serialize for Weight {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Learnt => serializer.serialize_str("learnt"),
            Self::Fixed(share) => serializer.serialize_f64(*share),
        }
    }
}
