//! What every training shares: from music to clips that are fitted on and clips that are held out, and from a fitted
//! model to an artifact in use.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result, bail};
use data::{FaultFiltered, Fold, LabelledDataset, Part, Split};
use features::{Extractor, FeatureSpec, spec::PRESETS};
use models::{
    Classifier,
    artifact::{self, Artifact, DataDescription, Draft, SplitMetrics, Written},
};
use serde_json::{Value, json};

use super::{open_set, read_spec, say_rejected};
use crate::{
    cli::args::FitArgs,
    console::{
        interrupt::{self, Scratch},
        output, text,
    },
    evaluation::{
        describe,
        documents::Documents,
        learning::{FittedOn, Learning, LearningCurve},
        metrics::{Evaluation, Scored},
        report::Curve,
        scoring::{self, Judged},
    },
    source::{self, Source},
};

/// Folds of the split by artist that holds clips out where GTZAN's own split does not apply.
const FOLDS: usize = 4;

/// Music that is ready to be fitted on.
pub(super) struct Music {
    pub set: LabelledDataset,
    pub split: Split,
    /// The folds that judge: one, or with `--refit` all of the split.
    folds: Vec<Fold>,
    /// Whether the model that is kept is fitted on the clips that judge too, once they have judged others.
    pub refit: bool,
    /// Clips that the model which is kept is fitted on.
    pub train: Vec<usize>,
    /// Clips that judge it, or those that are fitted alike.
    pub test: Vec<usize>,
    /// Names of the classes.
    pub labels: Vec<String>,
    _scratch: Option<Scratch>,
}

impl Music {
    /// Finds the music that the arguments name, or makes some, and deals it.
    ///
    /// `spec` is what is wrong with `--spec`, said before anything that takes long.
    ///
    /// # Errors
    /// When there is no usable music, or nowhere to keep an artifact.
    pub(super) fn prepare(args: &FitArgs, spec: &FeatureSpec) -> Result<Self> {
        let threads = args.run.threads.into();
        let named = args.held_out.as_deref().map(held_out_split).transpose()?;
        can_write_into(&args.artifacts)?;
        let source = Source::choose(&args.data.corpora, args.seed, threads)?;
        if args.run.json {
            output::remark(&source.announcement);
        } else {
            output::line(&source.announcement)?;
        }
        let scratch = Scratch::new().ok();
        let set = open_set(&source.corpora, spec, threads, scratch.as_ref())?;
        let split = named.unwrap_or_else(|| default_split(&set));
        // Repeats and faults are never dealt.
        let parts = BTreeSet::from([FaultFiltered::Train, FaultFiltered::Valid, FaultFiltered::Test]);
        let mut folds = set.folds(split, &parts, args.seed)?;
        if !args.refit {
            folds.truncate(1);
        }
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for fold in &folds {
            if fold.train.is_empty() {
                bail!("nothing is left to fit on beside {split}; name a corpus with the train part too");
            }
            train.extend(&fold.train);
            test.extend(&fold.test);
        }
        if args.refit {
            train.extend(&test);
        }
        train.sort_unstable();
        train.dedup();
        test.sort_unstable();
        let labels = describe::labels(&set, &train);
        if let [genre] = labels.as_slice() {
            bail!(
                "all {} clips to fit on are {genre}; a classifier needs two genres or more: add clips of others",
                train.len()
            );
        }
        describe::check_folds(&set, &labels, split, &folds)?;
        Ok(Self { set, split, folds, refit: args.refit, train, test, labels, _scratch: scratch })
    }

    /// What is said of the clips that judge: by `kept`; or with `--refit`, by what `fit` makes of the other clips of each
    /// fold. What the models of several folds decide by cannot be compared, and is not kept.
    ///
    /// # Errors
    /// Those of `fit`; when a clip cannot be read.
    pub(super) fn judged<C: Classifier>(
        &self,
        kept: &C,
        threads: usize,
        mut fit: impl FnMut(&Fold) -> Result<C>,
    ) -> Result<Judged> {
        if !self.refit {
            return scoring::judge(kept, &self.set, &self.test, threads);
        }
        let mut judged: Vec<(usize, Scored)> = Vec::new();
        for (number, fold) in self.folds.iter().enumerate() {
            let of_fold = fit(fold).and_then(|classifier| scoring::score(&classifier, &self.set, &fold.test, threads));
            let of_fold = of_fold.with_context(|| format!("fold {} of {}", number + 1, self.folds.len()))?;
            judged.extend(fold.test.iter().copied().zip(of_fold));
        }
        judged.sort_by_key(|(index, _)| *index);
        Ok(Judged { scored: judged.into_iter().map(|(_, scored)| scored).collect(), passages: Vec::new() })
    }

