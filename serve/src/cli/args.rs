//! The command line: values as they were typed, turned into a [`Config`].
//!
//! A setting is taken from the configuration file (`config_file`), from the environment (`TONEARM_…`) or from its flag; of
//! several the last in this order counts. A value of the file goes through the parser as if it were the flag, so the three
//! take the same values and refuse the same.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use axum::http::{HeaderValue, Uri};
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, parser::ValueSource};
use models::vgg19::Backend;

use super::{
    artifacts::ArtifactsArgs,
    classify::ClassifyArgs,
    config_file::{self, ConfigArgs, ConfigFile},
    health::{HealthArgs, Probe},
    manual::{CompletionsArgs, ManArgs},
};
use crate::{
    Config, Error, Limits, Result, Role, Timeouts,
    config::{
        Access, Artifacts, Compute, LogFormat, ModelName, Setting, TelemetryConfig, Upstream, cores, join, seconds,
        seconds_or_never,
    },
};

/// Serves the classifiers that `train` made, and classifies audio files by genre.
///
/// Without a role: `all`.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "A model is looked for, unless --artifacts names its folder, in `artifacts` beside the program, in\n\
                  ../share/tonearm/artifacts from there, in $XDG_DATA_HOME/tonearm/artifacts (~/.local/share/…) and in ./artifacts.\n\
                  An SVM is part of the program: it answers where no other was found, and every command says so.\n\
                  Every option can also be set in the file of --config, else in $XDG_CONFIG_HOME/tonearm/config.toml (~/.config/…), and\n\
                  those whose help names a variable by that; a flag overrides a variable, and a variable the file. --print-config of a\n\
                  role prints the settings.\n\
                  Logs go to standard error, one line a request; RUST_LOG=warn or debug changes how many.\n\
                  Exit codes: 0 stopped by a signal, 1 failed, 2 no artifact or wrong usage."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Serve(Box<ServeCommand>),
    /// Classify files, without a server
    Classify(Box<ClassifyArgs>),
    /// Check whether a server is alive or ready: the health check of a container
    Health(HealthArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or that of a command, or write all of them
    Man(ManArgs),
}

#[derive(Debug, Subcommand)]
enum ServeCommand {
    /// Serve the SVM: POST /predict; and every other SVM by its name
    #[command(after_help = "Example:\n  serve svm --artifacts artifacts --listen 0.0.0.0:8081\n  \
                            curl -F audio_file=@song.mp3 http://127.0.0.1:8081/predict")]
    Svm(SvmArgs),
    /// Serve VGG19: POST /vgg; and every other VGG19 by its name
    #[command(after_help = "Example:\n  serve vgg --artifacts artifacts --listen 0.0.0.0:8082\n  \
                            curl -F audio_file=@song.mp3 http://127.0.0.1:8082/vgg")]
    Vgg(NetworkArgs),
    /// Serve every model and the page from one process: POST /predict, POST /vgg, and http://127.0.0.1:8083 in a browser
    #[command(after_help = "Example:\n  serve all\n  then open http://127.0.0.1:8083 in a browser")]
    All(NetworkArgs),
    /// Serve the page, and forward POST /predict and POST /vgg to the servers of the models
    #[command(
        after_help = "Example:\n  serve web --svm-url http://svm:8081 --vgg-url http://vgg:8082 --listen 0.0.0.0:8083"
    )]
    Web(WebArgs),
}

#[derive(Debug, Args)]
struct SvmArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Args)]
struct NetworkArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    model: ModelArgs,

    /// Device of the network: flex or ndarray, on the CPU; wgpu or cuda, on a GPU, in a program built with that feature
    #[arg(long, value_name = "DEVICE", env = "TONEARM_DEVICE", default_value_t = Backend::default())]
    device: Backend,

    /// Clips in a batch of the network, at most
    #[arg(long, value_name = "N", env = "TONEARM_MAX_BATCH", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    max_batch: u16,

    /// How long a clip waits for others to share its batch; 0 batches those that wait already
    #[arg(long, value_name = "MILLISECONDS", env = "TONEARM_BATCH_DELAY", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1000))]
    batch_delay: u64,
}

