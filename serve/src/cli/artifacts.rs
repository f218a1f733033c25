//! Where models come from: the options of every command that predicts.

use clap::Args;

use crate::{Error, Result, repository::Repository};

/// Where models come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct ArtifactsArgs {
    /// Folder that `train` writes to (CURRENT in the folder of each model is used), or the folder of one model or version, or, in a
    /// program built with the feature object-store, a URL: s3://, gs://, az://, http://; or `embedded` for the SVM that is part of the
    /// program [default: for each model the first of these that holds it: `artifacts` beside the program,
    /// ../share/tonearm/artifacts from there, $XDG_DATA_HOME/tonearm/artifacts (~/.local/share/…), ./artifacts; at last the program]
    #[arg(long, value_name = "DIR|URL", env = "TONEARM_ARTIFACTS")]
    pub(super) artifacts: Option<String>,

    /// The same for a model that has no version in use there, until it has one
    #[arg(long, value_name = "DIR|URL", env = "TONEARM_FALLBACK_ARTIFACTS")]
    pub(super) fallback_artifacts: Option<String>,
}

impl ArtifactsArgs {
    /// The repository that they name, or those that are found without a name.
    ///
    /// # Errors
    /// [`Error::Usage`] for an invalid address.
    pub fn open(&self) -> Result<Repository> {
        open(self.artifacts.as_deref(), self.fallback_artifacts.as_deref())
    }
}

/// [`Repository::find`], whose error names the options.
///
/// # Errors
/// [`Error::Usage`] for an invalid address.
pub(super) fn open(named: Option<&str>, fallback: Option<&str>) -> Result<Repository> {
    let found = Repository::find(named, fallback);
    found.map_err(|error| Error::Usage(format!("--artifacts or --fallback-artifacts: {error}")))
}
