//! The command line: low values as they were typed, turned into a [`Config`].

use std::{num::NonZero, path::PathBuf, thread, time::Duration};

use clap::{Args, Parser, Subcommand};
use models::vgg19::Backend;

use crate::{Config, Error, Limits, Result, Role, Timeouts};

/// Serves the classifiers that `train` made: a song goes in, its genre comes out.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Logs go to standard error, one line a request; RUST_LOG=warn or debug changes how many.\n\
                  Exit codes: 0 stopped by a signal, 1 failed, 2 no artifact or wrong usage."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the SVM: POST /predict, GET /healthz, GET /readyz
    #[command(after_help = "Example:\n  serve svm --artifacts artifacts --listen 0.0.0.0:8081\n  \
                            curl -F audio_file=@song.mp3 http://127.0.0.1:8081/predict")]
    Svm(ServeArgs),
    /// Serve VGG19: POST /vgg, GET /healthz, GET /readyz
    #[command(after_help = "Example:\n  serve vgg --artifacts artifacts --listen 0.0.0.0:8082\n  \
                            curl -F audio_file=@song.mp3 http://127.0.0.1:8082/vgg")]
    Vgg(NetworkArgs),
}

/// Options of a role whose model is a network.
#[derive(Debug, Args)]
struct NetworkArgs {
    #[command(flatten)]
    serve: ServeArgs,

    /// What computes the network: flex or ndarray, on the CPU; wgpu or cuda, on a GPU, in a program built with that feature
    #[arg(long, value_name = "DEVICE", default_value_t = Backend::default())]
    device: Backend,
}

/// Options that every role takes.
#[derive(Debug, Args)]
struct ServeArgs {
    /// Folder that `train` writes to (CURRENT in its folder svm, or vgg19, is served), or the folder of one version
    #[arg(long, value_name = "DIR", env = "TONEARM_ARTIFACTS", default_value = "artifacts")]
    artifacts: PathBuf,

    /// Address and port to listen on; port 0 takes any that is free [default: 127.0.0.1 and the port below]
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["host", "port"])]
    listen: Option<String>,

    /// Address alone, such as 0.0.0.0 for every interface [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,

    /// Port alone [default: 8081 for svm, 8082 for vgg]
    #[arg(long)]
    port: Option<u16>,

    /// Largest body of a request
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    max_body_bytes: u64,

    /// Longest audio, decoded
    #[arg(long, value_name = "SECONDS", default_value_t = 900.0)]
    max_seconds: f64,

    /// Worker threads that decode and predict; all networks share as many more [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Requests that may wait for a worker; beyond them the answer is 503 with Retry-After
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(0..=4096))]
    queue: u16,

    /// How long a client may be silent: before a request, in its head, in its body
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    read_timeout: u64,

    /// How long requests under way may take after SIGTERM or ctrl-c
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3600))]
    grace: u64,

    /// Start without an artifact, answer 503 on /readyz, and look for one every 2 seconds
    #[arg(long)]
    wait_for_artifact: bool,
}

impl Cli {
    /// Checks the values and fills in the defaults that depend on one another.
    ///
    /// # Errors
    /// [`Error::Usage`] for a value that cannot be used.
    pub fn into_config(self) -> Result<Config> {
        let (role, args) = match self.command {
            Command::Svm(args) => (Role::Svm, args),
            Command::Vgg(NetworkArgs { serve, device }) => (Role::Vgg { device }, serve),
        };
        if !(args.max_seconds > 0.0 && args.max_seconds <= 86_400.0) {
            return Err(Error::Usage(format!("--max-seconds is {}, not over 0 and up to 86400", args.max_seconds)));
        }
        let listen = match args.listen {
            Some(listen) => check_listen(listen)?,
            None => join(args.host.as_deref().unwrap_or("127.0.0.1"), args.port.unwrap_or_else(|| role.port())),
        };
        let silence = Duration::from_secs(args.read_timeout);
        Ok(Config {
            role,
            artifacts: args.artifacts,
            listen,
            limits: Limits {
                max_body_bytes: args.max_body_bytes,
                max_seconds: args.max_seconds,
                body_silence: silence,
                ..Limits::default()
            },
            timeouts: Timeouts { head: silence, grace: Duration::from_secs(args.grace) },
            threads: args.threads.map_or_else(cores, usize::from),
            queue: usize::from(args.queue),
            wait_for_artifact: args.wait_for_artifact,
        })
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// `host:port`, with the brackets that an IPv6 address needs.
fn join(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn check_listen(listen: String) -> Result<String> {
    match listen.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(listen),
        _ => Err(Error::Usage(format!("--listen is `{listen}`, not HOST:PORT such as 127.0.0.1:8081"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Result<Config> {
        Cli::try_parse_from(args).expect("parses").into_config()
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_role() {
        for role in Role::ALL {
            let config = config(&["serve", role.name()]).expect("valid");
            assert_eq!((config.role, config.listen), (role, format!("127.0.0.1:{}", role.port())));
            assert_eq!(config.limits, Limits::default());
            assert_eq!(config.timeouts, Timeouts::default());
            assert!(config.threads >= 1 && config.queue == 64 && !config.wait_for_artifact);
        }
    }

    #[test]
    fn a_device_is_named_for_a_network_alone() {
        for device in Backend::ALL {
            let config = config(&["serve", "vgg", "--device", device.name()]).expect("valid");
            assert_eq!(config.role, Role::Vgg { device });
        }
        assert!(Cli::try_parse_from(["serve", "svm", "--device", "flex"]).is_err());
        let error = Cli::try_parse_from(["serve", "vgg", "--device", "abacus"]).expect_err("there is none").to_string();
        assert!(error.contains("abacus") && error.contains("flex, ndarray, wgpu, cuda"), "{error}");
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
        assert!(Cli::try_parse_from(["serve", "svm", "--listen", "a:1", "--port", "2"]).is_err());
    }

    #[test]
    fn a_limit_that_admits_nothing_is_refused() {
        for bad in ["0", "-1", "NaN", "inf"] {
            let argument = format!("--max-seconds={bad}");
            assert!(matches!(config(&["serve", "svm", &argument]), Err(Error::Usage(_))), "{bad}");
        }
        assert!(Cli::try_parse_from(["serve", "svm", "--max-body-bytes", "0"]).is_err());
        assert!(Cli::try_parse_from(["serve", "svm", "--threads", "0"]).is_err());
    }
}