#[derive(Debug, Args)]
struct WebArgs {
    #[command(flatten)]
    common: CommonArgs,

    /// URL of `serve svm`
    #[arg(long, value_name = "URL", env = "TONEARM_SVM_URL", default_value = "http://127.0.0.1:8081")]
    svm_url: Uri,

    /// URL of `serve vgg`
    #[arg(long, value_name = "URL", env = "TONEARM_VGG_URL", default_value = "http://127.0.0.1:8082")]
    vgg_url: Uri,

    /// How long one attempt to connect to them may take; there are three
    #[arg(long, value_name = "SECONDS", env = "TONEARM_CONNECT_TIMEOUT", default_value_t = 2.0, value_parser = seconds)]
    connect_timeout: f64,

    /// How long they may take to respond, the upload not counted
    #[arg(long, value_name = "SECONDS", env = "TONEARM_RESPONSE_TIMEOUT", default_value_t = 120.0, value_parser = seconds)]
    response_timeout: f64,
}

/// Options that every role takes.
#[derive(Debug, Args)]
struct CommonArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Print every setting and its source, and exit
    #[arg(long)]
    print_config: bool,

    /// Address and port to listen on; port 0 takes any that is free [default: 127.0.0.1 and the port below]
    #[arg(long, value_name = "HOST:PORT", env = "TONEARM_LISTEN", conflicts_with_all = ["host", "port"])]
    listen: Option<String>,

    /// Address alone, such as 0.0.0.0 for every interface [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,

    /// Port alone [default: 8081 for svm, 8082 for vgg, 8083 for all and web]
    #[arg(long)]
    port: Option<u16>,

    /// Largest body of a request
    #[arg(long, value_name = "BYTES", env = "TONEARM_MAX_BODY_BYTES", default_value_t = Limits::default().max_body_bytes, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    max_body_bytes: u64,

    /// How long a client may be silent: before a request, in its head, in its body
    #[arg(long, value_name = "SECONDS", env = "TONEARM_READ_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    read_timeout: u64,

    /// How long requests under way may take after SIGTERM or ctrl-c
    #[arg(long, value_name = "SECONDS", env = "TONEARM_GRACE", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3600))]
    grace: u64,

    /// File of API keys, one on each line; without it no key is required
    #[arg(long, value_name = "FILE", env = "TONEARM_API_KEY_FILE")]
    api_key_file: Option<PathBuf>,

    /// Origin whose pages may send requests (CORS), such as https://example.org, or * for every page; may be repeated
    #[arg(long, value_name = "ORIGIN", env = "TONEARM_CORS_ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<HeaderValue>,

    /// Form of the log on standard error
    #[arg(long, value_name = "FORM", env = "TONEARM_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,

    /// Collector of traces, by OTLP over HTTP, such as http://127.0.0.1:4318; needs a program built with the feature otlp
    #[arg(long, value_name = "URL", env = "TONEARM_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
}

/// Options of the roles that compute.
#[derive(Debug, Args)]
struct ModelArgs {
    #[command(flatten)]
    artifacts: ArtifactsArgs,

    /// Name of a model to serve, which is that of its folder; may be repeated [default: every model that is found]
    #[arg(long, value_name = "NAME", env = "TONEARM_MODELS", value_delimiter = ',')]
    model: Vec<ModelName>,

    /// Serve this version of a model whatever CURRENT says
    #[arg(long, value_name = "VERSION", env = "TONEARM_MODEL_VERSION")]
    model_version: Option<String>,

    /// How often the folder is searched for new models, and CURRENT is read for a new version, which then replaces the old one; 0
    /// for never
    #[arg(long, value_name = "SECONDS", env = "TONEARM_RELOAD_EVERY", default_value_t = 2.0, value_parser = seconds_or_never)]
    reload_every: f64,

    /// Start without an artifact, answer 503 on /readyz, and wait for one
    #[arg(long, env = "TONEARM_WAIT_FOR_ARTIFACT")]
    wait_for_artifact: bool,

