//! [`TrainingConfig`]: the hyperparameters of a training, as they stand in the artifact.

use std::path::PathBuf;

use burn::tensor::Device;
use features::spec::FloorSpec;
use models::vgg19::{
    Backend, Channels, LogCovariance, MAX_BAND_UPSAMPLING, Normalisation, Statistic, Vgg19Config, no_normalisation,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Fields of a [`TrainingConfig`] that say what the network is made of, and what its input is.
const NETWORK: [&str; 6] =
    ["normalisations", "channels", "band_upsampling", "standardisation", "pooled_blocks", "statistics"];

/// Where a fit computes, and where it keeps what it need not compute twice.
#[derive(Debug)]
pub struct FitContext {
    /// What computes.
    pub backend: Backend,
    /// A device of it.
    pub device: Device,
    /// Folder of embeddings; `None` keeps none.
    pub embeddings: Option<PathBuf>,
    /// Folder of the checkpoints of this very training; `None` keeps none.
    pub checkpoints: Option<PathBuf>,
}

/// How the log-mel is brought to about mean 0 and deviation 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Standardisation {
    /// All bands by one mean and one deviation, those of the clips that are fitted on.
    Global,
    /// Each band by its own mean and deviation, those of the clips that are fitted on.
    Band,
    /// By the level of music at large, taken to fall in a straight line from the lowest band to the highest, and one deviation. Nothing is
    /// learnt, so the embeddings of a clip are the same whichever clips are fitted on, and folds share them.
    Line {
        /// Level of the lowest band in dB.
        low: f32,
        /// Level of the highest band in dB.
        high: f32,
        /// Deviation of every band in dB; over 0.
        deviation: f32,
    },
}

impl Standardisation {
    /// The line of music, [`FloorSpec::MUSIC_LINE`]; bands of GTZAN's `train` part have deviations of 11 to 16 dB.
    pub const MUSIC: Self =
        Self::Line { low: FloorSpec::MUSIC_LINE[0] as f32, high: FloorSpec::MUSIC_LINE[1] as f32, deviation: 13.5 };
}

/// What is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// How each band is normalised; a head is fitted for each.
    #[serde(alias = "views", default = "no_normalisation")]
    pub normalisations: Vec<Normalisation>,
    /// How one log-mel becomes three planes.
    pub channels: Channels,
    /// Rows of a plane for each band.
    pub band_upsampling: usize,
    /// How it is standardised; where the training starts from another network, by the numbers of that one, which come from its clips.
    pub standardisation: Standardisation,
    /// Blocks whose output the head takes.
    pub pooled_blocks: Vec<usize>,
    /// What it takes of their channels.
    pub statistics: Vec<Statistic>,
    /// The log-covariances that it takes beside them; none where left out. They belong to the head: a training that starts from another network
    /// takes them or not, whatever that one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_covariance: Option<LogCovariance>,
    /// Whether the head is fitted on the shorter windows of the clips too, and not on their segments alone.
    pub windows: bool,
    /// Whether it is fitted on a copy of each clip besides that is cut off at some frequency: see [`crate::training::band_limited`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub band_limited: bool,
    /// How the head is fitted on frozen embeddings by logistic regression.
    pub head: HeadConfig,
    /// How it is fitted by ridge regression, as long as the clips are not too many for it; none for logistic regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ridge: Option<RidgeConfig>,
    /// How the network is tuned after that; `None` leaves it frozen.
    pub finetune: Option<FinetuneConfig>,
    /// Folds, by artist, of the cross-validation that fits the temperature.
    pub folds: usize,
}

/// How a head is fitted by ridge regression on the classes as numbers, 1 for that of a clip and 0 for the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RidgeConfig {
    /// What the squares of the weights count against the mean square of the errors of a clip; over 0. Embeddings are scaled so that what a typical clip has of
    /// each kind (statistics, log-covariances) and normalisation has a length of 1.
    pub penalty: f64,
}

