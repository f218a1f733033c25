//! [`run`]: the program, from its configuration to its end.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
    task, time,
};
use tokio_util::sync::CancellationToken;

use super::artifacts;
use crate::{
    App, Config, Error, Result, Role, Timeouts,
    config::join,
    engine::{
        model::Model,
        registry::Found,
        slot::{self, ModelSlot, Refreshed, Source},
    },
    http::server,
    router, telemetry,
};

/// Serves until SIGTERM or SIGINT, then finishes requests under way.
///
/// # Errors
/// [`Error`], when there is nothing to serve or nowhere to serve it.
pub fn run(config: &Config) -> Result<()> {
    let _traces = telemetry::init(&config.telemetry)?;
    let system = |what| move |source| Error::System { what, source };
    let has_network = config.role.kinds().iter().any(|kind| kind.batches());
    if has_network {
        slot::open_network(config.compute.device, config.compute.threads)?;
    }
    let source = match config.role.kinds() {
        [] => None,
        _ => Some(source(config)?),
    };
    let app = Arc::new(App::of(config, source.as_ref())?);
    // Before the address is taken: a process without a model is not to seem alive, unless told to.
    load(&app, config.artifacts.wait)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(system("the async runtime"))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(system("the handler of SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("the handler of SIGINT"))?;
        let listener = server::bind(&config.listen).await?;
        let address = listener.local_addr().map_err(system("listening"))?;
        let grpc = match config.grpc_port {
            Some(port) => Some(server::bind(&join(&address.ip().to_string(), port)).await?),
            None => None,
        };
        let grpc_address = grpc.as_ref().map(|listener| listener.local_addr()).transpose();
        announce(&app, &format!("http://{address}"), grpc_address.map_err(system("listening"))?, config);
        let own = config.settings.iter().filter(|setting| setting.source != "default");
        let own: Vec<String> = own.map(ToString::to_string).collect();
        let own = if own.is_empty() { "none".to_owned() } else { own.join("; ") };
        tracing::info!("settings other than the defaults: {own}");
        if !config.artifacts.reload.is_zero() {
            for slot in app.engine().slots() {
                task::spawn(follow(slot, config.artifacts.reload));
            }
            if app.engine().registry().is_open() {
                task::spawn(find(Arc::clone(&app), config.artifacts.reload));
            }
        }
        if let Some(gateway) = app.gateway() {
            task::spawn(Arc::clone(gateway).watch());
        }
        let stopping = CancellationToken::new();
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: finishing requests under way");
            app.stop();
            stopping.cancel();
        };
        let metrics = app.engine().metrics();
        let http = server::serve(listener, router(Arc::clone(&app)), config.timeouts, metrics, stopping.cancelled());
        tokio::join!(stop, http, serve_grpc(grpc, &app, config.timeouts, &stopping));
        Ok(())
    })?;
    // Requests that still wait now are over the grace period.
    runtime.shutdown_timeout(time::Duration::from_secs(1));
    app.engine().finish();
    tracing::info!("stopped");
    Ok(())
}

/// Serves the Open Inference Protocol over gRPC, where a listener is there for it.
#[cfg(feature = "grpc")]
async fn serve_grpc(listener: Option<TcpListener>, app: &Arc<App>, timeouts: Timeouts, stopping: &CancellationToken) {
    if let Some(listener) = listener {
        let router = crate::oip::grpc::router(Arc::clone(app));
        server::serve_http2(listener, router, timeouts, app.engine().metrics(), stopping.cancelled()).await;
    }
}

/// Without the feature a port for it is refused when the settings are read.
#[cfg(not(feature = "grpc"))]
async fn serve_grpc(_: Option<TcpListener>, _: &Arc<App>, _: Timeouts, _: &CancellationToken) {}

fn source(config: &Config) -> Result<Source> {
    let repository = artifacts::open(config.artifacts.named.as_deref(), config.artifacts.fallback.as_deref())?;
    let (device, pinned) = (config.compute.device, config.artifacts.version.clone());
    Ok(Source { repository: Arc::new(repository), device, models: config.artifacts.models.clone(), pinned })
}

