//! Which folder of artifacts a run writes to, and where else it finds models.

use std::path::{Path, PathBuf};

use clap::Args;
use models::artifact::{self, places};

/// Where models are kept, and found.
#[derive(Args, Clone, Debug, Default)]
pub struct ArtifactsArgs {
    /// Folder of the artifacts [default: the first of these that holds a model and can be written: `artifacts` beside the program,
    /// ../share/tonearm/artifacts from there, $XDG_DATA_HOME/tonearm/artifacts (~/.local/share/…); else ./artifacts].
    #[arg(long, value_name = "DIR", env = "TONEARM_ARTIFACTS")]
    pub artifacts: Option<PathBuf>,
    /// Folder of models that came with the program, which are served until a version of that name is in use in the folder of the
    /// artifacts: a synthetic training does not take their place, and a training can start from them.
    #[arg(long, value_name = "DIR", env = "TONEARM_FALLBACK_ARTIFACTS")]
    pub fallback_artifacts: Option<PathBuf>,
}

/// The folders of artifacts of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    folder: PathBuf,
    others: Vec<PathBuf>,
}

impl ArtifactsArgs {
    /// The folders that they name, or those that are found.
    #[must_use]
    pub fn places(&self) -> Places {
        let fallback = self.fallback_artifacts.clone();
        match &self.artifacts {
            Some(named) => Places { folder: named.clone(), others: fallback.into_iter().collect() },
            None => Places::found(places::all(), fallback),
        }
    }
}

impl Places {
    /// Of `all`, the first that holds a model and can be written is the run's own, else that in the current folder; the others are
    /// read.
    fn found(all: Vec<PathBuf>, fallback: Option<PathBuf>) -> Self {
        let holds = |place: &&PathBuf| artifact::models(place).is_ok_and(|models| !models.is_empty());
        let writable = |place: &&PathBuf| tempfile::tempfile_in(place).is_ok();
        let own = all.iter().find(|place| holds(place) && writable(place)).cloned();
        let folder = own.unwrap_or_else(|| places::HERE.into());
        let others = all.into_iter().filter(|place| *place != folder).chain(fallback).collect();
        Self { folder, others }
    }

    /// The folder that the run writes to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The other folders in which it finds models, in their order.
    #[must_use]
    pub fn others(&self) -> &[PathBuf] {
        &self.others
    }

    /// Every folder: its own first.
    pub fn all(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.folder).chain(&self.others)
    }

    /// The flag that another command of `train` needs, if it would not find the same folder.
    #[must_use]
    pub fn flag_of_train(&self) -> String {
        self.flag(Places::found(places::all(), None).folder == self.folder)
    }

    /// The flag that `serve` needs, if it would not find the model `name` in the same folder.
    #[must_use]
    pub fn flag_of_serve(&self, name: &str) -> String {
        self.flag(places::holding(&places::all(), name) == Some(&self.folder))
    }

    fn flag(&self, is_found: bool) -> String {
        if is_found { String::new() } else { format!(" --artifacts {}", self.folder.display()) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_run_writes_where_models_are_or_to_the_current_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let all = ["beside", "packaged", "of the user"].map(|name| root.path().join(name));
        let with_here = || all.iter().cloned().chain([places::HERE.into()]).collect::<Vec<_>>();
        let nothing = Places::found(with_here(), None);
        assert_eq!((nothing.folder(), nothing.others()), (Path::new("artifacts"), &all[..]));
        for place in &all[1..] {
            fs::create_dir_all(place.join("svm")).expect("a folder");
            fs::write(place.join("svm/CURRENT"), "0123456789ab\n").expect("written");
        }
        let came = PathBuf::from("came with it");
        let found = Places::found(with_here(), Some(came.clone()));
        assert_eq!(found.folder(), all[1]);
        assert_eq!(found.others(), [all[0].clone(), all[2].clone(), places::HERE.into(), came]);
    }

    #[test]
    fn what_is_named_is_all_there_is_but_for_the_fallback() {
        let [artifacts, fallback] = ["mine", "came"].map(|name| Some(PathBuf::from(name)));
        let places = ArtifactsArgs { artifacts, fallback_artifacts: fallback }.places();
        assert_eq!(places.all().collect::<Vec<_>>(), [Path::new("mine"), Path::new("came")]);
    }
}