/// How a head is fitted by logistic regression: AdamW on all embeddings at once, cosine schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Steps.
    pub steps: usize,
    /// Highest learning rate; embeddings have a length of about 1.
    pub learning_rate: f64,
    /// Weight decay of AdamW.
    pub weight_decay: f64,
    /// Share of the dimensions of each embedding that a step does not see.
    pub dropout: f64,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Heads for each normalisation, each with its own dropout, whose mean is taken.
    pub heads: usize,
}

/// How the last blocks are tuned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// First block that is tuned; those before it stay frozen.
    #[serde(alias = "thaw")]
    pub unfreeze_from: usize,
    /// Times that every clip is seen.
    pub epochs: usize,
    /// Clips in a step.
    pub batch: usize,
    /// Frames of a crop.
    pub crop: usize,
    /// Highest learning rate of the last block.
    pub learning_rate: f64,
    /// What the learning rate is multiplied by from a block to the one before it.
    pub block_decay: f64,
    /// Highest learning rate of the head.
    pub head_learning_rate: f64,
    /// Weight decay of AdamW.
    pub weight_decay: f64,
    /// Share of the steps in which the learning rate rises.
    pub warm_up: f64,
    /// Largest norm of all gradients of a step together.
    pub clip_norm: f64,
    /// Share of the dimensions of an embedding that a step does not see.
    pub dropout: f64,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Decay of the running average of the weights, which is what is saved; 0 saves the weights themselves.
    pub averaging: f64,
    /// What is done to a crop.
    pub augment: Augment,
    /// Epochs from one evaluation on the held-out clips to the next.
    #[serde(alias = "look_every")]
    pub evaluate_every: usize,
    /// Evaluations without a better log-loss after which the tuning ends.
    pub patience: usize,
}

/// What is done to a crop before it goes through the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Both parameters of the beta distribution that two clips are mixed by (Zhang et al. 2018); 0 mixes none.
    pub mixup: f64,
    /// Most bands, and most frames, of each of two bands and two spans of frames that are silenced (Park et al. 2019).
    pub mask: usize,
    /// Largest change of tempo: `exp(±stretch)`.
    pub stretch: f64,
    /// Most bands that the log-mel is moved up or down.
    pub shift: usize,
    /// Deviation in dB of a random equaliser of five points.
    pub equaliser: f64,
}

impl Augment {
    /// Nothing is done.
    pub const NONE: Self = Self { mixup: 0.0, mask: 0, stretch: 0.0, shift: 0, equaliser: 0.0 };
}

impl TrainingConfig {
    /// The frozen regime: a head on statistics and log-covariances by ridge regression.
    #[must_use]
    pub fn frozen(seed: u64) -> Self {
        Self {
            log_covariance: Some(LogCovariance { axes: 48 }),
            band_limited: true,
            ridge: Some(RidgeConfig { penalty: 0.4 }),
            ..Self::logistic(seed)
        }
    }

    /// The frozen regime with a head on statistics alone by logistic regression.
    #[must_use]
    pub fn logistic(seed: u64) -> Self {
        Self {
            seed,
            normalisations: vec![Normalisation::None, Normalisation::Cmn],
            channels: Channels::Repeat,
            band_upsampling: 2,
            standardisation: Standardisation::MUSIC,
            pooled_blocks: vec![1, 2, 3, 4],
            statistics: vec![Statistic::Average, Statistic::Deviation],
            log_covariance: None,
            windows: true,
            band_limited: false,
            head: HeadConfig {
                steps: 200,
                learning_rate: 0.5,
                weight_decay: 0.01,
                dropout: 0.65,
                label_smoothing: 0.0,
                heads: 8,
            },
            ridge: None,
            finetune: None,
            folds: 5,
        }
    }

