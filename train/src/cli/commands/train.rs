//! `train`, `train svm`, `train vgg19`: from a labelled dataset to models that a server loads.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, anyhow, bail};
use features::{FeatureSpec, spec::PRESETS};
use models::{
    artifact,
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier},
};
use serde_json::json;

use super::{models::version_of, read_spec};
use crate::{
    cli::args::{FitArgs, HeadKind, Regime, SvmArgs, Vgg19Args},
    console::output::{self, print_json},
    evaluation::text,
    places::Places,
    source::{self, Source},
    training::{
        Learner, Pretrained, Published, SvmLearner, TrainingData, TrainingPlan, Vgg19Learner,
        publish::{self, Target},
        svm::Search,
        transfer::InitialNetwork,
        vgg19::TrainingConfig,
    },
};

/// `train`: fits the machine, then the network with frozen convolutions, on the same data, and puts both in use.
///
/// # Errors
/// Those of [`svm`] and [`vgg19`].
pub fn both(args: &FitArgs) -> Result<()> {
    let spec = read_spec(&args.spec)?;
    spec.require_descriptors()?;
    let (network, places) = (Vgg19Args::of(args.clone()), args.artifacts.places());
    let (learner, command) = vgg19_learner(&network, &places)?;
    let mut training = Training::prepare(args, &spec, places)?;
    let learner_of_machine = SvmLearner { search: Search::default() };
    let machine = training.fit(SvmClassifier::NAME, &learner_of_machine, &svm_command(&Search::default()))?;
    if !args.run.json {
        training.say_first()?;
        output::line("\nSupport vector machine")?;
        training.say(&machine)?;
    }
    training.data = training.data.forget_descriptors()?;
    let tuned = training.fit(Vgg19Classifier::NAME, &learner, &command)?;
    if args.run.json {
        return print_json(&json!({ "svm": training.json(&machine), "vgg19": training.json(&tuned) }));
    }
    output::line("\nVGG19")?;
    training.say(&tuned)?;
    output::line("")?;
    training.say_how_to_serve(SvmClassifier::NAME, "all", "127.0.0.1:8083", "predict")?;
    output::line("or open   http://127.0.0.1:8083")
}

/// `train svm`: fits, evaluates on the clips that were held out, writes the artifact and puts it in use.
///
/// # Errors
/// When there is no usable dataset, or the artifact cannot be written.
pub fn svm(SvmArgs { fit: args, name, search }: &SvmArgs) -> Result<()> {
    // What is wrong with the configuration is said before anything that takes long.
    let places = args.artifacts.places();
    publish::check_name(target(&places, name), SvmClassifier::NAME)?;
    let spec = read_spec(&args.spec)?;
    spec.require_descriptors()?;
    let search = search.as_deref().map_or_else(|| Ok(Search::default()), read_search)?;
    let training = Training::prepare(args, &spec, places)?;
    let command = svm_command(&search);
    let published = training.fit(name, &SvmLearner { search }, &command)?;
    training.report(&published, "svm", "127.0.0.1:8081", "predict")
}

/// `train vgg19`: fits, evaluates on the clips that were held out, writes the artifact and puts it in use.
///
/// # Errors
/// When there is no usable dataset, the weights or the device cannot be used, or the artifact cannot be written.
pub fn vgg19(args: &Vgg19Args) -> Result<()> {
    // What is wrong with the configuration is said before anything that takes long.
    let places = args.fit.artifacts.places();
    publish::check_name(target(&places, &args.name), Vgg19Classifier::NAME)?;
    let spec = read_spec(&args.fit.spec)?.log_mel_alone();
    let (learner, command) = vgg19_learner(args, &places)?;
    learner.weights.check(&learner.config, &spec)?;
    args.device.open()?;
    let training = Training::prepare(&args.fit, &spec, places)?;
    let published = training.fit(&args.name, &learner, &command)?;
    training.report(&published, "vgg", "127.0.0.1:8082", "vgg")
}

/// Where a model of that name is published.
fn target<'a>(places: &'a Places, name: &'a str) -> Target<'a> {
    Target { artifacts: places.folder(), others: places.others(), name }
}

/// The machine's part of the command that makes it again.
fn svm_command(search: &Search) -> String {
    format!("svm --data DATASET{}", if *search == Search::default() { "" } else { " --search SEARCH" })
}

