//! From an address to a client of the store that it leads to.

use std::{path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, HeaderMap, ObjectStore, ObjectStoreScheme, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
    path::Path,
};
use reqwest::{Url, header::AUTHORIZATION};

use super::{RepositoryError, Result};
use crate::telemetry;

/// What every client of a store is held to; `timeout` is for a request with its whole answer.
const CLIENT: [(ClientConfigKey, &str); 4] = [
    (ClientConfigKey::ConnectTimeout, "5 seconds"),
    (ClientConfigKey::ReadTimeout, "20 seconds"),
    (ClientConfigKey::Timeout, "10 minutes"),
    (ClientConfigKey::UserAgent, concat!("tonearm/", env!("CARGO_PKG_VERSION"))),
];
const SCHEMES: &str = "s3, gs, az, http, https and file are known";

/// What an address leads to.
#[derive(Debug)]
pub(super) enum Target {
    Folder(PathBuf),
    Store(Url),
}

/// A client, and where in its store the artifacts are.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// For messages: without credentials.
    pub(super) address: String,
    /// Whether it can say what it holds.
    pub(super) lists: bool,
}

/// Takes an address apart that has a scheme.
pub(super) fn parse(address: &str) -> Result<Target> {
    // Not the address as it is: it may hold a password.
    let refuse = |detail: String| {
        let scheme = address.split_once("://").map_or(address, |(scheme, _)| scheme);
        Err(RepositoryError::address(format!("{scheme}://…"), detail))
    };
    let url = match Url::parse(address) {
        Ok(url) => url,
        Err(error) => return refuse(format!("it is no URL: {error}")),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return refuse(
            "what follows `?` or `#` is not sent; leave it out, and give credentials by environment variables"
                .to_owned(),
        );
    }
    match url.scheme() {
        "file" => url.to_file_path().map_or_else(
            |()| refuse("it names no folder of this machine; write file:///folder".to_owned()),
            |path| Ok(Target::Folder(path)),
        ),
        "http" | "https" => Ok(Target::Store(url)),
        // The part before `@` of an address of Azure names the container.
        "az" | "azure" | "adl" | "abfs" | "abfss" if url.password().is_none() => Ok(Target::Store(url)),
        "s3" | "s3a" | "gs" if url.password().is_none() && url.username().is_empty() => Ok(Target::Store(url)),
        "s3" | "s3a" | "gs" | "az" | "azure" | "adl" | "abfs" | "abfss" => {
            refuse("credentials do not belong there; give them by AWS_…, GOOGLE_… or AZURE_… variables".to_owned())
        }
        _ => refuse(format!("its scheme is not known; {SCHEMES}")),
    }
}

/// A client of the store at `url`, set up by these environment variables. Asks nothing of the store.
pub(super) fn connect(url: &Url, variables: &[(String, String)]) -> Result<Connection> {
    telemetry::install_tls();
    let address = shown(url);
    let refuse = |error: &dyn std::error::Error| RepositoryError::address(&address, error.to_string());
    let (scheme, prefix) = ObjectStoreScheme::parse(url).map_err(|error| refuse(&error))?;
    let (store, lists) = match scheme {
        ObjectStoreScheme::AmazonS3 => (amazon(url, variables), true),
        ObjectStoreScheme::GoogleCloudStorage => (google(url, variables), true),
        ObjectStoreScheme::MicrosoftAzure => (azure(url, variables), true),
        ObjectStoreScheme::Http => (web(url), false),
        _ => return Err(RepositoryError::address(&address, format!("its scheme is not known; {SCHEMES}"))),
    };
    Ok(Connection { store: store.map_err(|error| refuse(&*error))?, prefix, address, lists })
}

/// A URL without what must not be shown.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // The name of a container of Azure stays.
    if matches!(url.scheme(), "http" | "https") {
        // These fail for URLs without a host, and both schemes have one.
        let _ = url.set_username("");
    }
    let _ = url.set_password(None);
    url.to_string().trim_end_matches('/').to_owned()
}

type Opened = std::result::Result<Arc<dyn ObjectStore>, Box<dyn std::error::Error>>;

