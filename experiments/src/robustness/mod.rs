//! What bad recordings and short ones do to predictions, declared in a file of its own: the experiments that are measured, and
//! what is done to the clips that they hold out.

mod audio;
mod codecs;
mod measure;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use data::{Part, Split, degrade::Degradation};
use serde::{Deserialize, Serialize};
use train::evaluation::robustness::CLEAN;

pub use audio::{AudioFile, HeldOutAudio};
pub use codecs::{Codec, CodecName, Ffmpeg};
pub use measure::{Files, Head, Kind, Measuring, Prediction, figures};

use crate::declarations::{self, Experiment, check_name, default_seeds, parsed};

/// A declaration that was checked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The name that its results are stored under, beside those of each experiment: 1 to 64 of a to z, 0 to 9 and -.
    pub name: String,
    /// Files of experiments, from the folder of the file. Their features and models count, and their datasets.
    pub experiments: Vec<PathBuf>,
    /// By which split clips are held out.
    #[serde(deserialize_with = "parsed")]
    pub split: Split,
    /// Seeds of the training; at least one, none twice.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// What is done to the held-out clips.
    #[serde(default)]
    pub degradations: Vec<NamedDegradation>,
    /// To which lengths they are cut, with nothing else done to them.
    #[serde(default)]
    pub lengths: Lengths,
}

/// Something that is done to clips. Every copy is rounded to 16 bits before it is encoded, or predicted where it is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedDegradation {
    /// What it is called: 1 to 64 of a to z, 0 to 9 and -.
    pub name: String,
    /// What is done first, one after the other.
    #[serde(default)]
    pub steps: Vec<Degradation>,
    /// With what it is encoded then, and decoded.
    #[serde(default)]
    pub codec: Option<Codec>,
}

/// To which lengths clips are cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lengths {
    /// Seconds, rising.
    pub seconds: Vec<f64>,
    /// Most excerpts of one clip; they are drawn, and do not overlap.
    pub excerpts: usize,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { seconds: Vec::new(), excerpts: 3 }
    }
}

/// Reads a declaration.
///
/// # Errors
/// When it cannot be read, or names the field that is wrong.
pub fn read(path: &Path) -> Result<Declaration> {
    let read = || -> Result<Declaration> {
        let text = fs::read_to_string(path)?;
        let declaration: Result<Declaration, _> = toml::from_str(&text);
        let declaration = declaration.map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            anyhow!("{} in line {}", error.message(), 1 + before.matches('\n').count())
        })?;
        declaration.check()?;
        Ok(declaration)
    };
    read().with_context(|| format!("failed to read {}", path.display()))
}

impl Declaration {
    fn check(&self) -> Result<()> {
        let Self { name, experiments, split, seeds, degradations, lengths } = self;
        check_name(name).context("`name`")?;
        if experiments.is_empty() {
            bail!("`experiments` names no file");
        }
        if matches!(split, Split::FaultFiltered(Part::Train | Part::All) | Split::SegmentKFold { .. }) {
            bail!("`split`: {split} does not hold out whole clips");
        }
        if seeds.is_empty() || seeds.iter().collect::<BTreeSet<_>>().len() < seeds.len() {
            bail!("`seeds` must name one or more, none twice");
        }
        let mut names = BTreeSet::from([CLEAN]);
        for degradation in degradations {
            let NamedDegradation { name, steps, codec } = degradation;
            check_name(name).context("`degradations`: `name`")?;
            if !names.insert(name) {
                bail!("`degradations`: there are two of the name `{name}`, or it is that of the clean clips");
            }
            if steps.is_empty() && codec.is_none() {
                bail!("`degradations`: `{name}` has neither `steps` nor `codec`");
            }
            steps.iter().try_for_each(Degradation::validate).with_context(|| format!("`degradations`: `{name}`"))?;
            codec.iter().try_for_each(Codec::validate).with_context(|| format!("`degradations`: `{name}`"))?;
        }
        let Lengths { seconds, excerpts } = lengths;
        if !seconds.iter().all(|seconds| (0.1..=3_600.0).contains(seconds)) || !seconds.is_sorted_by(|a, b| a < b) {
            bail!("`lengths.seconds`: expected 0.1 to 3600, rising");
        }
        if !(1..=100).contains(excerpts) {
            bail!("`lengths.excerpts` = {excerpts}: expected 1 to 100");
        }
        Ok(())
    }

