//! [`run`]: the program, from its configuration to its end.

use std::sync::Arc;

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    task, time,
};

use crate::{
    App, Config, Error, Result, Role,
    engine::slot::{self, ModelSlot, Refreshed, Source},
    http::server,
    repository::Repository,
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
    for slot in app.engine().slots() {
        match slot.refresh() {
            Err(error) if config.artifacts.wait => tracing::warn!("{error}"),
            refreshed => drop(refreshed?),
        }
    }
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(system("the async runtime"))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(system("the handler of SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("the handler of SIGINT"))?;
        let listener = server::bind(&config.listen).await?;
        let address = listener.local_addr().map_err(system("listening"))?;
        announce(&app, &format!("http://{address}"), config);
        let own = config.settings.iter().filter(|setting| setting.source != "default");
        let own: Vec<String> = own.map(ToString::to_string).collect();
        let own = if own.is_empty() { "none".to_owned() } else { own.join("; ") };
        tracing::info!("settings other than the defaults: {own}");
        if !config.artifacts.reload.is_zero() {
            for index in 0..app.engine().slots().len() {
                task::spawn(follow(Arc::clone(&app), index, config.artifacts.reload));
            }
        }
        if let Some(gateway) = app.gateway() {
            task::spawn(Arc::clone(gateway).watch());
        }
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: finishing requests under way");
            app.stop();
        };
        server::serve(listener, router(Arc::clone(&app)), config.timeouts, app.engine().metrics(), stop).await;
        Ok(())
    })?;
    // Requests that still wait now are over the grace period.
    runtime.shutdown_timeout(time::Duration::from_secs(1));
    app.engine().finish();
    tracing::info!("stopped");
    Ok(())
}

fn source(config: &Config) -> Result<Source> {
    let repository = Repository::open(&config.artifacts.address);
    let repository = repository.map_err(|error| Error::Usage(format!("--artifacts: {error}")))?;
    let (device, pinned) = (config.compute.device, config.artifacts.version.clone());
    Ok(Source { repository: Arc::new(repository), device, pinned })
}

/// Reads `CURRENT` of a model again and again, and logs each problem once.
async fn follow(app: Arc<App>, index: usize, every: time::Duration) {
    let mut logged = String::new();
    loop {
        time::sleep(every).await;
        let refreshed = task::spawn_blocking({
            let app = Arc::clone(&app);
            move || app.engine().slots().get(index).map(ModelSlot::refresh)
        });
        match refreshed.await {
            Ok(Some(Ok(Refreshed::Replaced(identity)))) => {
                logged.clear();
                tracing::info!(model = identity.name, version = identity.version, "a new version is in use");
            }
            Ok(Some(Ok(Refreshed::Unchanged)) | None) => {}
            Ok(Some(Err(error))) => {
                let problem = error.to_string();
                if problem != logged {
                    tracing::warn!("{problem}");
                    logged = problem;
                }
            }
            Err(error) => tracing::error!(%error, "loading the artifact panicked"),
        }
    }
}

/// Says on standard error where the server listens, and which models it has.
fn announce(app: &App, address: &str, config: &Config) {
    let models: Vec<String> = app
        .engine()
        .slots()
        .iter()
        .map(|slot| match slot.get() {
            Some(model) => {
                let fingerprint = model.identity().fingerprint.to_string();
                let prefix = fingerprint.get(..12).unwrap_or(&fingerprint);
                let device =
                    if slot.kind().batches() { format!(", device {}", config.compute.device) } else { String::new() };
                format!("model {}, features {prefix}{device}", model.identity())
            }
            None => format!("waiting for an artifact of {}", slot.kind().name()),
        })
        .collect();
    let role = config.role.name();
    match config.role {
        Role::Web => eprintln!("serve {role}: on {address}, the page; open it in a browser"),
        Role::All => eprintln!("serve {role}: on {address}, the page; open it in a browser; {}", models.join("; ")),
        _ => eprintln!("serve {role}: on {address}, {}", models.join("; ")),
    }
}
