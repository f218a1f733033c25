//! [`StatisticsResponse`]: how often models predicted, and how long each step took, in Triton's form, [an extension of the protocol].
//! What is counted is said in [`engine::statistics`](crate::engine::statistics).
//!
//! [an extension of the protocol]: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md

use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::{
    model::Model,
    statistics::{Counters, Total},
};

/// `GET /v2/models/stats`, and that of one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceStatistics)]
pub struct StatisticsResponse {
    /// Of each version that is loaded.
    pub model_stats: Vec<ModelStatistics>,
}

/// The counters of a version of a model, from its loading on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceModelStatistics)]
pub struct ModelStatistics {
    /// The model.
    #[schema(example = "svm")]
    pub name: String,
    /// 12 hexadecimal digits that name the content of its artifact.
    #[schema(example = "0123456789ab")]
    pub version: String,
    /// When a clip was last predicted, in milliseconds from 1970 on; 0 before the first.
    pub last_inference: u64,
    /// Clips that were predicted; those that the cache answered are not.
    pub inference_count: u64,
    /// Runs of the model: of one clip, or of a batch.
    pub execution_count: u64,
    /// How often each step was done, and how long it took. Each clip is a request.
    pub inference_stats: StepStatistics,
    /// Runs of the model by the clips in them.
    pub batch_stats: Vec<BatchStatistics>,
}

/// How often each step was done, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceStepStatistics)]
pub struct StepStatistics {
    /// Requests that were answered.
    pub success: StatisticDuration,
    /// Requests that were not.
    pub fail: StatisticDuration,
    /// Waiting for a worker, and of a network for its batch.
    pub queue: StatisticDuration,
    /// Decoding and feature extraction.
    pub compute_input: StatisticDuration,
    /// The model itself; of a clip in a batch, the whole batch.
    pub compute_infer: StatisticDuration,
    /// Writing the response.
    pub compute_output: StatisticDuration,
    /// Requests that the cache answered.
    pub cache_hit: StatisticDuration,
    /// Requests that were looked up there in vain.
    pub cache_miss: StatisticDuration,
}

/// Runs of the model for so many clips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceBatchStatistics)]
pub struct BatchStatistics {
    /// Clips.
    pub batch_size: u64,
    /// Features come to the model as they are: 0 ns.
    pub compute_input: StatisticDuration,
    /// The runs.
    pub compute_infer: StatisticDuration,
    /// Probabilities leave the model as they are: 0 ns.
    pub compute_output: StatisticDuration,
}

/// How often, and how long altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceStatisticDuration)]
pub struct StatisticDuration {
    /// How often.
    pub count: u64,
    /// Nanoseconds altogether.
    pub ns: u64,
}

impl From<Total> for StatisticDuration {
    fn from(Total { count, ns }: Total) -> Self {
        Self { count, ns }
    }
}

impl From<&Model> for ModelStatistics {
    fn from(model: &Model) -> Self {
        let counters: Counters = model.statistics().counters();
        let batch = |(clips, runs): (&usize, &Total)| {
            let at_once = StatisticDuration { count: runs.count, ns: 0 };
            BatchStatistics {
                batch_size: *clips as u64,
                compute_input: at_once,
                compute_infer: (*runs).into(),
                compute_output: at_once,
            }
        };
        Self {
            name: model.name().to_string(),
            version: model.version().to_owned(),
            last_inference: counters.last_inference,
            inference_count: counters.inference_count,
            execution_count: counters.execution_count,
            batch_stats: counters.batches.iter().map(batch).collect(),
            inference_stats: StepStatistics {
                success: counters.success.into(),
                fail: counters.fail.into(),
                queue: counters.queue.into(),
                compute_input: counters.compute_input.into(),
                compute_infer: counters.compute_infer.into(),
                compute_output: counters.compute_output.into(),
                cache_hit: counters.cache_hit.into(),
                cache_miss: counters.cache_miss.into(),
            },
        }
    }
}
