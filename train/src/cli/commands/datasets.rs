//! `train audit`, `extract`, `manifest`, `synth` and `inspect`: the contents of datasets and of audio files.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use data::{Dataset, ExtractOptions, audit, labels::display, synth::SynthSpec};
use features::{
    ClipFeatures, Extractor, FeatureVector,
    decode::{self, Limits, Tags},
};
use serde_json::{Map, Value, json};

use super::read_spec;
use crate::{
    cli::args::{AuditArgs, ExtractArgs, InspectArgs, ManifestArgs, SynthArgs},
    console::{interrupt::Unfinished, output, progress::Stage},
    source,
};

/// Examines every clip and prints the findings.
///
/// # Errors
/// When the dataset cannot be opened, or the table cannot be written.
pub fn audit(args: &AuditArgs) -> Result<()> {
    let dataset = Dataset::open(&args.data)?;
    let stage = Stage::new("auditing clips");
    let options = ExtractOptions {
        threads: args.run.threads.into(),
        progress: &|done, total| stage.at(done, total),
        ..ExtractOptions::default()
    };
    let found = audit::audit(&dataset, &options).with_context(|| format!("failed to audit {}", args.data.display()))?;
    drop(stage);
    if let Some(path) = &args.out {
        output::write_table(&mut found.frame()?, path)?;
    }
    let unused = match &dataset {
        Dataset::Audio(audio) => audio.unused(),
        Dataset::FeatureStore(_) => &[],
    };
    if args.run.json {
        let mut object = serde_json::to_value(&found)?;
        if let Value::Object(fields) = &mut object {
            fields.insert("unused".into(), output::unused_json(unused));
        }
        return output::print_json(&object);
    }
    output::say_unused(unused);
    for finding in &found.findings {
        output::line(format!("{:<24} {:<14} {}", finding.clip_id, finding.fault.name(), finding.detail))?;
    }
    let counts: Vec<_> = found.counts().into_iter().map(|(fault, n)| format!("{n} {}", fault.name())).collect();
    let summary = if counts.is_empty() { "no fault found".into() } else { counts.join(", ") };
    output::line(format!("{} clips: {summary}", found.clips))?;
    if matches!(dataset, Dataset::FeatureStore(_)) {
        output::line("A feature store was compared for repeats only; audit the audio for the rest.")?;
    }
    Ok(())
}

/// Writes the store.
///
/// # Errors
/// When the dataset is not an audio folder, the specification is invalid, or the store cannot be written.
pub fn extract(args: &ExtractArgs) -> Result<()> {
    let spec = read_spec(&args.spec)?;
    let opening = args.opening.options()?;
    let Dataset::Audio(audio) = Dataset::open(&args.data)? else {
        bail!("{} is a feature store already; name a dataset of audio", args.data.display());
    };
    let stage = Stage::new("extracting features");
    let options = ExtractOptions {
        threads: args.run.threads.into(),
        progress: &|done, total| stage.at(done, total),
        labels: opening.labels,
        limits: opening.limits,
        strict: opening.strict,
        ..ExtractOptions::default()
    };
    let _unfinished = Unfinished::beside(&args.out, format!(".tonearm-store-{}-", std::process::id()));
    let report = data::extract(&audio, &spec, &args.out, &options)
        .with_context(|| format!("failed to extract {}", args.data.display()))?;
    drop(stage);
    if args.run.json {
        return output::print_json(&json!({
            "written": report.written,
            "unused": output::unused_json(&report.unused),
            "warnings": output::warnings_json(&report.warned),
            "notes": report.notes,
            "fingerprint": spec.fingerprint(),
            "log_mel_fingerprint": spec.log_mel_fingerprint(),
        }));
    }
    output::say_unused(&report.unused);
    output::say_warned(&report.warned);
    report.notes.iter().for_each(|note| output::remark(note));
    output::line(format!("{}: {} clips, specification {}", args.out.display(), report.written, spec.fingerprint()))
}

/// Writes the table.
///
/// # Errors
/// When the dataset cannot be opened, or the table cannot be written.
pub fn manifest(args: &ManifestArgs) -> Result<()> {
    let mut frame = data::manifest::of_dataset(&Dataset::open(&args.data)?)?;
    output::write_table(&mut frame, &args.out)?;
    let columns: Vec<_> = frame.get_column_names().iter().map(|name| name.to_string()).collect();
    if args.json {
        return output::print_json(&json!({ "out": args.out, "clips": frame.height(), "columns": columns }));
    }
    output::line(format!("{}: {} clips, columns {}", args.out.display(), frame.height(), columns.join(", ")))
}

/// Writes the dataset.
///
/// # Errors
/// When an option is out of range, or the folder exists or cannot be written.
pub fn synth(args: &SynthArgs) -> Result<()> {
    let spec = SynthSpec { clips_per_genre: args.clips_per_genre, seconds: args.seconds, seed: args.seed };
    let stage = Stage::new("synthesising clips");
    source::write_synthetic(&args.out, &spec, args.run.threads.into(), &stage)?;
    drop(stage);
    if args.run.json {
        return output::print_json(
            &json!({ "out": args.out, "clips_per_genre": spec.clips_per_genre, "seconds": spec.seconds, "seed": spec.seed }),
        );
    }
    output::line(format!(
        "{}: ten genres of {} clips of {} s, from seed {}",
        args.out.display(),
        spec.clips_per_genre,
        spec.seconds,
        spec.seed
    ))
}

/// Decodes the file, computes every descriptor of the specification, and prints both, with the file's tags and warnings.
///
/// # Errors
/// When the file cannot be read or decoded, or the specification is invalid.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let extractor = Extractor::new(read_spec(&args.spec)?)?;
    let extract = || -> features::Result<_> {
        let decoded = decode::decode_file(&args.file, &Limits::default())?;
        let analysis = extractor.extract(&decoded.clip)?;
        let segments = extractor.segments(&analysis)?;
        Ok((decoded, analysis, segments))
    };
    let (decoded, analysis, segments) =
        extract().with_context(|| format!("failed to inspect {}", args.file.display()))?;
    let digest = features::digest(&analysis, &segments);
    if args.json {
        return output::print_json(&json!({
            "audio": decoded.info,
            "spec": extractor.spec(),
            "fingerprint": extractor.spec().fingerprint(),
            "features_digest": digest,
            "log_mel": { "n_mels": analysis.log_mel().n_mels(), "n_frames": analysis.log_mel().n_frames() },
            "segments": segments.iter().map(|segment| segment_json(&extractor, segment)).collect::<Vec<_>>(),
        }));
    }
    let mut text = description(&extractor, &decoded.info, &analysis, &segments);
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

fn description(
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
    let tags = tags(&audio.tags);
    if !tags.is_empty() {
        let _ = writeln!(text, "tags: {tags}");
    }
    for warning in &audio.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
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

/// What the tags of a file say, on one line; empty where they say nothing.
fn tags(tags: &Tags) -> String {
    let Tags { artist, album, title, genre, track, year, cover } = tags;
    let texts = [("artist", artist), ("title", title), ("album", album), ("genre", genre)];
    let texts =
        texts.into_iter().filter_map(|(name, text)| Some(format!("{name} {}", display::isolated(text.as_deref()?))));
    let numbers = [("track", track), ("year", year)];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some(format!("{name} {}", (*number)?)));
    let cover = cover.then(|| "with a cover".to_owned());
    texts.chain(numbers).chain(cover).collect::<Vec<_>>().join("; ")
}