    /// The flag of the command that deals them so again.
    pub(super) fn flag(&self) -> &'static str {
        if self.refit { " --refit" } else { "" }
    }

    /// How the clips that judge were dealt, in words.
    fn dealt(&self) -> String {
        let Self { split, test, refit, folds, .. } = self;
        if *refit {
            let models = if folds.len() == 1 { "a model".to_owned() } else { format!("{} models", folds.len()) };
            format!("judged: {} by {split}, by {models} that did not see them", test.len())
        } else {
            format!("held out: {} by {split}", test.len())
        }
    }

    /// Computes what the specification of the set says.
    ///
    /// # Errors
    /// Those of [`Extractor::new`].
    pub(super) fn extractor(&self) -> Result<Extractor> {
        Ok(Extractor::new(self.set.spec().clone())?)
    }

    /// The specification that the arguments name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn spec(args: &FitArgs) -> Result<FeatureSpec> {
        read_spec(&args.spec)
    }
}

/// What a training gave.
pub(super) struct Model<'a> {
    pub classifier: &'a dyn Classifier,
    /// What was said of the clips that judge.
    pub judged: Judged,
    /// The bytes of `weights.safetensors`.
    pub weights: Vec<u8>,
    /// What the training says of itself, for `artifact.json`.
    pub training: Value,
    /// Fields of it that are too long for the report.
    pub long: &'a [&'a str],
    /// Further lines for the report.
    pub curves: Vec<Curve>,
    /// How it is fitted again on less.
    pub learning: Learning<'a>,
    /// Accuracy by cross-validation among the clips that were fitted on.
    pub cross_validated: f64,
    /// The command that makes it again.
    pub command: String,
    /// What a server asks at.
    pub role: &'static str,
    pub address: &'static str,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
}

/// An artifact, and how good it is.
pub(super) struct Kept {
    artifact: Written,
    in_use: InUse,
    model: String,
    evaluation: Evaluation,
    cross_validated: f64,
    role: &'static str,
    address: &'static str,
    fingerprint: String,
    remarks: Vec<String>,
}

/// Which version is in use after a training.
enum InUse {
    /// The new one.
    This,
    /// Another, which is pinned.
    Pinned(String),
    /// Another, which knows real music where this one knows synthetic music alone.
    Real(String),
}

