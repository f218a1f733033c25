//! [`Robustness`]: what bad recordings and short ones do to the predictions of a classifier.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::metrics::{Evaluation, Scored, bootstrap_by_group};

/// The clips as they are in their files.
pub const CLEAN: &str = "clean";

/// Figures of one classifier, or of one configuration with several seeds, on the same clips in several conditions. Experiments measure
/// it, and reports and model cards show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Robustness {
    /// The experiment, or the kind of model and version of an artifact.
    pub name: String,
    /// `svm`, `vgg19` or `ensemble`.
    pub model: String,
    /// By which split clips were held out.
    pub split: String,
    /// The seeds, ascending; none of an artifact.
    pub seeds: Vec<u64>,
    /// Clips that were fitted on: the fewest of all folds.
    pub fitted_on: usize,
    /// Clips of which there was audio.
    pub clips: usize,
    /// Clips that were held out and of which there was none.
    pub without_audio: usize,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
    /// The clips as they are in their files.
    pub clean: Condition,
    /// The same clips, degraded.
    pub degradations: Vec<Condition>,
    /// What was declared and not measured, with the reason.
    pub left_out: Vec<LeftOut>,
    /// Means over the degradations; `None` without any.
    pub over_degradations: Option<OverDegradations>,
    /// Excerpts of the same clips, by rising length.
    pub lengths: Vec<Condition>,
    /// Other recordings of held-out clips, of those or of others, as they are in their files, beside what is predicted of the same clips as
    /// they are in the dataset.
    pub recordings: Vec<Condition>,
}

/// Figures of clips in one condition. Of several seeds each figure is the mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// What it is called, such as `mp3-32k`.
    pub name: String,
    /// Mean length of the audio in seconds.
    pub seconds: f64,
    /// Predictions with each seed: of a length, several excerpts of a clip.
    pub n: usize,
    /// Share of them that is right.
    pub accuracy: f64,
    /// 95 % interval of the accuracy: bootstrap over artists, whose predictions of all seeds are drawn together.
    pub ci95: [f64; 2],
    /// Accuracy less that of the same clips as they are in their files (of other recordings, in the dataset).
    pub difference: f64,
    /// 95 % interval of the difference, paired, by artist.
    pub difference_ci95: [f64; 2],
    /// Share whose most probable label is that of the same clip as it is there.
    pub agreement: f64,
    /// Mean probability of the most probable label.
    pub confidence: f64,
    /// Mean of −ln of the probability given to the true label.
    pub log_loss: f64,
    /// Expected calibration error.
    pub ece: f64,
    /// Share that is flagged as unlike the training set; `None` of a model that cannot tell.
    pub novel: Option<f64>,
}

/// What was declared and not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What it is called.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Means over degradations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverDegradations {
    /// Mean accuracy.
    pub accuracy: f64,
    /// Mean agreement with the clean clips.
    pub agreement: f64,
    /// The least accuracy.
    pub least_accuracy: f64,
    /// The degradation that has it; of equals the first.
    pub least: String,
}

/// A prediction of a clip in some condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The clip, and what was predicted.
    pub scored: Scored,
    /// Length of the audio in seconds.
    pub seconds: f64,
    /// Whether it is flagged as unlike the training set, where the model can tell.
    pub novel: Option<bool>,
}

