//! What each choice of the frozen network is worth, on GTZAN's `train` and `valid` parts.
//!
//! `vgg19_choices DATASET WEIGHTS CACHE [SEEDS [ONLY]]` fits a plain config, and the same with one choice changed or a
//! few, once for each seed, and prints a table in Markdown: accuracy by cross-validation among the clips that are
//! fitted on, and accuracy, log-loss before and after the temperature, and calibration error on `valid`. `ONLY` keeps
//! the choices whose name contains it.

use std::path::Path;

use anyhow::{Context, Result};
use data::{ExtractOptions, LabelledDataset, Part, Split};
use features::{Extractor, FeatureSpec};
use models::vgg19::{BackboneWeights, Backend, Channels, Normalisation, Statistic, no_normalisation, softmax};
use rayon::prelude::*;
use train::{
    evaluation::metrics::{Evaluation, Scored},
    training::{
        dataset::labels,
        pretrained::Pretrained,
        vgg19::{Embedder, FitContext, PreparedDataset, Standardisation, TrainingConfig, fit, logits},
    },
};

type Change = (&'static str, fn(&mut TrainingConfig));

const CHANGES: &[Change] = &[
    ("plain: one row a band, 30-s segments, one head with dropout 0.5", |_| {}),
    ("head: dropout 0", |r| r.head.dropout = 0.0),
    ("head: dropout 0.8", |r| r.head.dropout = 0.8),
    ("head: label smoothing 0.1", |r| r.head.label_smoothing = 0.1),
    ("head: learning rate 0.1", |r| r.head.learning_rate = 0.1),
    ("head: weight decay 0.1", |r| r.head.weight_decay = 0.1),
    ("fitted on 11-s windows too", |r| r.windows = true),
    ("fitted on 11-s windows too, dropout 0.8", |r| (r.windows, r.head.dropout) = (true, 0.8)),
    ("two rows a band", |r| r.band_upsampling = 2),
    ("eight heads", |r| r.head.heads = 8),
    ("two rows a band, 11-s windows too, eight heads with dropout 0.8", |r| {
        *r = TrainingConfig { normalisations: no_normalisation(), ..by_band(r.seed) };
        r.head.dropout = 0.8;
    }),
    ("the same, normalised by CMN", |r| {
        *r = TrainingConfig { normalisations: vec![Normalisation::Cmn], ..by_band(r.seed) };
        r.head.dropout = 0.8;
    }),
    ("the same, both normalisations", |r| {
        *r = by_band(r.seed);
        r.head.dropout = 0.8;
    }),
    ("the same, both normalisations, dropout 0.5", |r| {
        *r = by_band(r.seed);
        r.head.dropout = 0.5;
    }),
    ("the same, both normalisations, dropout 0.65", |r| *r = by_band(r.seed)),
    ("the same, both normalisations, dropout 0.9", |r| {
        *r = by_band(r.seed);
        r.head.dropout = 0.9;
    }),
    ("the same, both normalisations, dropout 0, one head", |r| {
        *r = by_band(r.seed);
        (r.head.dropout, r.head.heads) = (0.0, 1);
    }),
    ("the same, both normalisations, dropout 0.65, by the line of music (the default)", |r| {
        *r = TrainingConfig::logistic(r.seed)
    }),
    ("normalised by CMN", |r| r.normalisations = vec![Normalisation::Cmn]),
    ("both normalisations", |r| r.normalisations = vec![Normalisation::None, Normalisation::Cmn]),
    ("10 folds", |r| r.folds = 10),
    ("average alone", |r| r.statistics = vec![Statistic::Average]),
    ("average and maximum", |r| r.statistics = vec![Statistic::Average, Statistic::Maximum]),
    ("average, maximum, deviation", |r| {
        r.statistics = vec![Statistic::Average, Statistic::Maximum, Statistic::Deviation];
    }),
    ("block 4", |r| r.pooled_blocks = vec![4]),
    ("blocks 3, 4", |r| r.pooled_blocks = vec![3, 4]),
    ("blocks 2, 3, 4", |r| r.pooled_blocks = vec![2, 3, 4]),
    ("all bands alike", |r| r.standardisation = Standardisation::Global),
    ("all bands alike, windows too", |r| (r.standardisation, r.windows) = (Standardisation::Global, true)),
    ("channels: deltas", |r| r.channels = Channels::Deltas),
    ("channels: resolutions", |r| r.channels = Channels::Resolutions),
    ("block 3", |r| r.pooled_blocks = vec![3]),
    ("block 5", |r| r.pooled_blocks = vec![5]),
    ("blocks 1 to 5", |r| r.pooled_blocks = vec![1, 2, 3, 4, 5]),
];

/// The default, but for bands that are standardised by the clips that are fitted on.
fn by_band(seed: u64) -> TrainingConfig {
    TrainingConfig { standardisation: Standardisation::Band, ..TrainingConfig::logistic(seed) }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: vgg19_choices DATASET WEIGHTS CACHE [SEEDS [ONLY]]";
    let (dataset, weights) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    let cache = arguments.next().context(usage)?;
    let seeds = arguments.next().map_or(Ok(3), |seeds| seeds.parse()).context("the seeds are not a number")?;
    let only = arguments.next().unwrap_or_default();

    let spec = FeatureSpec::gtzan_store().log_mel_alone();
    let set = LabelledDataset::open(&[dataset], &spec, &ExtractOptions::default())?;
    let fold = Split::FaultFiltered(Part::Valid).folds(&set.items(), 0)?.swap_remove(0);
    let extractor = Extractor::new(spec.clone())?;
    let labels = labels(&set, &fold.train);
    let training = PreparedDataset::new(&set, &fold.train, &labels, &extractor)?;
    let valid = PreparedDataset::new(&set, &fold.test, &labels, &extractor)?;
    let context = FitContext {
        backend: Backend::Flex,
        device: Backend::Flex.open()?,
        embeddings: Some(cache.clone().into()),
        checkpoints: None,
    };
    println!("| choice | cross-validated | valid, each seed | valid, mean | log-loss before | log-loss | ECE |");
    println!("|---|---|---|---|---|---|---|");
    for (name, change) in CHANGES.iter().filter(|(name, _)| name.contains(&only)) {
        let one = |seed: u64| -> Result<[f64; 5]> {
            let mut config = by_band(seed);
            config.normalisations = no_normalisation();
            (config.band_upsampling, config.windows, config.head.dropout, config.head.heads) = (1, false, 0.5, 1);
            change(&mut config);
            let blocks = config.network(labels.len()).n_blocks();
            let weights = BackboneWeights::read(Path::new(&weights), blocks)?;
            let start = Pretrained::of_weights(weights);
            let fitted = fit(&training, &valid, labels.len(), &spec, &start, &config, &context)?;
            let parts = &fitted.parts;
            let segments_alone = TrainingConfig { windows: false, band_limited: false, ..config.clone() };
            let embeddings = valid.embeddings(&Embedder::new(parts, &spec, &context)?, &segments_alone, None)?;
            let clips = (0..valid.len()).map(|clip| embeddings.segments(clip)).collect::<Result<Vec<_>>>()?;
            let evaluate = |temperature: f64| {
                let scored: Vec<_> = clips
                    .iter()
                    .zip(&valid.labels)
                    .map(|(segments, &truth)| {
                        let of_segment = |row: &Vec<f32>| softmax(&logits(&parts.head, row), temperature);
                        let segments: Vec<_> = segments.iter().map(of_segment).collect();
                        let probabilities = models::pool(segments.iter().map(Vec::as_slice));
                        let (clip_id, metadata, group) = Default::default();
                        Scored { clip_id, metadata, group, truth, probabilities }
                    })
                    .collect();
                Evaluation::new(&labels, &scored, 0)
            };
            let (before, after) = (evaluate(1.0), evaluate(parts.temperature));
            Ok([fitted.report.calibration.accuracy, after.accuracy, before.log_loss, after.log_loss, after.ece])
        };
        // The first seed leaves the embeddings in the cache for the others.
        let mut rows = vec![one(0)?];
        rows.extend((1..seeds).into_par_iter().map(one).collect::<Result<Vec<_>>>()?);
        let mean = |column: usize| rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64;
        let each: Vec<_> = rows.iter().map(|row| format!("{:.3}", row[1])).collect();
        println!(
            "| {name} | {:.3} | {} | {:.3} | {:.3} | {:.3} | {:.3} |",
            mean(0),
            each.join(" "),
            mean(1),
            mean(2),
            mean(3),
            mean(4)
        );
    }
    Ok(())
}
