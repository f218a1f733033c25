//! The three services together: started here, or running elsewhere.

use std::{
    env,
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    path::Path,
    time::{Duration, Instant},
};

use crate::{Response, Server, multipart, request};

/// How long a service may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a stack that was started here may take until it is ready, on a machine that runs other tests beside it.
const START: Duration = Duration::from_secs(60);

/// A service that runs somewhere.
#[derive(Clone, Debug)]
pub struct Service {
    url: String,
    address: SocketAddr,
}

impl Service {
    /// The one whose URL is in that variable, such as `http://127.0.0.1:8081`; `None` where it is not set, or empty.
    ///
    /// # Panics
    /// When the variable holds no such URL, or the service is not reachable; says which variable, and why.
    #[must_use]
    pub fn named_by(variable: &str) -> Option<Self> {
        let url = env::var(variable).ok().filter(|url| !url.is_empty())?;
        Some(Self::at(&url).unwrap_or_else(|problem| panic!("{variable}={url}: {problem}")))
    }

    /// The one at `url`, if it is reachable.
    ///
    /// # Errors
    /// Why it is not.
    pub fn at(url: &str) -> Result<Self, String> {
        let url = url.trim_end_matches('/');
        let authority =
            url.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?', '#']));
        let authority = authority.ok_or("it is to be http://HOST:PORT, such as http://127.0.0.1:8081")?;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let host_and_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let addresses = host_and_port.to_socket_addrs().map_err(|error| format!("its host is not known: {error}"))?;
        // A name may have several, and the service listen on one of them.
        let mut problem = "its host has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(_) => return Ok(Self { url: url.to_owned(), address }),
                Err(error) => problem = format!("not reachable: {error}"),
            }
        }
        Err(problem)
    }

    /// Where it is, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its response on `path`.
    ///
    /// # Panics
    /// When there is no response; says which request failed.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        let response = request(self.address, "GET", path, None, b"");
        response.unwrap_or_else(|error| panic!("GET {}{path}: no response: {error}", self.url))
    }

    /// Its response to a form with that file in the field `audio_file`.
    ///
    /// # Panics
    /// When there is no response; says which request failed.
    #[must_use]
    pub fn post(&self, path: &str, file_name: &str, content: &[u8]) -> Response {
        let (content_type, form) = multipart("audio_file", file_name, content);
        let response = request(self.address, "POST", path, Some(&content_type), &form);
        response.unwrap_or_else(|error| panic!("POST {}{path}: no response: {error}", self.url))
    }
}

impl From<&Server> for Service {
    fn from(server: &Server) -> Self {
        Self { url: format!("http://{}", server.address), address: server.address }
    }
}

/// `serve svm`, `serve vgg` and `serve web` in front of them, stopped when dropped.
#[derive(Debug)]
pub struct Stack {
    /// The page, which forwards to the others.
    pub web: Server,
    /// The network.
    pub vgg: Server,
    /// The support vector machine.
    pub svm: Server,
}

impl Stack {
    /// Starts them on free ports with the artifacts of both models in `artifacts`, and waits until all are ready.
    ///
    /// # Panics
    /// When one of them ends, or does not get ready.
    #[must_use]
    pub fn start(artifacts: &Path) -> Self {
        let [svm, vgg] = ["svm", "vgg"].map(|role| Server::start(role, artifacts));
        let [svm_url, vgg_url] = [&svm, &vgg].map(|server| format!("http://{}", server.address));
        let arguments = ["web", "--listen", "127.0.0.1:0", "--svm-url", &svm_url, "--vgg-url", &vgg_url];
        let web = Server::start_with(artifacts, &arguments);
        // It has to look at the others first.
        let service = Service::from(&web);
        let start = Instant::now();
        loop {
            let models = service.get("/v1/models").json();
            let models = models["models"].as_array().expect("a list");
            if models.iter().all(|model| model["state"] == "ready") {
                return Self { web, vgg, svm };
            }
            assert!(start.elapsed() < START, "the stack does not get ready: {models:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