    /// The regime that tunes the last blocks after that, with the head of [`TrainingConfig::logistic`].
    #[must_use]
    pub fn finetune(seed: u64) -> Self {
        let finetune = FinetuneConfig {
            unfreeze_from: 4,
            epochs: 4,
            batch: 16,
            crop: 344,
            learning_rate: 3e-6,
            block_decay: 0.7,
            head_learning_rate: 1e-4,
            weight_decay: 0.05,
            warm_up: 0.1,
            clip_norm: 1.0,
            dropout: 0.8,
            label_smoothing: 0.0,
            averaging: 0.98,
            augment: Augment::NONE,
            evaluate_every: 2,
            patience: 3,
        };
        Self { finetune: Some(finetune), ..Self::logistic(seed) }
    }

    /// What network it needs.
    #[must_use]
    pub fn network(&self, n_classes: usize) -> Vgg19Config {
        Vgg19Config {
            normalisations: self.normalisations.clone(),
            pooled_blocks: self.pooled_blocks.clone(),
            statistics: self.statistics.clone(),
            log_covariance: self.log_covariance,
            n_classes,
        }
    }

    /// The same training of the network of `other`: its inputs, their standardisation, and the statistics that its head takes.
    #[must_use]
    pub fn with_network_of(self, other: &Self) -> Self {
        Self {
            normalisations: other.normalisations.clone(),
            channels: other.channels,
            band_upsampling: other.band_upsampling,
            standardisation: other.standardisation,
            pooled_blocks: other.pooled_blocks.clone(),
            statistics: other.statistics.clone(),
            ..self
        }
    }

    /// A field of the network in which it differs from `other`, with what it is here and there; `None` of the same network.
    #[must_use]
    pub fn other_network(&self, other: &Self) -> Option<(&'static str, Value, Value)> {
        let [ours, theirs] = [self, other].map(|config| serde_json::to_value(config).unwrap_or_default());
        let field = NETWORK.into_iter().find(|field| ours[field] != theirs[field])?;
        Some((field, ours[field].clone(), theirs[field].clone()))
    }

