//! Random files of many programs, decoded by us and by FFmpeg: length within 0.1 s, log-mel within 1 dB.
//!
//!     cargo nextest run --release -p features --test differential --run-ignored all --no-capture
//!
//! `differential/make.py` makes 300 files of container × codec × rate × channels × width × truncation. With `TONEARM_DIFFERENTIAL` a folder of
//! other files is compared instead, such as a set of conformance files; then nothing is asserted, and the table is printed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use features::{
    Clip, FeatureSpec,
    decode::{Limits, decode, decode_file},
    dsp::{db::power_to_db, mel::MelFilterbank, stft::Stft},
    spec::{DbSpec, MelSpec},
};

/// Where two right decoders differ: in seconds, and in the median of the bands in dB.
const SECONDS: f64 = 0.1;
const DECIBELS: f64 = 1.0;

/// Below this all levels are alike.
const FLOOR_DB: f64 = -70.0;

/// What FFmpeg decodes of the first audio stream of `path`; `None` if it refuses.
fn by_ffmpeg(path: &Path) -> Option<Clip> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "-"])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    // It goes on after errors, and what it wrote is what counts.
    decode(output.stdout, &Limits { max_bytes: 1 << 32, ..Limits::default() }).ok().map(|decoded| decoded.clip)
}

/// Means over time of 32 mel bands in dB, no lower than the floor.
fn mel_means(clip: &Clip) -> Vec<f64> {
    let spec = FeatureSpec::librosa();
    let clip = clip.resampled(22_050).unwrap();
    let stft = Stft::new(&spec.stft).unwrap();
    let bank = MelFilterbank::new(22_050, spec.stft.n_fft, &MelSpec { n_mels: 32, ..spec.mel }).unwrap();
    let mut db = bank.spectrogram(&stft, clip.samples()).unwrap();
    power_to_db(&mut db, &DbSpec { top_db: None, ..spec.db });
    let mean = |row: &[f32]| row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
    db.rows().into_iter().map(|row| mean(row.as_slice().unwrap()).max(FLOOR_DB)).collect()
}

/// Difference of length in seconds, and median of the differences of the bands in dB.
fn compare(ours: &Clip, theirs: &Clip) -> (f64, f64) {
    let (a, b) = (mel_means(ours), mel_means(theirs));
    let mut off: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).collect();
    off.sort_by(f64::total_cmp);
    (ours.seconds() - theirs.seconds(), off[off.len() / 2])
}

/// The files to compare, each with what made it and the part that was kept.
fn files() -> Option<(Vec<(PathBuf, String)>, bool)> {
    if let Some(folder) = env::var_os("TONEARM_DIFFERENTIAL") {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.is_file());
        paths.sort();
        return Some((paths.into_iter().map(|path| (path, String::new())).collect(), false));
    }
    let folder = env::temp_dir().join(format!("tonearm-differential-{}", std::process::id()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/make.py");
    let made = Command::new("python3").arg(script).arg(&folder).status();
    if !made.is_ok_and(|status| status.success()) {
        return None;
    }
    let list = fs::read_to_string(folder.join("list.tsv")).unwrap();
    let rows = list.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let files = rows.map(|row| {
        let cut = if row[4] == "1.000" { String::new() } else { format!(", {} kept", row[4]) };
        (folder.join(row[0]), format!("{}, {} Hz, {} ch{cut}", row[1], row[2], row[3]))
    });
    Some((files.collect(), true))
}

#[test]
#[ignore = "needs ffmpeg, and takes some minutes"]
fn random_files_decode_as_ffmpeg_decodes_them() {
    if Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: ffmpeg is not installed, so nothing was compared");
        return;
    }
    let Some((files, is_random)) = files() else {
        eprintln!("SKIPPED: the files cannot be made (python3, ffmpeg)");
        return;
    };
    let limits = Limits { max_seconds: 3_600.0, ..Limits::default() };
    let (mut rows, mut counts) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for (path, made_by) in &files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (ours, theirs) = (decode_file(path, &limits), by_ffmpeg(path));
        let (verdict, detail) = match (&ours, &theirs) {
            (Ok(ours), Some(theirs)) => {
                let (seconds, decibels) = compare(&ours.clip, theirs);
                let warnings: Vec<String> = ours.info.warnings.iter().map(ToString::to_string).collect();
                let detail = format!(
                    "{}/{}: {:.3} s, {seconds:+.3} s, {decibels:.2} dB; {}",
                    ours.info.container,
                    ours.info.codec,
                    ours.info.seconds,
                    warnings.join(" ")
                );
                let is_same = seconds.abs() <= SECONDS && decibels <= DECIBELS;
                (if is_same { "same" } else { "different" }, detail)
            }
            (Err(error), Some(theirs)) => {
                ("refused by us alone", format!("{error} (FFmpeg: {:.3} s)", theirs.seconds()))
            }
            (Ok(ours), None) => ("refused by FFmpeg alone", format!("{:.3} s", ours.info.seconds)),
            (Err(error), None) => ("refused by both", error.to_string()),
        };
        *counts.entry(verdict).or_default() += 1;
        if verdict != "same" || !is_random {
            rows.push(format!("{verdict} | {name} | {made_by} | {detail}"));
        }
    }
    println!("{}\n{counts:?} of {}", rows.join("\n"), files.len());
    if is_random {
        fs::remove_dir_all(files[0].0.parent().unwrap()).unwrap();
        let same = counts.get("same").copied().unwrap_or(0) + counts.get("refused by both").copied().unwrap_or(0);
        assert!(same * 100 >= files.len() * 97, "{same} of {} are as FFmpeg has them", files.len());
    }
}
