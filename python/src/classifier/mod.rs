//! Models that were trained: found where `serve classify` finds them, and asked as it asks them, by [`Engine::predict`].

mod svm;

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use features::decode;
use futures_util::{StreamExt as _, stream};
use models::{
    artifact::{CURRENT, MANIFEST, names::check_version},
    vgg19::Backend,
};
use pyo3::{
    prelude::*,
    types::{PyList, PyString},
};
use serve::{
    Engine, Error, Input, PredictRequest, PredictResponse, Rejection,
    config::{ModelKind, ModelName, cores},
    engine::{
        model::Model,
        pool::{CancellationToken, Permit, PoolError},
        slot::Source as ModelSource,
    },
    local,
    repository::{Contents, Repository, RepositoryError},
};
use tokio::{runtime, select, time};

use crate::{
    audio::Source,
    error::{error, parameter, raised},
    extractor::{features_of, for_each, limits, list_of, tell},
};

/// Between two looks at signals while files are predicted.
const TICK: Duration = Duration::from_millis(100);

/// A model, with the threads that predict by it.
#[pyclass(frozen, module = "tonearm._tonearm", name = "Classifier")]
pub(crate) struct PyClassifier {
    engine: Arc<Engine>,
    model: Arc<Model>,
    limits: decode::Limits,
    threads: usize,
    remark: Option<String>,
}

/// Which version of which model, and where it is looked for.
struct Place {
    repository: Repository,
    model: ModelName,
    /// The version; the one in use, if none is named.
    version: Option<String>,
    /// What a person should know of the choice.
    remark: Option<String>,
}

impl Place {
    /// The model of that name, or the one that `serve classify` would take, in `artifacts`, else where the environment says, else where models
    /// are found.
    fn of_name(name: Option<&str>, artifacts: Option<String>, version: Option<String>) -> PyResult<Self> {
        let variable = |name: &str| env::var(name).ok();
        let (named, fallback) =
            (artifacts.or_else(|| variable("TONEARM_ARTIFACTS")), variable("TONEARM_FALLBACK_ARTIFACTS"));
        let repository = Repository::find(named.as_deref(), fallback.as_deref()).map_err(of_repository)?;
        let (model, remark) = match name {
            Some(name) => (name.parse::<ModelName>().map_err(parameter)?, None),
            None => local::choose(&repository).map_err(|several| {
                parameter(format!("{} holds several models; name one: {}", repository.address(), local::list(&several)))
            })?,
        };
        Ok(Self { repository, model, version, remark })
    }

    /// The model in a folder: that of a version, or that of a model. An ensemble finds its members beside it.
    fn of_path(path: &Path, version: Option<String>) -> PyResult<Self> {
        let failed = |problem: String| raised("TonearmError", (format!("{}: {problem}", path.display()),));
        let found = fs::canonicalize(path).map_err(|e| failed(format!("failed to find it: {e}")))?;
        let text = |folder: &Path| folder.to_str().map(str::to_owned);
        let open = |folder: &Path| {
            let address = text(folder).ok_or_else(|| failed("its path is not UTF-8".to_owned()))?;
            Repository::open(&address).map_err(of_repository)
        };
        let name_of = |folder: Option<&Path>| -> Option<ModelName> {
            folder.and_then(Path::file_name).and_then(OsStr::to_str).and_then(|name| name.parse().ok())
        };
        let own_name = found.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let (is_version, is_model) = (found.join(MANIFEST).is_file(), found.join(CURRENT).is_file());
        let (model, root, of_folder) = if is_version {
            let of_folder = check_version(own_name).ok().map(str::to_owned);
            (name_of(found.parent()), found.ancestors().nth(2), of_folder)
        } else {
            (name_of(Some(&found)), found.parent(), None)
        };
        if let (Some(model), Some(root)) = (model, root)
            && (is_model || of_folder.is_some())
        {
            return Ok(Self { repository: open(root)?, model, version: of_folder.or(version), remark: None });
        }
        let repository = open(&found)?;
        if let Ok(Contents::Models(names)) = repository.contents() {
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(failed(format!(
                "it is the folder neither of a model nor of a version of one (models in it: {there}); name one, with artifacts={}",
                found.display()
            )));
        }
        // It has the name of its kind.
        let any = ModelName::from(ModelKind::Svm);
        let kind =
            repository.current(&any).and_then(|version| repository.kind(&any, &version)).map_err(of_repository)?;
        let kind = ModelKind::named(&kind)
            .ok_or_else(|| failed(format!("its kind is `{kind}`, which this program does not have")))?;
        Ok(Self { repository, model: kind.into(), version, remark: None })
    }
}