/// How a network is fitted, and that part of the command that makes it again.
fn vgg19_learner(args: &Vgg19Args, places: &Places) -> Result<(Vgg19Learner, String)> {
    let start = args.init.as_deref().map(|named| start_from(named, args, places)).transpose()?;
    let config = config(args, start.as_ref().and_then(Pretrained::initial))?;
    let weights = match start {
        Some(start) => start,
        None => Pretrained::choose(args.weights.as_deref(), &config, places.all())?,
    };
    if let Some(found) = weights.found() {
        output::remark(&format!("Convolutions: those of {} (--weights names others)", found.display()));
    }
    let named = match weights.initial() {
        Some(_) => " --init INIT",
        None if weights.is_random() => "",
        None => " --weights WEIGHTS",
    };
    let command = format!("vgg19 --data DATASET{named} {}", flags(args, &config));
    let cache = (!args.no_cache).then(|| args.cache.clone());
    Ok((Vgg19Learner { config, weights: Arc::new(weights), backend: args.device, cache }, command))
}

/// The network of `--init`: of the model of that name in the first folder that has one, else of the artifact in that folder.
fn start_from(named: &Path, args: &Vgg19Args, places: &Places) -> Result<Pretrained> {
    if args.weights.is_some() {
        bail!("--init starts from the convolutions of a network; leave out --weights (TONEARM_WEIGHTS)");
    }
    let dir = version_of(named, places, Some(Vgg19Classifier::NAME))
        .with_context(|| format!("--init {}", named.display()))?;
    Pretrained::of_artifact(&dir)
}

/// A dataset that is ready to be fitted on.
struct Training<'a> {
    args: &'a FitArgs,
    places: Places,
    data: TrainingData,
    plan: TrainingPlan,
}

impl<'a> Training<'a> {
    /// Finds the dataset that the arguments name, or makes one, and splits it.
    ///
    /// # Errors
    /// When there is no usable dataset, or nowhere to keep an artifact.
    fn prepare(args: &'a FitArgs, spec: &FeatureSpec, places: Places) -> Result<Self> {
        let threads = args.run.threads.into();
        let split = args.held_out.as_deref().map(TrainingPlan::split).transpose()?;
        let opening = args.data.opening.options()?;
        publish::check_writable(places.folder())?;
        let source = Source::choose(&args.data.datasets, args.seed, threads)?;
        if args.run.json {
            output::remark(&source.announcement);
        } else {
            output::line(&source.announcement)?;
        }
        let data = TrainingData::open(&source.datasets, spec, &opening, None, threads)?;
        // Before anything can fail for want of what is not used.
        output::say_dataset(data.dataset());
        let plan = TrainingPlan::new(data.dataset(), split, args.refit, args.seed)?;
        // The file of the artifact is told in any case, and one in the current folder is no surprise.
        if args.artifacts.artifacts.is_none() && places.folder() != Path::new(artifact::places::HERE) {
            output::remark(&format!("Artifacts: {} (--artifacts names another folder)", places.folder().display()));
        }
        Ok(Self { args, places, data, plan })
    }

    /// Fits a model, evaluates it, writes its artifact under `name` and puts it in use. `command` is the model's part of the
    /// command; it has no name, as the artifact has none.
    fn fit(&self, name: &str, learner: &dyn Learner, command: &str) -> Result<Published> {
        let Self { args, places, data, plan } = self;
        let fitted = plan.fit(learner, data, args.seed, args.run.threads.into())?;
        let (split, flag, spec) = (plan.split, plan.flag(), spec_flag(args));
        let command = format!("train {command} --held-out {split}{flag} --seed {}{spec}", args.seed);
        publish::publish(target(places, name), data, plan, fitted, args.seed, &command)
    }

    /// What a training of one model prints.
    fn report(&self, published: &Published, role: &str, address: &str, route: &str) -> Result<()> {
        if self.args.run.json {
            return print_json(&self.json(published));
        }
        self.say_first()?;
        self.say(published)?;
        if published.is_in_use() {
            let name = published.name.as_str();
            let is_default = [SvmClassifier::NAME, Vgg19Classifier::NAME].contains(&name);
            let route = if is_default { route.to_owned() } else { format!("v1/models/{name}/predict") };
            self.say_how_to_serve(name, role, address, &route)?;
        }
        Ok(())
    }

    fn json(&self, published: &Published) -> serde_json::Value {
        published.json(&self.data, &self.plan)
    }

    /// What a reader should know before any figure: that the clips are synthetic.
    fn say_first(&self) -> Result<()> {
        let dataset = self.data.dataset();
        if let Some(warning) = source::synthetic_warning(dataset.clips().iter().map(|clip| clip.clip_id.as_str())) {
            output::line(warning)?;
        }
        Ok(())
    }

