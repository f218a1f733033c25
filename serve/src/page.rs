//! The page: its files are in the program, so there is nothing to install beside it.

use std::sync::LazyLock;

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use crate::Rejection;

/// A file of the page.
struct File {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

macro_rules! files {
    ($($name:literal $media_type:literal),+ $(,)?) => {
        &[$(File { name: $name, media_type: $media_type, content: include_bytes!(concat!("../page/", $name)) }),+]
    };
}

/// Every file of the page, by its name below `/page/`.
const FILES: &[File] = files![
    "analysis.js" "text/javascript; charset=utf-8",
    "api.js" "text/javascript; charset=utf-8",
    "audio.js" "text/javascript; charset=utf-8",
    "batch.js" "text/javascript; charset=utf-8",
    "csv.js" "text/javascript; charset=utf-8",
    "dom.js" "text/javascript; charset=utf-8",
    "examples.js" "text/javascript; charset=utf-8",
    "favicon.svg" "image/svg+xml",
    "floats.js" "text/javascript; charset=utf-8",
    "i18n.js" "text/javascript; charset=utf-8",
    "index.html" "text/html; charset=utf-8",
    "labels.js" "text/javascript; charset=utf-8",
    "main.js" "text/javascript; charset=utf-8",
    "model-view.js" "text/javascript; charset=utf-8",
    "models.js" "text/javascript; charset=utf-8",
    "page.css" "text/css; charset=utf-8",
    "palette.js" "text/javascript; charset=utf-8",
    "player.js" "text/javascript; charset=utf-8",
    "plot.js" "text/javascript; charset=utf-8",
    "predictions.js" "text/javascript; charset=utf-8",
    "problems.js" "text/javascript; charset=utf-8",
    "provenance.js" "text/javascript; charset=utf-8",
    "queue.js" "text/javascript; charset=utf-8",
    "recorder-view.js" "text/javascript; charset=utf-8",
    "recorder-worklet.js" "text/javascript; charset=utf-8",
    "recorder.js" "text/javascript; charset=utf-8",
    "spectrogram.js" "text/javascript; charset=utf-8",
    "store.js" "text/javascript; charset=utf-8",
    "theme.js" "text/javascript; charset=utf-8",
    "timeline-panel.js" "text/javascript; charset=utf-8",
    "timeline.js" "text/javascript; charset=utf-8",
    "track-list.js" "text/javascript; charset=utf-8",
    "tracks.js" "text/javascript; charset=utf-8",
    "turntable.js" "text/javascript; charset=utf-8",
    "wav.js" "text/javascript; charset=utf-8",
    "waveform.js" "text/javascript; charset=utf-8",
];

/// What the page may load: its own files, and nothing from anywhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; \
                      connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// `GET /` of a role with a page.
pub(crate) async fn index(headers: HeaderMap) -> Result<Response, Rejection> {
    file("index.html", &headers)
}

/// `GET /page/{file}`.
pub(crate) async fn show(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Rejection> {
    file(&name, &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Result<Response, Rejection> {
    static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| FILES.iter().map(tag).collect());
    let (file, tag) = FILES.iter().zip(&*TAGS).find(|(file, _)| file.name == name).ok_or(Rejection::NotFound)?;
    let mut response = if headers.get(header::IF_NONE_MATCH) == Some(tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(file.content))
    };
    let values = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.media_type)),
        (header::ETAG, tag.clone()),
        // Asked for again each time, and sent again only after a new version was started.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (PERMISSIONS, HeaderValue::from_static("microphone=(self), camera=(), geolocation=()")),
    ];
    response.headers_mut().extend(values);
    Ok(response)
}

/// Names the content of a file.
fn tag(file: &File) -> HeaderValue {
    let digest: String = Sha256::digest(file.content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Hexadecimal digits in quotes are a value.
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page")).expect("a folder");
        let names = folder.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        assert_eq!(names.collect::<BTreeSet<_>>(), FILES.iter().map(|file| file.name.to_owned()).collect());
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let first = file("index.html", &HeaderMap::new()).expect("is there");
        assert_eq!(first.status(), StatusCode::OK);
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(file("index.html", &headers).expect("is there").status(), StatusCode::NOT_MODIFIED);
        assert!(matches!(file("../Cargo.toml", &headers), Err(Rejection::NotFound)));
    }
}