impl Condition {
    /// The figures of one condition from its predictions, seed by seed, each beside those of the clean clips with the same seed. Every
    /// measured clip must be among the clean ones.
    ///
    /// # Errors
    /// When there is no prediction, or a clip is not among the clean ones.
    pub fn new(
        name: &str,
        labels: &[String],
        by_seed: &[(&[Measured], &[Measured])],
        bootstrap_seed: u64,
    ) -> Result<Self> {
        let n = by_seed.first().map_or(0, |(measured, _)| measured.len());
        if n == 0 {
            bail!("there is no prediction of `{name}`");
        }
        let (mut right, mut differences) = (Vec::new(), Vec::new());
        let (mut agreeing, mut log_loss, mut ece) = (0.0, 0.0, 0.0);
        for (measured, clean) in by_seed {
            let clean: BTreeMap<&str, &Scored> =
                clean.iter().map(|clip| (clip.scored.clip_id.as_str(), &clip.scored)).collect();
            let scored: Vec<Scored> = measured.iter().map(|clip| clip.scored.clone()).collect();
            let evaluation = Evaluation::new(labels, &scored, bootstrap_seed);
            log_loss += evaluation.log_loss;
            ece += evaluation.ece;
            for Measured { scored, .. } in *measured {
                let Some(before) = clean.get(scored.clip_id.as_str()) else {
                    bail!("{} of `{name}` is not among the clean clips", scored.clip_id);
                };
                right.push((scored.group.as_str(), scored.right()));
                differences.push((scored.group.as_str(), scored.right() - before.right()));
                agreeing += f64::from(u8::from(scored.predicted() == before.predicted()));
            }
        }
        let all = || by_seed.iter().flat_map(|(measured, _)| measured.iter());
        let total = all().count() as f64;
        let mean = |values: &[(&str, f64)]| values.iter().map(|(_, value)| value).sum::<f64>() / total;
        let novel: Option<f64> = all().map(|clip| clip.novel.map(|novel| f64::from(u8::from(novel)))).sum();
        let seeds = by_seed.len() as f64;
        Ok(Self {
            name: name.to_owned(),
            seconds: all().map(|clip| clip.seconds).sum::<f64>() / total,
            n,
            accuracy: mean(&right),
            ci95: bootstrap_by_group(right.iter().copied(), bootstrap_seed),
            difference: mean(&differences),
            difference_ci95: bootstrap_by_group(differences.iter().copied(), bootstrap_seed),
            agreement: agreeing / total,
            confidence: all().map(|clip| clip.scored.confidence()).sum::<f64>() / total,
            log_loss: log_loss / seeds,
            ece: ece / seeds,
            novel: novel.map(|novel| novel / total),
        })
    }
}

impl OverDegradations {
    /// Of degradations; `None` of none.
    #[must_use]
    pub fn new(degradations: &[Condition]) -> Option<Self> {
        let n = degradations.len() as f64;
        let mean = |of: fn(&Condition) -> f64| degradations.iter().map(of).sum::<f64>() / n;
        let least = degradations.iter().min_by(|a, b| a.accuracy.total_cmp(&b.accuracy))?;
        Some(Self {
            accuracy: mean(|condition| condition.accuracy),
            agreement: mean(|condition| condition.agreement),
            least_accuracy: least.accuracy,
            least: least.name.clone(),
        })
    }
}

impl Robustness {
    /// What it was measured with and on, as a sentence.
    #[must_use]
    pub fn about(&self) -> String {
        let Self { name, split, seeds, fitted_on, clips, without_audio, .. } = self;
        let fitted = match seeds.as_slice() {
            [] => format!("`{name}` as it is in its artifact"),
            [_] => format!("`{name}`, fitted on {fitted_on} clips"),
            seeds => format!("`{name}`, fitted on {fitted_on} clips with each of {} seeds", seeds.len()),
        };
        let without = if *without_audio > 0 {
            format!("; of {without_audio} more that are held out there was none")
        } else {
            String::new()
        };
        format!("{fitted}, on the {clips} clips held out by `{split}` of which there was audio{without}.")
    }

    /// The rows of a table, each with its kind: the clean clips, degradations, lengths, other recordings.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, &Condition)> {
        let Self { clean, degradations, lengths, recordings, .. } = self;
        let mut rows = vec![("clean", clean)];
        for (kind, conditions) in [("degraded", degradations), ("length", lengths), ("recording", recordings)] {
            rows.extend(conditions.iter().map(|condition| (kind, condition)));
        }
        rows
    }

    /// Reads the file that `experiments robustness --out` wrote, and of it the one that was measured with this kind of model.
    ///
    /// # Errors
    /// When the file is none, or there is not one of that kind in it.
    pub fn read(path: &Path, model: &str) -> Result<Self> {
        let read = || -> Result<Self> {
            let mut all: Vec<Self> = serde_json::from_slice(&fs::read(path)?)?;
            all.retain(|one| one.model == model);
            match (all.pop(), all.as_slice()) {
                (Some(one), []) => Ok(one),
                (None, _) => bail!("it has no figures of a model of the kind `{model}`"),
                (Some(one), others) => {
                    let names: Vec<_> = others.iter().chain([&one]).map(|one| one.name.as_str()).collect();
                    bail!("it has figures of {} models of the kind `{model}`: {}", names.len(), names.join(", "))
                }
            }
        };
        read().with_context(|| format!("failed to read the figures in {}", path.display()))
    }
}