fn of_repository(e: RepositoryError) -> PyErr {
    raised("TonearmError", (e.to_string(),))
}

/// What [`Error`] says is for who starts a server.
fn of_load(e: &Error, repository: &Repository) -> PyErr {
    let message = match e {
        Error::NoArtifact { name, artifacts, reason } => {
            let there = local::models_in(repository);
            let others =
                if there.is_empty() { String::new() } else { format!(" (there are: {})", local::list(&there)) };
            // A version that is asked for is an option of the server.
            let reason = reason.trim_end_matches("; --model-version names it");
            format!(
                "no {name} artifact in {artifacts} ({reason}); name a folder of artifacts with artifacts=, copy one to the data folder of the \
                 user, or name another model{others}"
            )
        }
        Error::WrongModel { name, artifacts, found, .. } => {
            format!(
                "the artifact in {artifacts} holds a model of the kind `{found}`, and {name} is the name of another kind"
            )
        }
        Error::Device { source } => format!("{source}; name another with device="),
        other => other.to_string(),
    };
    raised("TonearmError", (message,))
}

/// Why there is no prediction, in the words of `serve classify`.
fn of_rejection(rejection: &Rejection, path: Option<&Path>) -> PyErr {
    let reason = match rejection {
        Rejection::Internal { cause } => cause.clone(),
        Rejection::BodyTooLarge { limit } => format!("the file has over {limit} bytes"),
        other => other.to_string(),
    };
    raised("AudioError", (path.map(Path::as_os_str), reason))
}

#[pymethods]
impl PyClassifier {
    /// Loads and checks a model: by its name, or by the path of its folder.
    #[staticmethod]
    #[pyo3(signature = (model, artifacts, version, device, threads, max_seconds))]
    fn load(
        py: Python<'_>,
        model: (Option<String>, Option<PathBuf>),
        artifacts: Option<String>,
        version: Option<String>,
        device: Option<String>,
        threads: usize,
        max_seconds: Option<f64>,
    ) -> PyResult<Self> {
        let limits = limits(max_seconds)?;
        let device: Backend = match device {
            Some(device) => device.parse::<Backend>().map_err(parameter)?,
            None => Backend::default(),
        };
        let threads = if threads == 0 { cores() } else { threads };
        py.detach(|| {
            let Place { repository, model, version, remark } = match model {
                (_, Some(path)) => Place::of_path(&path, version)?,
                (name, None) => Place::of_name(name.as_deref(), artifacts, version)?,
            };
            let source =
                ModelSource { repository: Arc::new(repository), device, models: vec![model.clone()], pinned: version };
            let engine = local::load(&source, threads, &limits).map_err(|e| of_load(&e, &source.repository))?;
            let loaded = engine.slots().iter().find_map(|slot| slot.get());
            let model = loaded.ok_or_else(|| raised("TonearmError", (format!("failed to load {model}"),)))?;
            Ok(Self { engine, model, limits, threads, remark })
        })
    }

