//! The options of `serve classify`: as they are typed, and as the run uses them.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use features::decode;
use models::vgg19::Backend;

use super::{
    super::{artifacts::ArtifactsArgs, config_file::ConfigArgs},
    files::shown,
    playlists, tags,
};
use crate::{
    Error, Result,
    config::{ModelName, seconds},
};

/// Options of `serve classify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  serve classify song.mp3\n  serve classify --csv ~/music > genres.csv\n  \
                        serve classify --output genres.csv --summary ~/music      # run it again to go on after an interruption\n  \
                        serve classify --write-tags --min-probability 0.6 --dry-run ~/music\n  \
                        serve classify --m3u ~/music/playlists ~/music\n  \
                        curl -s https://example.org/song.ogg | serve classify --json -\n  serve classify --model dances song.mp3\n\
                        What is audio by its content is classified, in the order of the names; other files are skipped and named.\n\
                        Exit codes: 0 every audio file was classified (and tagged, with --write-tags), 1 some were not, 2 wrong usage or \
                        no artifact, 130 ctrl-c.")]
pub struct ClassifyArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Files; folders, with all that is below them; `-` for standard input
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(super) files: Vec<PathBuf>,

    /// Name of the model that predicts, such as ensemble, svm or vgg19, or `both` for the last two; may be repeated. With several it is
    /// also said where they agree [default: ensemble, where it and its members are found; else svm, or the only model that is found;
    /// the SVM of the program where there is none]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) model: Vec<ModelName>,

    #[command(flatten)]
    pub(super) artifacts: ArtifactsArgs,

    /// Leave the genre of a file empty (`unknown` in a table) where its probability is lower, or, with any P over 0, where it does not
    /// resemble the music that the model was trained on; it gets no tag and is in no playlist
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = probability)]
    min_probability: f64,

    /// One JSON object on each line: the response of the server, or its problem, and the file
    #[arg(long, conflicts_with_all = ["csv", "output"])]
    json: bool,

    /// A table as CSV, with a column for each label
    #[arg(long, conflicts_with = "output")]
    csv: bool,

    /// Write to a file instead: CSV if its name ends in .csv, JSON lines if in .jsonl, .ndjson or .json. If it is there, the run goes on
    /// with it: what it has by the content of the audio and the version of the model is not classified again
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Add columns to the CSV that say what the model was trained on, and how good it was found to be
    #[arg(long)]
    provenance: bool,

    /// Order of the output: by path; by genre, then probability; or by probability, highest first [default: as the files are named]
    #[arg(long, value_name = "KEY")]
    sort: Option<Sort>,

    /// End with a table of files and hours by genre
    #[arg(long)]
    summary: bool,

    /// Write the genre into the tags of the files, each replaced in one step once its audio was found unchanged
    #[arg(long)]
    write_tags: bool,

    /// The field that takes the genre: GENRE, or a name of your own
    #[arg(long, value_name = "NAME", default_value = "GENRE", requires = "write_tags", value_parser = tags::Field::parse)]
    tag_field: tags::Field,

    /// Write over a genre that a file has
    #[arg(long, requires = "write_tags")]
    overwrite: bool,

    /// Show the tags that would be written, and write none
    #[arg(long, requires = "write_tags")]
    dry_run: bool,

    /// Leave a file's time of modification as it was when its tags are written
    #[arg(long, requires = "write_tags")]
    keep_mtime: bool,

    /// Write a playlist for each genre into this folder, in place of those of an earlier run
    #[arg(long, value_name = "DIR")]
    m3u: Option<PathBuf>,

    /// Whether playlists name files by paths from their folder, or from the root
    #[arg(long, value_name = "KIND", default_value = "relative", requires = "m3u")]
    m3u_paths: playlists::Paths,

    /// Worker threads: files that are classified at once [default: one for each core]
    #[arg(long, value_name = "N", env = "TONEARM_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Device of the network: flex or ndarray, on the CPU; wgpu or cuda, on a GPU, in a program built with that feature
    #[arg(long, value_name = "DEVICE", env = "TONEARM_DEVICE", default_value_t = Backend::default())]
    pub(super) device: Backend,

    /// Largest file; without it files may have any size, and standard input 256 MiB
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_bytes: Option<u64>,

    /// Longest audio, decoded; without it any
    #[arg(long, value_name = "SECONDS", env = "TONEARM_MAX_SECONDS", value_parser = seconds)]
    pub(super) max_seconds: Option<f64>,
}

impl ClassifyArgs {
    /// How much audio a file may hold.
    pub(super) fn limits(&self) -> decode::Limits {
        decode::Limits {
            max_bytes: self.max_bytes.unwrap_or(u64::MAX),
            max_seconds: self.max_seconds.unwrap_or(f64::INFINITY),
        }
    }
}

/// The order of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// By the path of the file.
    Path,
    /// By the genre; within one the most probable first.
    Genre,
    /// The most probable first.
    Probability,
}

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// In columns; long names cut, if narrow.
    Table {
        /// Whether it is a terminal.
        narrow: bool,
    },
    /// An object a line.
    Json,
    /// RFC 4180, with a header.
    Csv {
        /// Whether it has the columns that say where a model comes from.
        provenance: bool,
    },
}

/// What is to be done with the predictions.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) format: Format,
    /// The file that they are written to, in place of standard output.
    pub(super) output: Option<PathBuf>,
    pub(super) sort: Option<Sort>,
    pub(super) summary: bool,
    pub(super) min_probability: f64,
    pub(super) tags: Option<tags::Options>,
    pub(super) playlists: Option<(PathBuf, playlists::Paths)>,
}

impl ClassifyArgs {
    /// The options, checked against each other. `terminal` says whether standard output is one.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(super) fn options(&self, terminal: bool) -> Result<Options> {
        let csv = Format::Csv { provenance: self.provenance };
        let format = match (&self.output, self.json, self.csv) {
            (Some(path), ..) => {
                if is_csv(path)? {
                    csv
                } else {
                    Format::Json
                }
            }
            (None, true, _) => Format::Json,
            (None, _, true) => csv,
            _ => Format::Table { narrow: terminal },
        };
        if self.provenance && format != csv {
            return Err(Error::Usage("--provenance adds columns to CSV; add --csv, or --output FILE.csv".to_owned()));
        }
        let tags = self.write_tags.then(|| tags::Options {
            field: self.tag_field.clone(),
            overwrite: self.overwrite,
            dry_run: self.dry_run,
            keep_mtime: self.keep_mtime,
        });
        Ok(Options {
            format,
            output: self.output.clone(),
            sort: self.sort,
            summary: self.summary,
            min_probability: self.min_probability,
            tags,
            playlists: self.m3u.clone().map(|folder| (folder, self.m3u_paths)),
        })
    }
}

/// Whether the name of an output file is that of CSV rather than of JSON lines.
fn is_csv(path: &Path) -> Result<bool> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "csv" => Ok(true),
        "jsonl" | "ndjson" | "json" => Ok(false),
        _ => Err(Error::Usage(format!(
            "--output {}: expected a name that ends in .csv, or in .jsonl, .ndjson or .json for JSON lines",
            shown(path)
        ))),
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number from 0 to 1, such as 0.6".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("expected a number from 0 to 1".to_owned()) }
}