    /// Port of the Open Inference Protocol over gRPC, on the address of --listen or --host; 0 takes any that is free, and without it
    /// there is none; needs a program built with the feature grpc
    #[arg(long, value_name = "PORT", env = "TONEARM_GRPC_PORT")]
    grpc_port: Option<u16>,

    /// Refuse audio that does not resemble the music that the model was trained on, or is no music, with 422; without it the response
    /// says so beside the labels
    #[arg(long, env = "TONEARM_REJECT_NOVEL")]
    reject_novel: bool,

    /// Longest audio, decoded
    #[arg(long, value_name = "SECONDS", env = "TONEARM_MAX_SECONDS", default_value_t = Limits::default().max_seconds, value_parser = seconds)]
    max_seconds: f64,

    /// Largest body of a request of many files
    #[arg(long, value_name = "BYTES", env = "TONEARM_MAX_BATCH_BYTES", default_value_t = Limits::default().max_batch_bytes, value_parser = clap::value_parser!(u64).range(1..=1 << 34))]
    max_batch_bytes: u64,

    /// Memory limit: bytes of all bodies at once, arriving or waiting; beyond it the answer is 503
    #[arg(long, value_name = "BYTES", env = "TONEARM_MAX_HELD_BYTES", default_value_t = Limits::default().max_held_bytes, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    max_held_bytes: u64,

    /// How long a prediction may take from the end of the upload on, waiting and computing; then the answer is 503
    #[arg(long, value_name = "SECONDS", env = "TONEARM_ANSWER_TIMEOUT", default_value_t = 60.0, value_parser = seconds)]
    answer_timeout: f64,

    /// Worker threads that decode and predict; all networks share as many more [default: one for each core]
    #[arg(long, value_name = "N", env = "TONEARM_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Requests that may wait for a worker; beyond them the answer is 503 with Retry-After
    #[arg(long, value_name = "N", env = "TONEARM_QUEUE", default_value_t = 64, value_parser = clap::value_parser!(u16).range(0..=4096))]
    queue: u16,

    /// Size of the cache of responses, for files that are sent again; 0 for none
    #[arg(long, value_name = "BYTES", env = "TONEARM_CACHE_BYTES", default_value_t = 32 << 20, value_parser = clap::value_parser!(u64).range(0..=1 << 36))]
    cache_bytes: u64,
}

/// What the program is to do.
#[derive(Debug)]
pub enum Task {
    /// Serve.
    Serve(Box<Config>),
    /// Print the settings.
    Print(Vec<Setting>),
    /// Classify files.
    Classify(Box<ClassifyArgs>),
    /// Check a server.
    Probe(Probe),
    /// Print the completion script of a shell.
    Completions(CompletionsArgs),
    /// Print or write the manual.
    Man(ManArgs),
}