    /// Its labels, in the order of its probabilities.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.model.labels().iter().map(ToString::to_string).collect()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> String {
        self.model.name().to_string()
    }

    /// Its version.
    #[getter]
    fn version(&self) -> String {
        self.model.version().to_owned()
    }

    /// Where it was found, in words.
    #[getter]
    fn place(&self) -> String {
        self.model.place()
    }

    /// Why it is this model, where another could be expected.
    #[getter]
    fn remark(&self) -> Option<String> {
        self.remark.clone()
    }

    /// Its specification as JSON.
    #[getter]
    fn spec(&self) -> String {
        self.model.extractor().spec().canonical_json()
    }

    /// What every answer says of it, as JSON.
    #[getter]
    fn info(&self) -> PyResult<String> {
        serde_json::to_string(self.model.info()).map_err(|e| error(e, None))
    }

    /// For each source its prediction as JSON, or an exception.
    #[pyo3(signature = (sources, threads, progress))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        sources: Vec<Source>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let at_once = if threads == 0 { self.threads } else { threads.min(self.threads) };
        let answers = py.detach(|| self.predict_all(sources, at_once, progress.as_ref()))?;
        list_of(py, answers, |json| Ok(PyString::new(py, &json).into_any()))
    }

    /// For each source the vectors of its segments, f32 `(k, d)`, or an exception.
    #[pyo3(signature = (sources, threads, progress))]
    fn embed<'py>(
        &self,
        py: Python<'py>,
        sources: Vec<Source>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        if self.model.ensemble().is_some() {
            let members: Vec<&str> =
                self.model.info().provenance.members.iter().map(|member| member.name.as_str()).collect();
            return Err(parameter(format!(
                "{} decides by what its members say, and has no vectors; load one of them: {}",
                self.model.name(),
                members.join(", ")
            )));
        }
        let Self { model, limits, .. } = self;
        let embed = |index: usize| -> PyResult<Vec<Vec<f32>>> {
            let source = &sources[index];
            let features = features_of(model.extractor(), source, limits)?;
            model.embed(&features).map_err(|e| error(e, source.path()))
        };
        let threads = if threads == 0 { self.threads } else { threads };
        let results = for_each(py, sources.len(), threads, progress.as_ref(), embed)?;
        list_of(py, results, |segments| {
            let n = segments.len();
            let dim = segments.first().map_or(0, Vec::len);
            let values = ndarray::Array2::from_shape_vec((n, dim), segments.concat());
            Ok(crate::arrays::into_matrix(py, values.map_err(|e| parameter(e.to_string()))?)?.into_any())
        })
    }
}

impl PyClassifier {
    /// Predicts all sources, so many at once, in their order.
    ///
    /// # Errors
    /// `KeyboardInterrupt`, and what `progress` raises; then what was begun is cancelled.
    fn predict_all(
        &self,
        sources: Vec<Source>,
        at_once: usize,
        progress: Option<&Py<PyAny>>,
    ) -> PyResult<Vec<PyResult<String>>> {
        let total = sources.len();
        // It waits for the workers of the engine, and computes nothing.
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(async {
            let mut answers = Vec::with_capacity(total);
            let mut coming = pin!(stream::iter(sources).map(|source| self.answer(source)).buffered(at_once.max(1)));
            let mut ticks = time::interval(TICK);
            loop {
                select! {
                    answer = coming.next() => match answer {
                        Some(answer) => {
                            answers.push(answer);
                            tell(progress, answers.len(), total)?;
                        }
                        None => return Ok(answers),
                    },
                    _ = ticks.tick() => Python::attach(|py| py.check_signals())?,
                }
            }
        })
    }

    /// The prediction for a source as JSON.
    async fn answer(&self, source: Source) -> PyResult<String> {
        let path = source.path().map(Path::to_owned);
        let stopped = |e: PoolError| of_rejection(&e.into(), path.as_deref());
        let permit = self.engine.pool().acquire().await.map_err(stopped)?;
        let input = self.input(&permit, source).await?;
        let request = PredictRequest { model: Arc::clone(&self.model), input, explain: None };
        let response = self.engine.predict(&permit, request).await;
        let response: PredictResponse = response.map_err(|rejection| of_rejection(&rejection, path.as_deref()))?;
        serde_json::to_string(&response).map_err(|e| error(e, None))
    }

    /// What the engine takes of a source. Of a file it is seen first that it is there and is audio, for what is wrong with its path is
    /// nothing that the engine tells.
    async fn input(&self, permit: &Permit, source: Source) -> PyResult<Input> {
        match source {
            Source::Path(path) => {
                let looked_at = path.clone();
                let look = move |_: &CancellationToken| match fs::metadata(&looked_at) {
                    // A pipe can be read once.
                    Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Ok(()),
                    _ => decode::container_of_file(&looked_at).map(drop),
                };
                let looked = permit.run(look).await.map_err(|e| of_rejection(&e.into(), Some(&path)))?;
                looked.map_err(|e| error(e, Some(&path)))?;
                Ok(Input::File(path))
            }
            Source::Bytes(bytes) => {
                Ok(Input::Audio { read: Box::new(move || Ok(bytes.to_vec().into())), reservation: None })
            }
            Source::Samples { samples, sample_rate } => {
                let model = Arc::clone(&self.model);
                let extract = move |_: &CancellationToken| {
                    features::Clip::new(samples, sample_rate).and_then(|clip| model.extractor().extract(&clip))
                };
                let extracted = permit.run(extract).await.map_err(|e| of_rejection(&e.into(), None))?;
                Ok(Input::Features(extracted.map_err(|e| error(e, None))?))
            }
        }
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyClassifier>()?;
    svm::register(module)
}