/// Writes the artifact of a model and puts it in use, unless another version is pinned, or was trained on real music where this one
/// was not.
///
/// # Errors
/// When a clip cannot be read or the artifact cannot be written.
pub(super) fn keep(args: &FitArgs, music: &Music, model: Model<'_>) -> Result<Kept> {
    let Music { set, split, train, test, labels, .. } = music;
    let name = model.classifier.identity().name.clone();
    let spec = model.classifier.extractor().spec().clone();
    let fingerprint = spec.fingerprint();
    let judged = model.judged;
    let evaluation = Evaluation::new(labels, &judged.scored, args.seed);
    let learning = learning_curve(&model.learning, music, &judged, &evaluation, args.seed)?;
    let clip_ids: Vec<_> = train.iter().map(|&index| set.clips()[index].clip_id.as_str()).collect();
    let warning = source::synthetic_warning(clip_ids.iter().copied());
    let mut training = model.training;
    let mut summarised = training.clone();
    if let (Some(all), Some(short)) = (training.as_object_mut(), summarised.as_object_mut()) {
        for fields in [&mut *all, &mut *short] {
            fields.insert("seed".into(), json!(args.seed));
            fields.insert("held_out".into(), json!(split.to_string()));
            if music.refit {
                fields.insert("refit".into(), json!(true));
            }
            fields.insert("warning".into(), json!(warning));
        }
        all.insert("clip_ids".into(), json!(clip_ids));
        // Long lists belong in artifact.json.
        for field in model.long {
            short.remove(*field);
        }
    }
    let data = DataDescription {
        digest: set.digest_of(train)?,
        description: set.description().to_string(),
        clips: train.len(),
    };
    let more = [
        ("macro_f1", json!(evaluation.macro_f1)),
        ("log_loss", json!(evaluation.log_loss)),
        ("ece", json!(evaluation.ece)),
        ("ci95", json!(evaluation.ci95)),
    ];
    let summary = SplitMetrics {
        split: split.to_string(),
        n: evaluation.n,
        accuracy: evaluation.accuracy,
        more: more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let documents = Documents {
        model: &name,
        split: &split.to_string(),
        leaks: split.leaks(),
        warning,
        seed: args.seed,
        judged: &judged,
        evaluation: &evaluation,
        judged_data: set.digest_of(test)?,
        fingerprint: &fingerprint,
        weights: &model.weights,
        data: &data,
        training: &summarised,
        command: &(model.command + &spec_flag(args)),
        against: None,
        learning: Some(&learning),
        curves: &model.curves,
    };
    let (metrics_json, report_html) = (serde_json::to_vec_pretty(&documents.metrics())?, documents.page());
    let draft = Draft {
        model: name.clone(),
        labels: labels.clone(),
        spec,
        training,
        data,
        metrics: vec![summary],
        weights: model.weights,
        metrics_json,
        report_html: report_html.into_bytes(),
    };
    let model_dir = args.artifacts.join(&name);
    let (artifact, in_use) = interrupt::uninterrupted(|| -> Result<_> {
        let artifact = draft.write(&args.artifacts)?;
        // A pin is the stronger reason, and what to do about it is another thing.
        if artifact::pinned(&model_dir)?.is_none()
            && let Some(real) = real_in_use(&model_dir).filter(|_| warning.is_some())
        {
            return Ok((artifact, InUse::Real(real)));
        }
        match artifact::set_current(&model_dir, &artifact.version) {
            Ok(()) => Ok((artifact, InUse::This)),
            Err(models::Error::Pinned { pinned, .. }) => Ok((artifact, InUse::Pinned(pinned))),
            Err(error) => Err(error.into()),
        }
    })?;
    let Model { cross_validated, role, address, remarks, .. } = model;
    Ok(Kept {
        artifact,
        in_use,
        model: name,
        evaluation,
        cross_validated,
        role,
        address,
        remarks,
        fingerprint: fingerprint.to_string(),
    })
}

/// The version in use in the folder of a model, if it can be used and was trained on real music.
fn real_in_use(model_dir: &Path) -> Option<String> {
    let version = artifact::current(model_dir).ok()?;
    let artifact = Artifact::open(&model_dir.join(&version)).ok()?;
    artifact.manifest().training["warning"].is_null().then_some(version)
}

impl Kept {
    /// The one JSON object of `--json`.
    pub(super) fn json(&self, music: &Music) -> Value {
        json!({
            "artifact": self.artifact.dir,
            "version": self.artifact.version,
            "in_use": matches!(self.in_use, InUse::This),
            "pinned": match &self.in_use {
                InUse::Pinned(version) => Some(version),
                _ => None,
            },
            "fingerprint": self.fingerprint,
            "held_out": music.split.to_string(),
            "refit": music.refit,
            "cross_validated_accuracy": self.cross_validated,
            "rejected": music.set.rejected().len(),
            "evaluation": self.evaluation,
        })
    }

    /// What a person reads of how good it is, and where it is.
    ///
    /// # Errors
    /// When the output is gone.
    pub(super) fn say(&self, args: &FitArgs, music: &Music) -> Result<()> {
        let Self { artifact, evaluation, .. } = self;
        let Music { set, split, train, .. } = music;
        let model = &self.model;
        for remark in &self.remarks {
            output::line(remark)?;
        }
        output::line(format!(
            "Fitted on {} of {}; {}, which leaks: {}.\n\
             Cross-validated by artist among those that were fitted on: accuracy {:.3}.",
            train.len(),
            set.description(),
            music.dealt(),
            split.leaks(),
            self.cross_validated
        ))?;
        output::line(format!(
            "{}\nartifact  {}\nreport    {}",
            text::figures(evaluation),
            artifact.dir.display(),
            artifact.dir.join(artifact::REPORT).display(),
        ))?;
        let (stays, flag) = match &self.in_use {
            InUse::This => return Ok(()),
            InUse::Pinned(version) => (format!("{version} is pinned and stays in use"), " --unpin"),
            InUse::Real(version) => (format!("{version} knows real music and stays in use"), ""),
        };
        output::line(format!(
            "not in use: {stays}; to use this one\n          cargo run --release -p train -- promote {model} {}{flag}{}",
            artifact.version,
            custom(args)
        ))
    }

    /// Whether it is the one that a server takes.
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.in_use, InUse::This)
    }

    /// How to serve it, if it is in use.
    ///
    /// # Errors
    /// When the output is gone.
    pub(super) fn say_how_to_serve(&self, args: &FitArgs, music: &Music) -> Result<()> {
        if !self.is_in_use() {
            return Ok(());
        }
        say_how_to_serve(args, music, self.role, self.address)
    }
}

