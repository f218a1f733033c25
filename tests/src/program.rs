//! Starting the real binaries.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// The binary `name` that the same build made.
///
/// # Panics
/// When it does not exist: `tests/run` builds it before the tests.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("a test has a path");
    let folder = here.ancestors().nth(2).expect("a test is in target/<profile>/deps");
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is missing: run tests/run, which builds it", path.display());
    path
}

/// A command for the binary `name` in the folder `at`, with no setting taken from the environment of the test.
#[must_use]
pub fn command(name: &str, at: &Path) -> Command {
    let mut command = Command::new(binary(name));
    command.current_dir(at).stdin(Stdio::null());
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("TONEARM_"));
    for variable in ours.chain(["RUST_LOG", "RUST_BACKTRACE"].map(Into::into)) {
        command.env_remove(variable);
    }
    // Neither settings nor models of the person who runs the tests.
    command.env("XDG_CONFIG_HOME", "/nowhere").env("XDG_DATA_HOME", "/nowhere");
    command
}

/// Runs the binary `name` in the folder `at` to its end, with extra variables.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn run(name: &str, at: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    command(name, at).envs(variables.iter().copied()).args(arguments).output().expect("the binary starts")
}

/// Runs `train` in the folder `at`, which must succeed, and gives its stdout.
///
/// # Panics
/// When it fails; says what it wrote.
pub fn train(at: &Path, arguments: &[&str]) -> String {
    let output = run("train", at, &[], arguments);
    assert!(
        output.status.success(),
        "train {arguments:?} failed: {}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stdout).expect("train writes UTF-8")
}

/// A running `serve`, stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it serves gRPC, if it does.
    pub grpc: Option<SocketAddr>,
}

impl Server {
    /// Starts `serve ROLE` on a free port with the artifacts in `artifacts`, and waits until it says that it listens.
    ///
    /// # Panics
    /// When it ends before it listens; says what it wrote.
    #[must_use]
    pub fn start(role: &str, artifacts: &Path) -> Self {
        Self::start_with(artifacts, &[role, "--listen", "127.0.0.1:0", "--artifacts", "."])
    }

    /// Starts `serve` in the folder `at` with these arguments, role first, and waits until it says that it listens.
    ///
    /// # Panics
    /// When it ends before it listens; says what it wrote.
    #[must_use]
    pub fn start_with(at: &Path, arguments: &[&str]) -> Self {
        let mut child = command("serve", at).args(arguments).stderr(Stdio::piped()).spawn().expect("serve starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut said = String::new();
        let (address, grpc) = loop {
            let start = said.len();
            assert!(stderr.read_line(&mut said).expect("stderr is UTF-8") > 0, "serve ended: {said}");
            let mut addresses = said[start..].split_whitespace().filter_map(|word| {
                word.trim_start_matches("http://").trim_end_matches([',', ';', '/']).parse::<SocketAddr>().ok()
            });
            if let Some(address) = addresses.next().filter(|address| address.port() != 0) {
                break (address, addresses.next());
            }
        };
        // Drained, so that a full pipe never holds the server up.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, address, grpc }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
