//! [`run`]: the program, from its configuration to its end.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use models::Identity;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    task, time,
};

use crate::{App, Config, Error, Result, Role, router, server, slot};

/// How often an artifact is looked for by a process that waits for one.
const POLL: Duration = Duration::from_secs(2);

/// Serves until SIGTERM or SIGINT, then finishes what was taken.
///
/// # Errors
/// [`Error`], when there is nothing to serve or nowhere to serve it.
pub fn run(config: &Config) -> Result<()> {
    let system = |what| move |source| Error::System { what, source };
    // Before the address is taken: a process without a model is not to look alive, unless told to.
    if config.role.device().is_some() {
        limit_network(config.threads).map_err(system("the threads of the network"))?;
    }
    slot::open_device(config.role)?;
    let model = match slot::load_and_warm(&config.artifacts, config.role) {
        Err(error @ Error::NoArtifact { .. }) if config.wait_for_artifact => {
            tracing::warn!("{error}");
            None
        }
        loaded => Some(loaded?),
    };
    let app = App::new(config.role, config.limits, config.threads, config.queue)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(system("the async runtime"))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(system("the handler of SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("the handler of SIGINT"))?;
        let listener = server::bind(&config.listen).await?;
        let address = listener.local_addr().map_err(system("listening"))?;
        match model {
            Some(model) => {
                announce(config.role, &format!("on http://{address}"), model.identity());
                app.slot().put(model);
            }
            None => {
                eprintln!("serve {}: waiting for an artifact, on http://{address}", config.role.name());
                task::spawn(wait_for_artifact(Arc::clone(&app), config.artifacts.clone(), config.role));
            }
        }
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: finishing what was taken");
            app.stop();
        };
        server::serve(listener, router(Arc::clone(&app)), config.timeouts, stop).await;
        Ok(())
    })?;
    // What is still waiting now has lost its client to the end of the grace.
    runtime.shutdown_timeout(Duration::from_secs(1));
    app.pool().finish();
    tracing::info!("stopped");
    Ok(())
}

/// Has the network compute on `threads` threads, whichever worker asks it.
///
/// Burn spreads its work over the global pool of rayon, which has a thread for each core unless it is built before. A
/// worker that gives work to it sleeps until that is done.
fn limit_network(threads: usize) -> io::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("network-{index}"));
    pool.build_global().map_err(io::Error::other)
}

/// Looks for an artifact until there is a sound one; says once what is wrong with one that is not.
async fn wait_for_artifact(app: Arc<App>, artifacts: PathBuf, role: Role) {
    let mut said = String::new();
    loop {
        time::sleep(POLL).await;
        let folder = artifacts.clone();
        match task::spawn_blocking(move || slot::load_and_warm(&folder, role)).await {
            Ok(Ok(model)) => {
                announce(role, "ready", model.identity());
                app.slot().put(model);
                return;
            }
            Ok(Err(error @ Error::NoArtifact { .. })) => tracing::debug!("{error}"),
            Ok(Err(error)) => {
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

/// The one line that an operator looks for.
fn announce(role: Role, state: &str, model: &Identity) {
    let fingerprint = model.fingerprint.to_string();
    let prefix = fingerprint.get(..12).unwrap_or(&fingerprint);
    let device = role.device().map_or_else(String::new, |device| format!(", device {device}"));
    eprintln!("serve {}: {state}, model {model}, features {prefix}{device}", role.name());
}