/// How to serve the models of a role, and ask at an address.
///
/// # Errors
/// When the output is gone.
pub(super) fn say_how_to_serve(args: &FitArgs, music: &Music, role: &str, address: &str) -> Result<()> {
    output::line(format!("serve it  cargo run --release -p serve -- {role}{}", custom(args)))?;
    let held_out = music.test.first().map(|&index| music.set.clips()[index].clip_id.as_str());
    if let Some(file) = held_out.and_then(|clip_id| source::synthetic_file(clip_id, args.seed)) {
        output::line(format!("and ask   curl -F audio_file=@{file} http://{address}"))?;
    }
    Ok(())
}

/// The flag that another command needs for artifacts that are not where it looks by itself.
fn custom(args: &FitArgs) -> String {
    let elsewhere = args.artifacts.as_os_str() != "artifacts";
    if elsewhere { format!(" --artifacts {}", args.artifacts.display()) } else { String::new() }
}

/// Says what a reader should know before any figure: files that were left out, and that the music is synthetic.
///
/// # Errors
/// When the output is gone.
pub(super) fn say_first(music: &Music) -> Result<()> {
    say_rejected(music.set.rejected());
    if let Some(warning) = source::synthetic_warning(music.set.clips().iter().map(|clip| clip.clip_id.as_str())) {
        output::line(warning)?;
    }
    Ok(())
}

/// The split that was named, if it holds clips out.
fn held_out_split(name: &str) -> Result<Split> {
    let split = name.parse()?;
    match split {
        Split::FaultFiltered(Part::Valid | Part::Test) | Split::ArtistKFold { .. } | Split::TrackKFold { .. } => {
            Ok(split)
        }
        _ => {
            bail!("`{name}` holds no clip out that is not fitted on; use fault-filtered:valid or artist-kfold:{FOLDS}")
        }
    }
}

/// GTZAN's own split where every clip is GTZAN's, else one by artist.
fn default_split(set: &LabelledDataset) -> Split {
    if set.clips().iter().all(|clip| clip.part.is_some()) {
        Split::FaultFiltered(Part::Valid)
    } else {
        Split::ArtistKFold { k: FOLDS }
    }
}

/// Refuses a folder for artifacts that cannot be written, and leaves nothing there.
fn can_write_into(folder: &Path) -> Result<()> {
    let here = Path::new(".");
    let mut ancestors = folder.ancestors().map(|path| if path.as_os_str().is_empty() { here } else { path });
    let there = ancestors.find(|path| path.symlink_metadata().is_ok()).unwrap_or(here);
    tempfile::tempfile_in(there).map(drop).with_context(|| {
        format!(
            "cannot keep artifacts in {}: {} cannot be written; name another with --artifacts",
            folder.display(),
            there.display()
        )
    })
}

/// What more music to fit on is worth to a model that was fitted on `music`, by the clips that it holds out.
///
/// # Errors
/// Those of [`LearningCurve::new`].
fn learning_curve(
    learning: &Learning<'_>,
    music: &Music,
    judged: &Judged,
    evaluation: &Evaluation,
    seed: u64,
) -> Result<LearningCurve> {
    let fitted_on_too =
        Learning::LeftOut("every clip that judges was fitted on too (--refit), each by a model of its fold");
    let learning = if music.refit { &fitted_on_too } else { learning };
    let clips = || music.train.iter().map(|&index| &music.set.clips()[index]);
    let label = |genre: data::Genre| music.labels.iter().position(|label| label == genre.name());
    let labels =
        clips().map(|clip| label(clip.genre).context("a genre without a label")).collect::<Result<Vec<_>>>()?;
    let groups: Vec<String> = clips().map(|clip| clip.group.clone()).collect();
    LearningCurve::new(learning, FittedOn { labels: &labels, groups: &groups }, judged, evaluation, seed)
}

/// What a command that was given these arguments was given beside its split and its seed: no path of this machine.
fn spec_flag(args: &FitArgs) -> String {
    match args.spec.as_str() {
        "gtzan-store" => String::new(),
        preset if PRESETS.contains(&preset) => format!(" --spec {preset}"),
        _ => " --spec SPEC".into(),
    }
}