/// Finds the models and loads each. One that the process must have stops it, unless it is to wait; of the others, one is enough.
fn load(app: &App, wait: bool) -> Result<()> {
    let registry = app.engine().registry();
    let mut problem = None;
    let found = match registry.find() {
        Ok(found) => found,
        Err(error) if wait => {
            tracing::warn!("{error}");
            Found::default()
        }
        Err(error) => return Err(error),
    };
    found.problems.iter().for_each(|problem| tracing::warn!("{problem}"));
    let loaded_already: Vec<_> = found.added.iter().map(|(slot, _)| Arc::clone(slot)).collect();
    for (_, loaded) in found.added {
        if let Err(error) = loaded {
            tracing::warn!("{error}");
            problem.get_or_insert(error);
        }
    }
    for slot in registry.slots() {
        if !loaded_already.iter().any(|loaded| Arc::ptr_eq(loaded, &slot)) {
            match slot.refresh() {
                Err(error) if wait => tracing::warn!("{error}"),
                refreshed => drop(refreshed?),
            }
        }
        if let Some(model) = slot.get() {
            warn_of(&model);
        }
    }
    say_missing(app);
    match problem {
        Some(error) if !wait && registry.slots().iter().all(|slot| slot.get().is_none()) => Err(error),
        _ => Ok(()),
    }
}

/// Logs of each kind of model that no model has, where one was looked for: a process that has others starts without it.
fn say_missing(app: &App) {
    let registry = app.engine().registry();
    for (kind, error) in registry.missing() {
        let route = kind.route();
        tracing::warn!("POST {route} is not served until there is a model for it: {error}");
    }
}

/// Logs what a reader of a model's answers must know.
fn warn_of(model: &Model) {
    if let Some(warning) = &model.info().provenance.warning {
        tracing::warn!(model = %model.name(), version = model.version(), "{warning}");
    }
}

/// Logs a problem, unless it is the one that was logged last.
fn log_once(logged: &mut String, problem: String) {
    if problem != *logged {
        tracing::warn!("{problem}");
        *logged = problem;
    }
}

/// Reads `CURRENT` of a model again and again until the model is retired, and logs each problem once.
async fn follow(slot: Arc<ModelSlot>, every: time::Duration) {
    let mut logged = String::new();
    loop {
        time::sleep(every).await;
        if slot.is_retired() {
            return;
        }
        let refreshing = Arc::clone(&slot);
        match task::spawn_blocking(move || refreshing.refresh()).await {
            Ok(Ok(Refreshed::Replaced(identity))) => {
                logged.clear();
                let place = slot.get().map(|model| model.place());
                tracing::info!(model = identity.name, version = identity.version, place, "a new version is in use");
                if let Some(model) = slot.get() {
                    warn_of(&model);
                }
            }
            Ok(Ok(Refreshed::Unchanged)) => {}
            Ok(Err(error)) => log_once(&mut logged, error.to_string()),
            Err(error) => tracing::error!(%error, "loading the artifact panicked"),
        }
    }
}

/// Searches for new models, and for those that are gone, again and again, and logs each problem once.
async fn find(app: Arc<App>, every: time::Duration) {
    let mut logged = String::new();
    loop {
        time::sleep(every).await;
        let searching = Arc::clone(&app);
        let found = match task::spawn_blocking(move || searching.engine().registry().find()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                log_once(&mut logged, error.to_string());
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "searching for models panicked");
                continue;
            }
        };
        match found.problems.is_empty() {
            true => logged.clear(),
            false => log_once(&mut logged, found.problems.join("; ")),
        }
        for (slot, loaded) in found.added {
            match loaded {
                Ok(_) => {
                    let version = slot.get().map(|model| model.version().to_owned());
                    let place = slot.get().map(|model| model.place());
                    tracing::info!(model = %slot.name(), version, place, "a new model is served");
                }
                Err(error) => tracing::warn!("{error}"),
            }
            if let Some(model) = slot.get() {
                warn_of(&model);
            }
            task::spawn(follow(slot, every));
        }
        for name in found.retired {
            tracing::info!(model = %name, "a model is gone, and is served no more");
        }
    }
}

/// Says on standard error where the server listens, and which models it has.
fn announce(app: &App, address: &str, grpc: Option<SocketAddr>, config: &Config) {
    let grpc = grpc.map_or_else(String::new, |address| format!(", gRPC on {address}"));
    let models: Vec<String> = app
        .engine()
        .slots()
        .iter()
        .map(|slot| match slot.get() {
            Some(model) => {
                let fingerprint = &model.info().fingerprint;
                let prefix = fingerprint.get(..12).unwrap_or(fingerprint);
                let device = if model.kind().uses_device() {
                    format!(", device {}", config.compute.device)
                } else {
                    String::new()
                };
                format!("model {model} {}, features {prefix}{device}", model.place())
            }
            None => format!("waiting for an artifact of {}", slot.name()),
        })
        .collect();
    let role = config.role.name();
    match config.role {
        Role::Web => eprintln!("serve {role}: on {address}, the page; open it in a browser"),
        Role::All => {
            eprintln!("serve {role}: on {address}, the page; open it in a browser{grpc}; {}", models.join("; "));
        }
        _ => eprintln!("serve {role}: on {address}{grpc}, {}", models.join("; ")),
    }
}