    /// The experiments that it names; `path` is its file.
    ///
    /// # Errors
    /// When one cannot be read, two have one name, or one does not fit whole clips.
    pub fn read_experiments(&self, path: &Path) -> Result<Vec<Experiment>> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut names = BTreeSet::new();
        let mut experiments = Vec::new();
        for file in &self.experiments {
            let experiment = declarations::read(&folder.join(file))?;
            if !names.insert(experiment.name.clone()) {
                bail!("two of the experiments of {} have the name `{}`", path.display(), experiment.name);
            }
            if experiment.data.segments_per_clip.is_some() {
                bail!(
                    "`{}` is fitted on segments of clips (`data.segments_per_clip`); whole clips are measured",
                    experiment.name
                );
            }
            experiments.push(Experiment { splits: vec![self.split], seeds: self.seeds.clone(), ..experiment });
        }
        Ok(experiments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "name = \"a\"\nexperiments = [\"svm.toml\"]\nsplit = \"fault-filtered:valid\"\n";

    fn read_text(text: &str) -> Result<Declaration> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.toml");
        fs::write(&path, text).expect("written");
        read(&path)
    }

    #[test]
    fn what_is_declared_is_the_list_of_twelve() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("declared/robustness.toml");
        let declared = read(&path).expect("a declaration");
        let names: Vec<_> = declared.degradations.iter().map(|one| one.name.as_str()).collect();
        let expected = [
            "mp3-128k",
            "mp3-32k",
            "aac-96k",
            "vorbis-q3",
            "gain-minus-20",
            "clipped-12",
            "noise-20",
            "rate-8k",
            "bass-6",
            "treble-minus-9",
            "room",
            "speed-3",
        ];
        assert_eq!(names, expected);
        assert_eq!(declared.lengths.seconds, [2.0, 3.0, 5.0, 10.0, 20.0, 30.0]);
        let experiments = declared.read_experiments(&path).expect("experiments");
        assert!(experiments.iter().any(|experiment| experiment.name == "svm-robust"));
        // Numbers without a point are numbers too.
        let text = format!("{PLAIN}[[degradations]]\nname = \"b\"\nsteps = [{{ kind = \"gain\", db = 3 }}]");
        let declared = read_text(&text).expect("a declaration");
        assert_eq!(declared.degradations[0].steps, [Degradation::Gain { db: 3.0 }]);
        assert_eq!(declared.seeds, default_seeds());
    }

    #[test]
    fn every_mistake_is_named_with_file_and_field() {
        let degraded = |of: &str| format!("{PLAIN}[[degradations]]\n{of}");
        for (text, words) in [
            (PLAIN.replace("name", "nom"), "nom"),
            (PLAIN.replace("\"a\"", "\"A b\""), "`name`: expected 1 to 64"),
            (PLAIN.replace("\"svm.toml\"", ""), "`experiments` names no file"),
            (PLAIN.replace("valid", "all"), "does not hold out whole clips"),
            (PLAIN.replace("fault-filtered:valid", "kfold"), "kfold"),
            (format!("seeds = [1, 1]\n{PLAIN}"), "`seeds`"),
            (degraded("name = \"b\""), "`b` has neither `steps` nor `codec`"),
            (degraded("name = \"clean\"\nsteps = [{ kind = \"gain\", db = 1 }]"), "that of the clean clips"),
            (degraded("name = \"b\"\nsteps = [{ kind = \"hiss\" }]"), "unknown variant `hiss`"),
            (degraded("name = \"b\"\nsteps = [{ kind = \"gain\", db = 200 }]"), "`db` is 200; expected -120 to 120"),
            (degraded("name = \"b\"\ncodec = { name = \"mp5\" }"), "mp5"),
            (degraded("name = \"b\"\ncodec = { name = \"mp3\", kbits = 0 }"), "`kbits`"),
            (degraded("name = \"b\"\ncodec = { name = \"mp3\", bits = 3 }"), "unknown field `bits`"),
            (degraded("name = \"b\"\nvolume = 3"), "unknown field `volume`"),
            (format!("{PLAIN}[lengths]\nseconds = [3, 2]"), "`lengths.seconds`"),
            (format!("{PLAIN}[lengths]\nexcerpts = 0"), "`lengths.excerpts` = 0"),
        ] {
            let error = format!("{:#}", read_text(&text).expect_err("refused"));
            assert!(error.contains("a.toml") && error.contains(words), "{text}: {error}");
        }
    }
}