/// A table for people.
#[must_use]
pub fn text(robustness: &Robustness) -> String {
    let mut text: String = robustness.remarks.iter().map(|remark| format!("{remark}\n")).collect();
    let _ = writeln!(text, "{}\n", robustness.about());
    let rows = robustness.rows();
    let width = rows.iter().map(|(_, condition)| condition.name.chars().count()).max().unwrap_or(0).max(9);
    let _ = writeln!(
        text,
        "{:width$}  {:>7}  {:>4}  {:>8}  {:>11}  {:>10}  {:>14}  {:>9}  {:>10}  {:>8}  {:>5}  {:>5}",
        "condition",
        "seconds",
        "n",
        "accuracy",
        "95 % (art.)",
        "difference",
        "95 % (paired)",
        "agreement",
        "confidence",
        "log-loss",
        "ECE",
        "novel"
    );
    let mut kind = "clean";
    for (of, condition) in rows {
        if of != kind {
            kind = of;
            text.push('\n');
        }
        let Condition { name, seconds, n, accuracy, ci95, difference, difference_ci95, .. } = condition;
        let Condition { agreement, confidence, log_loss, ece, novel, .. } = condition;
        let interval = format!("{:.3}–{:.3}", ci95[0], ci95[1]);
        let paired = format!("{:+.3}..{:+.3}", difference_ci95[0], difference_ci95[1]);
        let novel = novel.map_or_else(|| "–".to_owned(), |novel| format!("{novel:.3}"));
        let _ = writeln!(
            text,
            "{name:width$}  {seconds:>7.1}  {n:>4}  {accuracy:>8.3}  {interval:>11}  {difference:>+10.3}  {paired:>14}  \
             {agreement:>9.3}  {confidence:>10.3}  {log_loss:>8.3}  {ece:>5.3}  {novel:>5}"
        );
    }
    if let Some(OverDegradations { accuracy, agreement, least_accuracy, least }) = &robustness.over_degradations {
        let _ = writeln!(
            text,
            "\nOver {} degradations: mean accuracy {accuracy:.3} ({:+.3}), mean agreement {agreement:.3}; least accuracy {least_accuracy:.3} \
             ({least})",
            robustness.degradations.len(),
            accuracy - robustness.clean.accuracy
        );
    }
    for LeftOut { name, reason } in &robustness.left_out {
        let _ = writeln!(text, "Left out: {name}: {reason}");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Figures of a model in two degradations, two lengths and one folder of recordings.
    pub(in crate::evaluation) fn robustness() -> Robustness {
        let clean: Vec<_> = (0..8).map(|i| measured(i, 0, 0.8, Some(false))).collect();
        let condition = |name: &str, seconds: f64, right: usize| {
            let of_clip =
                |i| Measured { seconds, ..measured(i, 0, if i < right { 0.7 } else { 0.2 }, Some(i >= right)) };
            let all: Vec<_> = (0..8).map(of_clip).collect();
            Condition::new(name, &labels(), &[(&all, &clean)], 0).expect("figures")
        };
        let degradations = vec![condition("noise", 30.0, 5), condition("room", 30.0, 7)];
        Robustness {
            name: "svm <1>".to_owned(),
            model: "svm".to_owned(),
            split: "artist-kfold:5".to_owned(),
            seeds: vec![0],
            fitted_on: 443,
            clips: 8,
            without_audio: 3,
            remarks: vec!["Careful & slow.".to_owned()],
            clean: condition(CLEAN, 30.0, 8),
            over_degradations: OverDegradations::new(&degradations),
            degradations,
            left_out: vec![LeftOut { name: "mp3 <1>".to_owned(), reason: "no ffmpeg".to_owned() }],
            lengths: vec![condition("2 s", 2.0, 4), condition("30 s", 30.0, 8)],
            recordings: vec![condition("recordings", 2.5, 5)],
        }
    }

    #[test]
    fn the_figures_of_one_kind_of_model_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("figures.json");
        let all = [robustness(), Robustness { model: "vgg19".to_owned(), ..robustness() }];
        let write = |all: &[Robustness]| fs::write(&path, serde_json::to_vec(all).expect("JSON")).expect("written");
        write(&all);
        assert_eq!(Robustness::read(&path, "svm").expect("figures"), all[0]);
        let refused = |model| format!("{:#}", Robustness::read(&path, model).expect_err("refused"));
        assert!(refused("ensemble").contains("no figures of a model of the kind `ensemble`"));
        write(&[robustness(), robustness()]);
        assert!(refused("svm").contains("figures of 2 models"), "{}", refused("svm"));
        fs::write(&path, "{}").expect("written");
        assert!(refused("svm").contains("figures.json"), "{}", refused("svm"));
    }

    #[test]
    fn a_table_has_a_row_for_each_condition() {
        let text = text(&robustness());
        for words in
            ["Careful & slow.", "of 3 more", "clean ", "noise ", "2 s ", "recordings ", "Left out: mp3 <1>: no ffmpeg"]
        {
            assert_eq!(text.matches(words).count(), 1, "{words}: {text}");
        }
        assert!(text.contains("Over 2 degradations: mean accuracy 0.750 (-0.250)"), "{text}");
        let rows: Vec<_> = text.lines().filter(|line| line.contains("..")).map(|line| line.chars().count()).collect();
        assert!(rows.len() == 6 && rows.iter().all(|columns| *columns == rows[0]), "{rows:?}");
    }

    fn measured(number: usize, truth: usize, first: f64, novel: Option<bool>) -> Measured {
        Measured {
            scored: Scored {
                clip_id: number.to_string(),
                metadata: String::new(),
                group: (number / 2).to_string(),
                truth,
                probabilities: vec![first, 1.0 - first],
            },
            seconds: 10.0 + number as f64,
            novel,
        }
    }

    fn labels() -> Vec<String> {
        ["a", "b"].map(str::to_owned).to_vec()
    }

    #[test]
    fn figures_are_those_of_the_predictions() {
        let clean: Vec<_> =
            [0.9, 0.8, 0.3, 0.4].into_iter().enumerate().map(|(i, p)| measured(i, i / 2, p, None)).collect();
        // The second is wrong now, the third too, and there are two excerpts of the fourth, of which one is right.
        let degraded: Vec<_> = [(0, 0.6), (1, 0.2), (2, 0.7), (3, 0.1), (3, 0.8)]
            .into_iter()
            .map(|(i, p)| measured(i, i / 2, p, Some(i == 3)))
            .collect();
        let condition = Condition::new("bad", &labels(), &[(&degraded, &clean)], 0).expect("figures");
        assert_eq!((condition.n, condition.accuracy, condition.agreement), (5, 0.4, 0.4));
        assert!((condition.difference + 0.6).abs() < 1e-12 && condition.novel == Some(0.4), "{condition:?}");
        let confidence = [0.6, 0.8, 0.7, 0.9, 0.8].iter().sum::<f64>() / 5.0;
        let log_loss = -[0.6f64, 0.2, 0.3, 0.9, 0.2].iter().map(|p| p.ln()).sum::<f64>() / 5.0;
        assert!((condition.confidence - confidence).abs() < 1e-12 && (condition.log_loss - log_loss).abs() < 1e-12);
        assert!((condition.seconds - 11.8).abs() < 1e-12, "{}", condition.seconds);

        // With a second seed that predicts as the clean clips do, figures are the means.
        let both = Condition::new("bad", &labels(), &[(&degraded, &clean), (&clean, &clean)], 0).expect("figures");
        assert!((both.accuracy - 6.0 / 9.0).abs() < 1e-12, "{}", both.accuracy);
        let same = Condition::new("same", &labels(), &[(&clean, &clean)], 0).expect("figures");
        assert_eq!((same.difference, same.difference_ci95, same.agreement, same.novel), (0.0, [0.0; 2], 1.0, None));
        assert!(Condition::new("none", &labels(), &[(&[], &clean)], 0).is_err());
        let stranger = [measured(9, 0, 0.5, None)];
        assert!(Condition::new("else", &labels(), &[(&stranger, &clean)], 0).is_err());
    }

    #[test]
    fn means_name_the_worst() {
        let condition = |name: &str, right: &[usize]| {
            let clean: Vec<_> = (0..4).map(|i| measured(i, 0, 0.9, None)).collect();
            let degraded: Vec<_> =
                (0..4).map(|i| measured(i, 0, if right.contains(&i) { 0.9 } else { 0.1 }, None)).collect();
            Condition::new(name, &labels(), &[(&degraded, &clean)], 0).expect("figures")
        };
        let all = [condition("a", &[0, 1, 2]), condition("b", &[0]), condition("c", &[3])];
        let over = OverDegradations::new(&all).expect("three");
        assert_eq!((over.least.as_str(), over.least_accuracy), ("b", 0.25));
        assert!((over.accuracy - 1.25 / 3.0).abs() < 1e-12 && (over.agreement - over.accuracy).abs() < 1e-12);
        assert_eq!(OverDegradations::new(&[]), None);
    }
}