impl Cli {
    /// Reads a command line, program name first, and the file that it names. `--help`, `--version` and invalid arguments
    /// end the process, as clap has it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a value that cannot be used, or a file that cannot be read.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Task> {
        Self::try_read(args.into_iter().collect(), config_file::default_file())?.map_err(|error| error.exit())
    }

    /// [`Cli::read`], with the file that is read where none is named, and with clap's refusal as a value.
    pub(super) fn try_read(
        mut args: Vec<OsString>,
        default_file: Option<PathBuf>,
    ) -> Result<Result<Task, clap::Error>> {
        // Without arguments: everything on one machine.
        if args.len() < 2 {
            args.resize(1, "serve".into());
            args.push(Role::All.name().into());
        }
        let first = match Self::command().try_get_matches_from(&args) {
            Ok(matches) => matches,
            Err(error) => return Ok(Err(error)),
        };
        let Some((role, given)) = first.subcommand() else { return Err(Error::Usage("expected a role".into())) };
        let file = match role {
            // What the program tells of itself needs no settings.
            "completions" | "man" => None,
            _ => ConfigFile::read(&Self::command(), role, given, default_file)?,
        };
        // After the name of the command, and before what may be no option: `classify -- -a.wav`.
        args.splice(2..2, file.iter().flat_map(ConfigFile::flags));
        let matches = match (Self::command().try_get_matches_from(args), &file) {
            (Ok(matches), _) => matches,
            // The command line alone was fine.
            (Err(error), Some(file)) => return Err(file.refuse(&first_line(&error))),
            (Err(error), None) => return Ok(Err(error)),
        };
        let settings = matches.subcommand().map(|(role, held)| settings(role, held, given, file.as_ref()));
        match Self::from_arg_matches(&matches) {
            Ok(cli) => cli.into_task(settings.unwrap_or_default()).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    fn into_task(self, settings: Vec<Setting>) -> Result<Task> {
        match self.command {
            Command::Classify(args) => Ok(Task::Classify(args)),
            Command::Health(args) => args.probe().map(Task::Probe),
            Command::Completions(args) => Ok(Task::Completions(args)),
            Command::Man(args) => Ok(Task::Man(args)),
            Command::Serve(command) => into_config(*command, settings),
        }
    }
}

/// What to serve, or the settings to print.
fn into_config(command: ServeCommand, settings: Vec<Setting>) -> Result<Task> {
    let (role, common) = match &command {
        ServeCommand::Svm(args) => (Role::Svm, &args.common),
        ServeCommand::Vgg(args) => (Role::Vgg, &args.common),
        ServeCommand::All(args) => (Role::All, &args.common),
        ServeCommand::Web(args) => (Role::Web, &args.common),
    };
    let listen = match &common.listen {
        Some(listen) => check_listen(listen)?,
        None => join(common.host.as_deref().unwrap_or("127.0.0.1"), common.port.unwrap_or_else(|| role.port())),
    };
    let silence = Duration::from_secs(common.read_timeout);
    let mut config = Config {
        role,
        listen,
        grpc_port: None,
        limits: Limits { max_body_bytes: common.max_body_bytes, body_silence: silence, ..Limits::default() },
        timeouts: Timeouts { head: silence, grace: Duration::from_secs(common.grace) },
        compute: Compute::default(),
        artifacts: Artifacts { wait: true, ..Artifacts::default() },
        access: Access { api_keys: common.api_key_file.clone(), cors_origins: common.cors_origin.clone() },
        telemetry: TelemetryConfig { log: common.log_format, otlp_endpoint: common.otlp_endpoint.clone() },
        upstream: None,
        settings,
    };
    let print = common.print_config;
    match command {
        ServeCommand::Svm(args) => args.model.into_config(&mut config),
        ServeCommand::Vgg(args) | ServeCommand::All(args) => {
            args.model.into_config(&mut config);
            config.compute.device = args.device;
            config.compute.max_batch = usize::from(args.max_batch);
            config.compute.batch_delay = Duration::from_millis(args.batch_delay);
        }
        ServeCommand::Web(args) => {
            config.upstream = Some(Upstream {
                svm: args.svm_url,
                vgg: args.vgg_url,
                connect_timeout: Duration::from_secs_f64(args.connect_timeout),
                response_timeout: Duration::from_secs_f64(args.response_timeout),
            });
        }
    }
    if config.artifacts.version.is_some() && config.artifacts.models.len() > 1 {
        return Err(Error::Usage(
            "--model-version names a version of one model; name that one alone with --model".into(),
        ));
    }
    if let Some(port) = config.grpc_port.filter(|_| !cfg!(feature = "grpc")) {
        return Err(Error::Usage(format!(
            "--grpc-port {port}: built without feature `grpc`; `cargo build --release -p serve --features grpc`"
        )));
    }
    Ok(if print { Task::Print(config.settings) } else { Task::Serve(Box::new(config)) })
}

impl ModelArgs {
    fn into_config(self, config: &mut Config) {
        config.grpc_port = self.grpc_port;
        config.limits.max_seconds = self.max_seconds;
        config.limits.reject_novel = self.reject_novel;
        // One whole body must fit.
        config.limits.max_batch_bytes = self.max_batch_bytes.max(config.limits.max_body_bytes);
        config.limits.max_held_bytes = self.max_held_bytes.max(config.limits.max_body_bytes);
        config.limits.answer_deadline = Duration::from_secs_f64(self.answer_timeout);
        config.compute.threads = self.threads.map_or_else(cores, usize::from);
        config.compute.queue = usize::from(self.queue);
        config.compute.cache_bytes = usize::try_from(self.cache_bytes).unwrap_or(usize::MAX);
        config.artifacts = Artifacts {
            named: self.artifacts.artifacts,
            fallback: self.artifacts.fallback_artifacts,
            models: self.model,
            version: self.model_version,
            reload: Duration::from_secs_f64(self.reload_every),
            wait: self.wait_for_artifact,
        };
    }
}

fn check_listen(listen: &str) -> Result<String> {
    match listen.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(listen.to_owned()),
        _ => Err(Error::Usage(format!("--listen is `{listen}`; expected HOST:PORT such as 127.0.0.1:8081"))),
    }
}

