//! The dashboard and the alerts query metrics that a server exposes.

use std::{collections::BTreeSet, fs, path::Path};

use tests::{Server, multipart, request, small};

/// The names of metrics of ours in a text: of series that a server exposes, or in queries.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("tonearm_")).collect()
}

#[test]
fn dashboard_and_alerts_query_metrics_that_a_server_exposes() {
    let at = small::shared();
    let server = Server::start("all", &at.join("artifacts"));
    let track = fs::read(small::track(&at, "blues")).expect("a track");
    let (content_type, form) = multipart("audio_file", "track.wav", &track);
    for path in ["/predict", "/vgg"] {
        let response = request(server.address, "POST", path, Some(&content_type), &form).expect("a response");
        assert_eq!(response.status, 200);
    }
    let exposed = request(server.address, "GET", "/metrics", None, b"").expect("a response");
    let exposed = String::from_utf8(exposed.body).expect("text");
    // Comments name families, queries series.
    let series: Vec<_> = exposed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (file, least) in [("deploy/grafana/tonearm.json", 15), ("deploy/prometheus/alerts.yml", 4)] {
        let text = fs::read_to_string(root.join(file)).expect("a file of the repository");
        let asked = names(&text);
        assert!(asked.len() >= least, "{file}: {asked:?}");
        let unknown: Vec<_> = asked.iter().filter(|name| !series.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} queries {unknown:?}, which no server exposes:\n{exposed}");
    }
}
