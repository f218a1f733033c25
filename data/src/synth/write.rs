//! The dataset on disk: WAV files in a folder for each genre, and the table of who plays what.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;

use super::{SAMPLE_RATE, SynthSpec, render, title};
use crate::{Error, gtzan::Genre};

/// One clip to be made.
#[derive(Debug)]
struct Job {
    genre: Genre,
    artist: usize,
    clip: usize,
    clip_id: String,
}

/// Writes a dataset to the folder `out`: `<genre>/<genre>.synth.00000.wav` (22 050 Hz, mono, 16 bits) and `clips.csv`
/// with the columns `clip_id`, `genre`, `artist` and `title`.
///
/// `out` must not exist, or be an empty folder; folders above it are made. All is first written beside it under another
/// name and then renamed, so that a run which was cut short leaves no half dataset. The bytes depend on `spec` only, not on
/// `threads` (0 is taken as 1). `progress` is told how many clips of how many are done, from any thread.
///
/// # Errors
/// [`Error::Option`] for a `spec` out of range, for an `out` that holds something, and where `threads` cannot be
/// started; [`Error::Io`] where the disk refuses.
pub fn write_dataset(
    out: &Path,
    spec: &SynthSpec,
    threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(), Error> {
    spec.validate()?;
    refuse_full(out)?;
    let partial = partial_path(out)?;
    let parent = partial.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    fs::create_dir(&partial).map_err(Error::io("create", &partial))?;
    let written = fill(&partial, spec, threads, progress)
        .and_then(|()| fs::rename(&partial, out).map_err(Error::io("rename the finished dataset to", out)));
    if written.is_err() {
        // What went wrong before is reported, not that sweeping up failed too.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

/// Nothing that is there is written over.
fn refuse_full(out: &Path) -> Result<(), Error> {
    let problem = match fs::symlink_metadata(out) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", out)(error)),
        Ok(kind) if kind.is_dir() => {
            if fs::read_dir(out).map_err(Error::io("list", out))?.next().is_none() {
                return Ok(());
            }
            "a folder that is not empty"
        }
        Ok(_) => "not a folder",
    };
    let problem = format!("{} is {problem}; a synthetic dataset needs a folder of its own", out.display());
    Err(Error::Option { name: "out", problem })
}

/// The name under which the dataset grows: beside `out`, hidden, and another for each process.
fn partial_path(out: &Path) -> Result<PathBuf, Error> {
    let Some(name) = out.file_name() else {
        let problem = format!("is {}, which names no folder; name the folder that is to be made", out.display());
        return Err(Error::Option { name: "out", problem });
    };
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(format!(".partial-{}", std::process::id()));
    Ok(out.with_file_name(partial))
}

fn fill(root: &Path, spec: &SynthSpec, threads: usize, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<(), Error> {
    let jobs = jobs(spec);
    for genre in Genre::ALL {
        let folder = root.join(genre.name());
        fs::create_dir(&folder).map_err(Error::io("create", &folder))?;
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .build()
        .map_err(|error| Error::Option { name: "threads", problem: format!("cannot be started: {error}") })?;
    let done = AtomicUsize::new(0);
    pool.install(|| {
        jobs.par_iter().try_for_each(|job| {
            let path = root.join(job.genre.name()).join(format!("{}.wav", job.clip_id));
            write_wav(&path, &render(job.genre, job.artist, job.clip, spec))?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, jobs.len());
            Ok::<(), Error>(())
        })
    })?;
    let mut table = String::from("clip_id,genre,artist,title\n");
    for Job { genre, artist, clip, clip_id } in &jobs {
        let name = genre.name();
        let title = title(*genre, *artist, *clip, spec);
        table.push_str(&format!("{clip_id},{name},Synthetic {name} artist {},{title}\n", artist + 1));
    }
    let path = root.join("clips.csv");
    fs::write(&path, table).map_err(Error::io("write", &path))
}

/// All clips, clip by clip over the genres, so that threads get slow and fast genres in turn.
fn jobs(spec: &SynthSpec) -> Vec<Job> {
    let artists = spec.artists_per_genre();
    let clips = 0..spec.clips_per_genre;
    clips
        .flat_map(|clip| {
            Genre::ALL.map(|genre| Job {
                genre,
                artist: clip % artists,
                clip,
                clip_id: format!("{}.synth.{clip:05}", genre.name()),
            })
        })
        .collect()
}

/// Writes samples within ±1 as 16 bits.
fn write_wav(path: &Path, samples: &[f32]) -> Result<(), Error> {
    let format = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> Result<(), hound::Error> {
        let mut wav = hound::WavWriter::create(path, format)?;
        for &sample in samples {
            wav.write_sample(to_i16(sample))?;
        }
        wav.finalize()
    };
    write().map_err(|error| {
        let source = match error {
            hound::Error::IoError(source) => source,
            other => std::io::Error::other(other),
        };
        Error::io("write", path)(source)
    })
}

/// A sample as 16 bits.
pub(super) fn to_i16(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16
}
