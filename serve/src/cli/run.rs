//! [`run`]: the program, from its configuration to its end.

use std::sync::Arc;

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    task, time,
};

use crate::{
    App, Config, Error, Result, Role,
    cli::config::Artifacts,
    engine::slot::{self, ModelSlot, Refreshed, Source},
    http::{router::router, server, telemetry},
    repository::Repository,
};

/// Serves until SIGTERM or SIGINT, then finishes what was taken.
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
        _ => Some(open(&config.artifacts, config)?),
    };
    let app = Arc::new(App::of(config, source.as_ref())?);
    // Before the address is taken: a process without a model is not to look alive, unless told to.
    for host in app.hosts() {
        match host.refresh() {
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
            for index in 0..app.hosts().len() {
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
            tracing::info!("stopping: finishing what was taken");
            app.stop();
        };
        server::serve(listener, router(Arc::clone(&app)), config.timeouts, app.metrics(), stop).await;
        Ok(())
    })?;
    // What is still waiting now has lost its client to the end of the grace.
    runtime.shutdown_timeout(time::Duration::from_secs(1));
    app.finish();
    tracing::info!("stopped");
    Ok(())
}

fn open(artifacts: &Artifacts, config: &Config) -> Result<Source> {
    let refuse = |error: crate::repository::RepositoryError| Error::Usage(format!("--artifacts: {error}"));
    let repository = Repository::open(&artifacts.address).map_err(refuse)?;
    Ok(Source { repository: Arc::new(repository), device: config.compute.device, pinned: artifacts.version.clone() })
}

/// Looks at `CURRENT` of a model again and again, and says once what is wrong with what it finds.
async fn follow(app: Arc<App>, index: usize, every: time::Duration) {
    let mut said = String::new();
    loop {
        time::sleep(every).await;
        let looked = task::spawn_blocking({
            let app = Arc::clone(&app);
            move || app.hosts().get(index).map(ModelSlot::refresh)
        });
        match looked.await {
            Ok(Some(Ok(Refreshed::Replaced(identity)))) => {
                said.clear();
                tracing::info!(model = identity.name, version = identity.version, "a new version is in use");
            }
            Ok(Some(Ok(Refreshed::Unchanged)) | None) => {}
            Ok(Some(Err(error))) => {
                let problem = error.to_string();
                if problem != said {
                    tracing::warn!("{problem}");
                    said = problem;
                }
            }
            Err(error) => tracing::error!(%error, "loading the artifact panicked"),
        }
    }
}

/// The line that an operator looks for.
fn announce(app: &App, address: &str, config: &Config) {
    let models: Vec<String> = app
        .hosts()
        .iter()
        .map(|host| match host.get() {
            Some(model) => {
                let fingerprint = model.identity().fingerprint.to_string();
                let prefix = fingerprint.get(..12).unwrap_or(&fingerprint);
                let device =
                    if host.kind().batches() { format!(", device {}", config.compute.device) } else { String::new() };
                format!("model {}, features {prefix}{device}", model.identity())
            }
            None => format!("waiting for an artifact of {}", host.kind().name()),
        })
        .collect();
    let role = config.role.name();
    match config.role {
        Role::Web => eprintln!("serve {role}: on {address}, the page; open it in a browser"),
        Role::All => eprintln!("serve {role}: on {address}, the page; open it in a browser; {}", models.join("; ")),
        _ => eprintln!("serve {role}: on {address}, {}", models.join("; ")),
    }
}