/// A builder with the variables of `prefix` and with [`CLIENT`]; a variable that it does not know is none of its own.
macro_rules! builder {
    ($builder:ty, $key:ty, $prefix:literal, $url:expr, $variables:expr) => {{
        let mut builder = <$builder>::new();
        let mut plain = false;
        for (name, value) in $variables.iter().filter(|(name, _)| name.starts_with($prefix)) {
            if let Ok(key) = name.to_ascii_lowercase().parse::<$key>() {
                plain |= name.contains("ENDPOINT") && value.starts_with("http://");
                builder = builder.with_config(key, value);
            }
        }
        for (key, value) in CLIENT {
            builder = builder.with_config(<$key>::Client(key), value);
        }
        if plain {
            // Whoever names such an endpoint means it.
            builder = builder.with_config(<$key>::Client(ClientConfigKey::AllowHttp), "true");
        }
        builder.with_url($url.as_str()).with_retry(retry())
    }};
}

fn amazon(url: &Url, variables: &[(String, String)]) -> Opened {
    Ok(Arc::new(builder!(AmazonS3Builder, AmazonS3ConfigKey, "AWS_", url, variables).build()?))
}

fn google(url: &Url, variables: &[(String, String)]) -> Opened {
    Ok(Arc::new(builder!(GoogleCloudStorageBuilder, GoogleConfigKey, "GOOGLE_", url, variables).build()?))
}

fn azure(url: &Url, variables: &[(String, String)]) -> Opened {
    Ok(Arc::new(builder!(MicrosoftAzureBuilder, AzureConfigKey, "AZURE_", url, variables).build()?))
}

/// Files behind a web server. A user and a password in the URL are sent as a header, so that no message shows them.
fn web(url: &Url) -> Opened {
    let client = reqwest::Client::builder().build().map_err(reqwest::Error::without_url)?;
    let request = client.get(url.clone()).build().map_err(reqwest::Error::without_url)?;
    let mut headers = HeaderMap::new();
    headers.extend(request.headers().get(AUTHORIZATION).map(|value| (AUTHORIZATION, value.clone())));
    let options = ClientOptions::new().with_default_headers(headers).with_allow_http(url.scheme() == "http");
    let options = CLIENT.into_iter().fold(options, |options, (key, value)| options.with_config(key, value));
    let mut host = request.url().clone();
    host.set_path("");
    Ok(Arc::new(HttpBuilder::new().with_url(host).with_client_options(options).with_retry(retry()).build()?))
}

/// Three tries more, within half a minute.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_shows_a_password() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        assert_eq!(shown(&url("https://me:hush@host:8/x/")), "https://host:8/x");
        assert_eq!(shown(&url("az://container@account/x")), "az://container@account/x");
        for address in [
            "https://me:hush@host:port/",
            "https://host/x?sig=hush",
            "https://host/x#hush",
            "s3://key:hush@bucket/x",
            "gs://hush@bucket/x",
            "az://container:hush@account/x",
            "ftp://me:hush@host/x",
            "http://me:hush@/",
        ] {
            let error = parse(address).expect_err("refused");
            assert_eq!(error.kind(), super::super::RepositoryErrorKind::Address);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }

    #[test]
    fn every_kind_of_store_is_opened_without_a_word_to_it() {
        let variables = [("AZURE_STORAGE_ACCOUNT_NAME".to_owned(), "account".to_owned())];
        for (address, prefix, lists) in [
            ("s3://bucket/a/b", "a/b", true),
            ("gs://bucket", "", true),
            ("az://container/a/", "a", true),
            ("http://host/a%20b/", "a b", false),
            ("https://me:hush@host/", "", false),
        ] {
            let Target::Store(url) = parse(address).expect("an address") else { panic!("{address} is no store") };
            let connection = connect(&url, &variables).expect(address);
            assert_eq!((connection.prefix.as_ref(), connection.lists), (prefix, lists), "{address}");
            assert!(!format!("{connection:?}").contains("hush"), "{connection:?}");
        }
        let Target::Store(url) = parse("az://container/a").expect("an address") else { panic!("no store") };
        let error = connect(&url, &[]).expect_err("no account is named").to_string();
        assert!(error.contains("az://container/a") && error.contains("ccount"), "{error}");
        assert!(matches!(parse("file:///a/b"), Ok(Target::Folder(path)) if path == std::path::Path::new("/a/b")));
    }
}