    /// `frozen` or `finetune`.
    #[must_use]
    pub fn regime(&self) -> &'static str {
        if self.finetune.is_some() { "finetune" } else { "frozen" }
    }

    /// The configuration that an artifact holds in its `training`.
    #[must_use]
    pub fn of_artifact(training: &Value) -> Option<Self> {
        let fit = training.get("fit")?;
        // Versions before called it a recipe.
        serde_json::from_value(fit.get("config").or_else(|| fit.get("recipe"))?.clone()).ok()
    }

    /// Refuses what cannot be trained.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        self.network(2).check().map_err(|error| error.to_string())?;
        let must = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(rule.to_owned()) };
        let share = |value: f64| (0.0..1.0).contains(&value);
        must((2..=20).contains(&self.folds), "the folds must be 2 to 20")?;
        if let Standardisation::Line { low, high, deviation } = self.standardisation {
            must(low.is_finite() && high.is_finite(), "the levels of the line must be finite")?;
            must(deviation > 0.0 && deviation.is_finite(), "the deviation of the line must be over 0")?;
        }
        must(self.head.steps >= 1, "the head needs a step or more")?;
        must(
            (1..=MAX_BAND_UPSAMPLING).contains(&self.band_upsampling),
            &format!("the rows for each band must be 1 to {MAX_BAND_UPSAMPLING}"),
        )?;
        must((1..=1000).contains(&self.head.heads), "the heads must be 1 to 1000")?;
        must(share(self.head.dropout), "the dropout must be 0 to below 1")?;
        must(
            self.ridge.is_none_or(|ridge| ridge.penalty > 0.0 && ridge.penalty.is_finite()),
            "the penalty of the ridge regression must be over 0",
        )?;
        let Some(tune) = &self.finetune else { return Ok(()) };
        must(
            self.log_covariance.is_none() && self.ridge.is_none(),
            "fine-tuning tunes a head on statistics that logistic regression fitted; leave out `log_covariance` and `ridge`",
        )?;
        let blocks = self.pooled_blocks.iter().copied().max().unwrap_or(1);
        must(
            (1..=blocks).contains(&tune.unfreeze_from),
            "`unfreeze_from` must be a block that the head takes, or one before it",
        )?;
        must((1..=10_000).contains(&tune.epochs), "the epochs must be 1 to 10000")?;
        must((1..=4096).contains(&tune.batch), "the batch must be 1 to 4096")?;
        must((1 << blocks..=65_536).contains(&tune.crop), "the crop must leave a frame of the last block")?;
        must(tune.learning_rate > 0.0 && tune.head_learning_rate > 0.0, "learning rates must be over 0")?;
        must(tune.block_decay > 0.0 && tune.block_decay <= 1.0, "the decay by block must be over 0, to 1")?;
        must(share(tune.dropout) && share(tune.averaging) && share(tune.warm_up), "shares must be 0 to below 1")?;
        must(share(tune.label_smoothing) && share(self.head.label_smoothing), "label smoothing must be 0 to below 1")?;
        must(tune.clip_norm > 0.0, "the norm of the gradients must be over 0")?;
        must(tune.evaluate_every >= 1 && tune.patience >= 1, "`evaluate_every` and `patience` must be 1 or more")?;
        let Augment { mixup, stretch, equaliser, .. } = tune.augment;
        must((0.0..=100.0).contains(&mixup), "mixup must be 0 to 100")?;
        must((0.0..=1.0).contains(&stretch), "the stretch must be 0 to 1")?;
        must((0.0..=24.0).contains(&equaliser), "the equaliser must be 0 to 24 dB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(standardisation: &str) -> Result<TrainingConfig, String> {
        let mut config = serde_json::to_value(TrainingConfig::frozen(1)).unwrap();
        config["standardisation"] = serde_json::from_str(standardisation).unwrap();
        let config: TrainingConfig = serde_json::from_value(config).map_err(|error| error.to_string())?;
        config.check().map(|()| config)
    }

    #[test]
    fn the_names_of_earlier_versions_are_read() {
        let config = TrainingConfig::finetune(1);
        let now = serde_json::to_string(&config).unwrap();
        let mut before = now.clone();
        for (new, old) in [("normalisations", "views"), ("unfreeze_from", "thaw"), ("evaluate_every", "look_every")] {
            assert!(now.contains(new));
            before = before.replace(new, old);
        }
        assert_eq!(serde_json::from_str::<TrainingConfig>(&before).unwrap(), config);
    }

    #[test]
    fn a_training_takes_the_network_of_another_and_says_what_differs() {
        let other = TrainingConfig {
            pooled_blocks: vec![1, 2],
            standardisation: Standardisation::Band,
            folds: 3,
            ..TrainingConfig::frozen(7)
        };
        let config = TrainingConfig::finetune(1);
        let (field, ours, theirs) = config.other_network(&other).unwrap();
        assert_eq!((field, &theirs), ("standardisation", &Value::from("band")));
        assert_eq!(ours["line"]["deviation"], 13.5);
        let taken = config.clone().with_network_of(&other);
        assert_eq!(taken.other_network(&other), None);
        assert_eq!((taken.folds, taken.seed, &taken.finetune), (config.folds, 1, &config.finetune));
    }

    #[test]
    fn bands_are_standardised_as_the_configuration_says_or_it_says_what_is_wrong() {
        assert_eq!(read(r#""band""#).unwrap().standardisation, Standardisation::Band);
        let music = r#"{"line": {"low": 4.0, "high": -28.0, "deviation": 13.5}}"#;
        assert_eq!(read(music).unwrap(), TrainingConfig::frozen(1));
        for (wrong, named) in [
            (r#"{"line": {"low": 4.0, "high": -28.0, "deviation": 0.0}}"#, "the deviation of the line"),
            (r#"{"line": {"low": 4.0, "high": -28.0}}"#, "deviation"),
            (r#"{"line": {"low": 1e39, "high": -28.0, "deviation": 1.0}}"#, "levels of the line"),
            (r#"{"line": {"low": 4.0, "high": -28.0, "deviation": 1.0, "slope": 2.0}}"#, "slope"),
            (r#""curve""#, "curve"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(named), "{wrong}: {error}");
        }
    }
}
