//! `train ensemble`: trained models as one that a server loads.

use std::path::PathBuf;

use anyhow::{Result, bail};
use models::{
    artifact::{self, Artifact, MANIFEST},
    ensemble::{EnsembleClassifier, MAX_MEMBERS},
};

use super::models::known;
use crate::{
    cli::args::{EnsembleArgs, MemberName},
    console::output,
    evaluation::text,
    places::Places,
    training::{
        Published,
        ensemble::{self, TrainedMember},
        publish::{self, Target},
    },
};

/// Joins models, evaluates the ensemble on the clips that evaluated them, writes the artifact and puts it in use.
///
/// # Errors
/// When a member is not there or cannot be joined, or the artifact cannot be written.
pub fn run(args: &EnsembleArgs) -> Result<()> {
    let EnsembleArgs { members, name, artifacts, seed, json } = args;
    let places = artifacts.places();
    let target = Target { artifacts: places.folder(), others: places.others(), name };
    publish::check_name(target, EnsembleClassifier::NAME)?;
    publish::check_writable(places.folder())?;
    if !(2..=MAX_MEMBERS).contains(&members.len()) {
        bail!("--members names {} model(s); an ensemble has 2 to {MAX_MEMBERS}", members.len());
    }
    let members = members.iter().map(|member| find(member, &places)).collect::<Result<Vec<_>>>()?;
    let ensemble = ensemble::publish(target, &members, *seed)?;
    if *json {
        return output::print_json(&ensemble.json());
    }
    say(&ensemble.published, &members, &places)
}

/// The artifact of a member: of the version that is named, else of the one in use, in the first folder that has it.
fn find(member: &MemberName, places: &Places) -> Result<TrainedMember> {
    let MemberName { name, version } = member;
    let dir: Option<PathBuf> = match version {
        Some(version) => {
            places.all().map(|place| place.join(name).join(version)).find(|dir| dir.join(MANIFEST).is_file())
        }
        None => {
            let model_dir = artifact::places::holding(places.all(), name).map(|place| place.join(name));
            model_dir.map(|model_dir| artifact::resolve(&model_dir, None)).transpose()?
        }
    };
    let Some(dir) = dir else {
        let folder = places.folder();
        let there =
            if folder.is_dir() { known(folder)? } else { "there is no such folder; `train` makes it".to_owned() };
        bail!("--members {member}: it is not in {}; {there}", folder.display());
    };
    TrainedMember::new(name, Artifact::open(&dir)?)
}

/// How good it is, and where it is.
fn say(published: &Published, members: &[TrainedMember], places: &Places) -> Result<()> {
    let Published { artifact, in_use, name, evaluation, cross_validated_accuracy, remarks, .. } = published;
    let called: Vec<String> = members.iter().map(TrainedMember::called).collect();
    output::line(format!("Ensemble of {}.", called.join(" and ")))?;
    for remark in remarks {
        output::line(remark)?;
    }
    output::line(format!(
        "Cross-validated by artist among the clips that the members were fitted on: accuracy {cross_validated_accuracy:.3}.\n\
         Evaluated on the clips that evaluated them, by weights that were learnt on others:\n{}\nartifact  {}\nreport    {}",
        text::figures(evaluation),
        artifact.dir.display(),
        artifact.dir.join(artifact::REPORT).display(),
    ))?;
    match in_use.kept() {
        None => output::line(format!(
            "serve it  cargo run --release -p serve -- all{}\nand ask   curl -F audio_file=@FILE http://127.0.0.1:8083/v1/models/{name}/predict",
            places.flag_of_serve(name)
        )),
        Some(kept) => output::line(format!(
            "not in use: {kept}; to use this one\n          cargo run --release -p train -- promote {name} {}{}{}",
            artifact.version,
            in_use.flag(),
            places.flag_of_train()
        )),
    }
}