    /// How good a model is, and where it is.
    fn say(&self, published: &Published) -> Result<()> {
        let Published { artifact, in_use, name, evaluation, cross_validated_accuracy, remarks, .. } = published;
        for remark in remarks {
            output::line(remark)?;
        }
        output::line(format!(
            "Fitted on {} of {}; {} ({}), which leaks: {}.\n\
             Cross-validated by artist among those that were fitted on: accuracy {cross_validated_accuracy:.3}.",
            self.plan.train.len(),
            self.data.dataset().description(),
            self.plan.description(),
            self.plan.why,
            self.plan.split.leaks(),
        ))?;
        if self.plan.shared > 0 {
            output::line(format!(
                "{} artists or recordings stand on both sides of that split: the figures flatter.",
                self.plan.shared
            ))?;
        }
        output::line(format!(
            "{}\nartifact  {}\nreport    {}",
            text::figures(evaluation),
            artifact.dir.display(),
            artifact.dir.join(artifact::REPORT).display(),
        ))?;
        let Some(kept) = in_use.kept() else { return Ok(()) };
        output::line(format!(
            "not in use: {kept}; to use this one\n          cargo run --release -p train -- promote {name} {}{}{}",
            artifact.version,
            in_use.flag(),
            self.places.flag_of_train()
        ))
    }

    /// How to serve the model `name` and others of a role, and send a file to a route at an address.
    fn say_how_to_serve(&self, name: &str, role: &str, address: &str, route: &str) -> Result<()> {
        let flag = self.places.flag_of_serve(name);
        output::line(format!("serve it  cargo run --release -p serve -- {role}{flag}"))?;
        let held_out = self.plan.test.first().map(|&index| self.data.dataset().clips()[index].clip_id.as_str());
        if let Some(file) = held_out.and_then(|clip_id| source::synthetic_file(clip_id, self.args.seed)) {
            output::line(format!("and ask   curl -F audio_file=@{file} http://{address}/{route}"))?;
        }
        Ok(())
    }
}

/// The flag of the features; no path of this machine.
fn spec_flag(args: &FitArgs) -> String {
    match args.spec.as_str() {
        "gtzan-store" => String::new(),
        preset if PRESETS.contains(&preset) => format!(" --spec {preset}"),
        _ => " --spec SPEC".into(),
    }
}

/// Reads `--search`.
fn read_search(path: &Path) -> Result<Search> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("failed to read the search {}", path.display()))?;
    let wrong = || format!("failed to understand the search {}", path.display());
    let search: Search = serde_json::from_str(&text).with_context(wrong)?;
    search.validate().with_context(wrong)?;
    Ok(search)
}

/// What says how it is trained, as it was given, but for the folder of a file.
fn flags(args: &Vgg19Args, config: &TrainingConfig) -> String {
    let how = match args.config {
        Some(_) => "--config CONFIG".to_owned(),
        None => format!("--regime {}", config.regime()),
    };
    let head = match args.head {
        Some(HeadKind::Logistic) if config.finetune.is_none() => " --head logistic",
        // The default of the regime.
        Some(HeadKind::Ridge | HeadKind::Logistic) | None => "",
    };
    let epochs = args.epochs.map(|epochs| format!(" --epochs {epochs}")).unwrap_or_default();
    let device = if args.device == Backend::default() { String::new() } else { format!(" --device {}", args.device) };
    how + head + &epochs + &device
}

/// The configuration that the arguments make, of the network to start from where there is one.
fn config(args: &Vgg19Args, initial: Option<&InitialNetwork>) -> Result<TrainingConfig> {
    let seed = args.fit.seed;
    let mut config = match (args.regime, args.head) {
        (Regime::Frozen, None | Some(HeadKind::Ridge)) => TrainingConfig::frozen(seed),
        (Regime::Frozen, Some(HeadKind::Logistic)) => TrainingConfig::logistic(seed),
        (Regime::Finetune, None | Some(HeadKind::Logistic)) => TrainingConfig::finetune(seed),
        (Regime::Finetune, Some(HeadKind::Ridge)) => {
            bail!("--regime finetune tunes the head of --head logistic; leave out --head, or take --regime frozen")
        }
    };
    if let Some(initial) = initial {
        config = config.with_network_of(&initial.config);
    }
    if let Some(path) = &args.config {
        config = TrainingConfig { seed, ..read_config(path)? };
    }
    match (&mut config.finetune, args.epochs) {
        (Some(tuning), Some(epochs)) => tuning.epochs = epochs,
        (None, Some(_)) => bail!("--epochs is of the tuning; add --regime finetune"),
        (_, None) => {}
    }
    check(&config)?;
    if args.fit.refit && config.finetune.is_some() {
        bail!("--refit holds no clip out that could stop a tuning early; train without it, or with --regime frozen");
    }
    Ok(config)
}

/// Refuses a configuration that cannot be trained.
///
/// # Errors
/// Which rule it breaks.
pub(super) fn check(config: &TrainingConfig) -> Result<()> {
    config.check().map_err(|rule| anyhow!("the configuration cannot be trained: {rule}"))
}

/// Reads `--config`.
pub(super) fn read_config(path: &Path) -> Result<TrainingConfig> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the configuration {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("failed to understand the configuration {}", path.display()))
}
