//! `train inspect`: what one audio file holds.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use features::{
    ClipFeatures, Extractor, FeatureVector,
    decode::{self, Limits},
};
use serde_json::{Map, Value, json};

use super::{print_json, read_spec};
use crate::{cli::args::InspectArgs, console::output};

/// Decodes the file, computes every descriptor of the specification, and prints both.
///
/// # Errors
/// When the file cannot be read or decoded, or the specification is invalid.
pub fn run(args: &InspectArgs) -> Result<()> {
    let extractor = Extractor::new(read_spec(&args.spec)?)?;
    let hear = || -> features::Result<_> {
        let decoded = decode::decode_file(&args.file, &Limits::default())?;
        let analysis = extractor.extract(&decoded.clip)?;
        let segments = extractor.segments(&analysis)?;
        Ok((decoded, analysis, segments))
    };
    let (decoded, analysis, segments) = hear().with_context(|| format!("failed to inspect {}", args.file.display()))?;
    let digest = features::digest(&analysis, &segments);
    if args.json {
        return print_json(&json!({
            "audio": decoded.info,
            "spec": extractor.spec(),
            "fingerprint": extractor.spec().fingerprint(),
            "features_digest": digest,
            "log_mel": { "n_mels": analysis.log_mel().n_mels(), "n_frames": analysis.log_mel().n_frames() },
            "segments": segments.iter().map(|segment| segment_json(&extractor, segment)).collect::<Vec<_>>(),
        }));
    }
    let mut text = describe(&extractor, &decoded.info, &analysis, &segments);
    let _ = write!(text, "\nfeatures digest {digest}");
    output::line(text)
}

fn segment_json(extractor: &Extractor, segment: &FeatureVector) -> Value {
    let descriptors: Map<String, Value> =
        extractor.names().iter().zip(&segment.vector).map(|(name, &value)| (name.clone(), json!(value))).collect();
    json!({
        "start_seconds": segment.start_seconds,
        "end_seconds": segment.end_seconds,
        "descriptors": descriptors,
    })
}

fn describe(
    extractor: &Extractor,
    audio: &decode::AudioInfo,
    analysis: &ClipFeatures,
    segments: &[FeatureVector],
) -> String {
    let mut text = String::new();
    let bits = audio.bits_per_sample.map_or(String::new(), |bits| format!(", {bits} bits"));
    let _ = writeln!(
        text,
        "{} ({}): {} Hz, {} channel{}{bits}, {:.2} s",
        audio.container,
        audio.codec,
        audio.sample_rate,
        audio.channels,
        if audio.channels == 1 { "" } else { "s" },
        audio.seconds
    );
    let _ = writeln!(
        text,
        "log-mel {} bands × {} frames; specification {}",
        analysis.log_mel().n_mels(),
        analysis.log_mel().n_frames(),
        extractor.spec().fingerprint()
    );
    for segment in segments {
        let _ = writeln!(text, "\n{:.2} s to {:.2} s", segment.start_seconds, segment.end_seconds);
        for (name, value) in extractor.names().iter().zip(&segment.vector) {
            let _ = writeln!(text, "  {name:<36} {value:>14.6}");
        }
    }
    text
}