/// What clap says, without its advice on usage.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Every option of `role` that has a value, and its source.
fn settings(role: &str, held: &ArgMatches, given: &ArgMatches, file: Option<&ConfigFile>) -> Vec<Setting> {
    let command = Cli::command();
    let Some(command) = command.find_subcommand(role) else { return Vec::new() };
    let mut settings = Vec::new();
    for arg in command.get_arguments() {
        let (id, Some(name)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        if matches!(id, "help" | "version" | "print_config") {
            continue;
        }
        let Ok(Some(values)) = held.try_get_raw(id) else { continue };
        let values = values.map(|value| mask(&value.to_string_lossy())).collect();
        let source = match given.value_source(id) {
            Some(ValueSource::CommandLine) => "command line",
            Some(ValueSource::EnvVariable) => "environment",
            _ if file.is_some_and(|file| file.sets(name)) => "file",
            _ => "default",
        };
        settings.push(Setting { name: name.to_owned(), values, source });
    }
    if let Some(found) = file.filter(|file| !file.is_named()) {
        let values = vec![found.path().to_string_lossy().into_owned()];
        settings.push(Setting { name: "config".to_owned(), values, source: "found" });
    }
    settings
}

/// Hides the user and the password of a URL.
fn mask(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((secret, _)) => format!("{scheme}://***{}", rest.get(secret.len()..).unwrap_or_default()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn task(args: &[&str], default_file: Option<PathBuf>) -> Result<Task> {
        let task = Cli::try_read(args.iter().map(OsString::from).collect(), default_file)?;
        task.map_err(|error| Error::Usage(error.to_string()))
    }

    fn config(args: &[&str]) -> Result<Config> {
        config_with(args, None)
    }

    /// The same, where this file is in the folder of the user's configuration.
    fn config_with(args: &[&str], default_file: Option<PathBuf>) -> Result<Config> {
        match task(args, default_file)? {
            Task::Serve(config) => Ok(*config),
            _ => Err(Error::Usage("it serves nothing".into())),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_role() {
        for role in Role::ALL {
            let config = config(&["serve", role.name()]).expect("valid");
            assert_eq!((config.role, config.listen), (role, format!("127.0.0.1:{}", role.port())));
            assert_eq!(config.limits, Limits::default());
            assert_eq!(config.timeouts, Timeouts::default());
            assert!(config.compute.threads >= 1 && config.compute.queue == 64);
            assert_eq!(config.upstream.is_some(), role == Role::Web);
            assert!(config.settings.iter().all(|setting| setting.source == "default"), "{:?}", config.settings);
        }
    }

    #[test]
    fn without_arguments_everything_is_served() {
        assert_eq!(config(&["serve"]).expect("valid").role, Role::All);
        assert!(config(&["serve", "--port", "9"]).is_err(), "options are of a role");
    }

    #[test]
    fn a_device_is_named_for_a_network_alone() {
        for device in Backend::ALL {
            let config = config(&["serve", "vgg", "--device", device.name()]).expect("valid");
            assert_eq!((config.role, config.compute.device), (Role::Vgg, device));
        }
        assert!(config(&["serve", "svm", "--device", "flex"]).is_err());
        let error = config(&["serve", "vgg", "--device", "abacus"]).expect_err("there is none").to_string();
        assert!(error.contains("abacus") && error.contains("flex, ndarray, wgpu, cuda"), "{error}");
    }

    #[test]
    fn models_are_named_one_by_one_or_together() {
        let models = |args: &[&str]| {
            let config = config(&[&["serve", "all"], args].concat())?;
            Ok::<_, Error>(config.artifacts.models.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(models(&[]).expect("valid").is_empty());
        assert_eq!(models(&["--model", "dances", "--model", "a.b-c_9"]).expect("valid"), ["dances", "a.b-c_9"]);
        assert_eq!(models(&["--model", "svm,dances"]).expect("valid"), ["svm", "dances"]);
        let long = "x".repeat(65);
        for bad in ["", ".x", "../x", "a/b", "Dances", "dänces", "a b", "0123456789ab", &long] {
            assert!(matches!(models(&["--model", bad]), Err(Error::Usage(_))), "{bad}");
        }
        let version = ["--model-version", "0123456789ab"];
        assert!(models(&[&version[..], &["--model", "dances"]].concat()).is_ok());
        assert!(models(&[&version[..], &["--model", "dances,svm"]].concat()).is_err());
    }

    #[test]
    fn an_address_may_be_given_whole_or_in_parts() {
        let listen = |args: &[&str]| config(&[&["serve", "svm"], args].concat()).map(|config| config.listen);
        assert_eq!(listen(&["--listen", "0.0.0.0:9"]).expect("valid"), "0.0.0.0:9");
        assert_eq!(listen(&["--host", "::1", "--port", "9"]).expect("valid"), "[::1]:9");
        assert_eq!(listen(&["--port", "9"]).expect("valid"), "127.0.0.1:9");
        for bad in ["8081", ":8081", "localhost", "localhost:http", "localhost:70000"] {
            assert!(matches!(listen(&["--listen", bad]), Err(Error::Usage(_))), "{bad}");
        }
        assert!(listen(&["--listen", "a:1", "--port", "2"]).is_err());
    }

    #[test]
    fn grpc_is_served_where_a_port_is_named() {
        let port = |args: &[&str]| config(&[&["serve", "all"], args].concat()).map(|config| config.grpc_port);
        assert_eq!(port(&[]).expect("valid"), None);
        match port(&["--grpc-port", "9"]) {
            Ok(port) => assert!(cfg!(feature = "grpc") && port == Some(9)),
            Err(error) => assert!(!cfg!(feature = "grpc") && error.to_string().contains("--features grpc"), "{error}"),
        }
        assert!(port(&["--grpc-port", "65536"]).is_err());
        assert!(config(&["serve", "web", "--grpc-port", "9"]).is_err(), "it computes nothing");
    }

    #[test]
    fn a_limit_that_admits_nothing_is_refused() {
        for bad in [
            "--max-seconds=0",
            "--max-seconds=-1",
            "--max-seconds=NaN",
            "--max-seconds=inf",
            "--max-body-bytes=0",
            "--threads=0",
            "--answer-timeout=0",
            "--reload-every=-1",
        ] {
            assert!(matches!(config(&["serve", "svm", bad]), Err(Error::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn a_flag_counts_more_than_the_file_and_the_file_more_than_a_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tonearm.toml");
        let text = "queue = 7\nthreads = 3\nwait-for-artifact = true\nlisten = \"0.0.0.0:1\"\ndevice = \"ndarray\"\n\
                    cors-origin = [\"https://a.example\", \"https://b.example\"]\nartifacts = \"http://me:secret@host/x\"\n";
        fs::write(&path, text).expect("writes");
        let path = path.to_string_lossy().into_owned();
        let config = config(&["serve", "svm", "--config", &path, "--queue", "9", "--port", "5"]).expect("valid");
        assert_eq!((config.compute.queue, config.compute.threads), (9, 3));
        assert!(config.artifacts.wait && config.listen == "127.0.0.1:5" && config.access.cors_origins.len() == 2);
        assert_eq!(config.artifacts.named.as_deref(), Some("http://me:secret@host/x"));
        let source = |name: &str| config.settings.iter().find(|setting| setting.name == name).expect("is set");
        assert_eq!(source("queue").source, "command line");
        assert_eq!(source("threads").source, "file");
        assert_eq!(source("grace").source, "default");
        assert_eq!(source("artifacts").values, ["http://***@host/x"]);
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tonearm.toml");
        let flag = path.to_string_lossy().into_owned();
        for (text, words) in [
            ("queues = 7", "queues"),
            ("queue = -7", "queue"),
            ("queue = \"many\"", "many"),
            ("queue = { n = 1 }", "queue"),
            ("queue 7", "tonearm.toml"),
            ("wait-for-artifact = \"yes\"", "wait-for-artifact"),
            ("config = \"other.toml\"", "config"),
            // Of a command that reads no file.
            ("out = \"manual\"", "out"),
        ] {
            fs::write(&path, text).expect("writes");
            let error = config(&["serve", "svm", "--config", &flag]).expect_err("refused").to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let error = config(&["serve", "svm", "--config", "/nowhere/x.toml"]).expect_err("refused").to_string();
        assert!(error.contains("/nowhere/x.toml"), "{error}");
    }

    #[test]
    fn the_file_of_the_user_is_read_unless_another_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let [of_user, other] = ["config.toml", "other.toml"].map(|name| folder.path().join(name));
        let queue = |args: &[&str]| {
            let config = config_with(&[&["serve", "svm"], args].concat(), Some(of_user.clone()))?;
            let source = config.settings.iter().find(|setting| setting.name == "config").map(|setting| setting.source);
            Ok::<_, Error>((config.compute.queue, source))
        };
        assert_eq!(queue(&[]).expect("no file is needed"), (64, None));
        fs::write(&of_user, "queue = 7\n").expect("writes");
        fs::write(&other, "grace = 3\n").expect("writes");
        assert_eq!(queue(&[]).expect("valid"), (7, Some("found")));
        assert_eq!(queue(&["--queue", "9"]).expect("valid"), (9, Some("found")));
        let other = other.to_string_lossy().into_owned();
        assert_eq!(queue(&["--config", &other]).expect("valid"), (64, Some("command line")));
        fs::write(&of_user, "queues = 7\n").expect("writes");
        let error = queue(&[]).expect_err("refused").to_string();
        assert!(error.contains("config.toml: unknown setting `queues`") && !error.contains("--config"), "{error}");
        // What reads no file is not kept from working by it.
        assert!(task(&["serve", "man"], Some(of_user)).is_ok());
    }

    #[test]
    fn one_file_is_for_every_command() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        let text = "queue = 7\ncsv = true\nmax-bytes = 5\ntimeout = 9\nlisten = \"0.0.0.0:1\"\nthreads = 3\n";
        fs::write(&path, text).expect("writes");
        let said = |args: &[&str]| {
            let task = task(&[&["serve"], args].concat(), Some(path.clone())).map_err(|error| error.to_string())?;
            Ok::<_, String>(format!("{task:?}"))
        };
        let classify = said(&["classify", "--", "-a.wav"]).expect("valid");
        for part in ["csv: true", "max_bytes: Some(5)", "threads: Some(3)", "files: [\"-a.wav\"]"] {
            assert!(classify.contains(part), "{part} is not in {classify}");
        }
        // A flag stands against what excludes it in the file.
        let json = said(&["classify", "--json", "a.wav"]).expect("valid");
        assert!(json.contains("json: true") && json.contains("csv: false"), "{json}");
        let health = said(&["health"]).expect("valid");
        assert!(health.contains("timeout: 9s") && health.contains("port: 1"), "{health}");
        assert!(said(&["svm"]).is_ok() && said(&["web"]).is_ok());
    }
}
