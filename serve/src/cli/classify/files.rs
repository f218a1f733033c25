//! From names on the command line to files and their bytes.

use std::{
    collections::HashSet,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::body::Bytes;
use features::decode;

use super::payload::AudioDigest;
use crate::{
    Error, Input, Rejection, Result,
    rejection::{AUDIO_TOO_LONG, BODY_TOO_LARGE, CORRUPT_AUDIO, EMPTY_AUDIO, NOT_AUDIO, Problem, TRUNCATED_AUDIO},
};

/// Bytes that are read at once.
const STEP: u64 = 1 << 20;

/// A file to be classified.
#[derive(Clone, Debug)]
pub(super) struct File {
    origin: Origin,
    path: PathBuf,
}

/// Where a name of a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The command line.
    Named,
    /// A folder on the command line.
    Folder,
    /// Standard input.
    Stdin,
}

/// The files that names lead to, in order, and the folders that could not be listed.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<File>,
    pub(super) failures: Vec<String>,
}

/// Why there is no prediction for a file.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The operating system failed to read it.
    Unreadable(Arc<io::Error>),
    /// It cannot be classified.
    Refused(Arc<Rejection>),
}

/// The files that `names` lead to: each that is named, and of each folder all that are below it, in the order of their
/// names, without hidden ones. A folder that links lead back to is walked once.
///
/// # Errors
/// [`Error::Usage`] where standard input is named twice.
pub(super) fn find(names: &[PathBuf]) -> Result<Found> {
    let mut found = Found::default();
    for name in names {
        if name.as_os_str() == "-" {
            if found.files.iter().any(|file| file.origin == Origin::Stdin) {
                return Err(Error::Usage("standard input (`-`) is named twice, and can be read once".to_owned()));
            }
            found.files.push(File { origin: Origin::Stdin, path: name.clone() });
        } else if name.is_dir() {
            walk(name, &mut found);
        } else {
            // A missing one is reported in its turn.
            found.files.push(File { origin: Origin::Named, path: name.clone() });
        }
    }
    Ok(found)
}

/// Adds the files below `root`, depth first.
fn walk(root: &Path, found: &mut Found) {
    let mut seen = HashSet::new();
    // In reverse, so that the first name is on top.
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        if !path.is_dir() {
            // Neither a pipe, which would block, nor a broken link.
            if path.is_file() {
                found.files.push(File { origin: Origin::Folder, path });
            }
            continue;
        }
        match fs::canonicalize(&path).and_then(|real| if seen.insert(real) { entries(&path) } else { Ok(Vec::new()) }) {
            Ok(entries) => left.extend(entries.into_iter().rev()),
            Err(error) => found.failures.push(format!("{}: failed to list it: {error}", shown(&path))),
        }
    }
}

/// What is in a folder and not hidden, in the order of names.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

impl File {
    /// Its name as it was typed or found.
    pub(super) fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Its name for a terminal, without control characters.
    pub(super) fn shown(&self) -> String {
        match self.origin {
            Origin::Stdin => "standard input".to_owned(),
            _ => shown(&self.path),
        }
    }

    /// The bytes of its name where they are not UTF-8, so that [`File::name`] does not tell it from others.
    pub(super) fn raw_name(&self) -> Option<&[u8]> {
        self.path.to_str().is_none().then(|| self.path.as_os_str().as_encoded_bytes())
    }

    /// Where it is, unless it is standard input.
    pub(super) fn path(&self) -> Option<&Path> {
        (self.origin != Origin::Stdin).then_some(&self.path)
    }

    /// Whether it is one of many, for which no audio is nothing wrong: standard input is there to be classified.
    pub(super) fn may_be_no_audio(&self) -> bool {
        self.origin != Origin::Stdin
    }

    /// Whether it was found in a folder: then there is no row for it if it is not audio.
    pub(super) fn was_found(&self) -> bool {
        self.origin == Origin::Folder
    }

    /// Its audio and the digest of it, if there are no more bytes than the limit. `progress` is called with the bytes of each step.
    pub(super) fn open(
        &self,
        limits: &decode::Limits,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<(Audio, AudioDigest), Failure> {
        let unreadable = |error| Failure::Unreadable(Arc::new(error));
        if self.origin != Origin::Stdin {
            let metadata = fs::metadata(&self.path).map_err(unreadable)?;
            if metadata.is_file() {
                // Nothing more is read of a file that is not audio, however large it is.
                decode::container_of_file(&self.path).map_err(|error| match error {
                    features::Error::Io { source, .. } => unreadable(source),
                    error => Rejection::from(error).into(),
                })?;
                if metadata.len() > limits.max_bytes {
                    return Err(Rejection::BodyTooLarge { limit: limits.max_bytes }.into());
                }
                let digest = AudioDigest::of_file(&self.path, progress).map_err(unreadable)?;
                return Ok((Audio::File(self.path.clone()), digest));
            }
        }
        let bytes = self.read(limits, progress)?;
        let digest = AudioDigest::of(&bytes);
        Ok((Audio::Bytes(bytes.into()), digest))
    }

    /// The bytes of what can be read only once: standard input, or a pipe.
    fn read(&self, limits: &decode::Limits, progress: impl Fn(u64)) -> Result<Vec<u8>, Failure> {
        let unreadable = |error| Failure::Unreadable(Arc::new(error));
        let mut source: Box<dyn Read> = match self.origin {
            Origin::Stdin => Box::new(io::stdin().lock()),
            _ => Box::new(fs::File::open(&self.path).map_err(unreadable)?),
        };
        let max_bytes = limits.max_bytes.min(decode::Limits::default().max_bytes);
        let mut bytes = Vec::new();
        loop {
            let left = max_bytes.saturating_add(1) - bytes.len() as u64;
            match (&mut source).take(left.min(STEP)).read_to_end(&mut bytes).map_err(unreadable)? {
                0 => break,
                read => progress(read as u64),
            }
        }
        if bytes.len() as u64 > max_bytes {
            return Err(Rejection::BodyTooLarge { limit: max_bytes }.into());
        }
        Ok(bytes)
    }
}

/// The audio of a file.
#[derive(Clone, Debug)]
pub(super) enum Audio {
    /// In memory.
    Bytes(Bytes),
    /// Where it is, to be decoded piece by piece.
    File(PathBuf),
}

impl From<Audio> for Input {
    fn from(audio: Audio) -> Self {
        match audio {
            Audio::Bytes(bytes) => Self::Audio { read: Box::new(|| Ok(bytes)), reservation: None },
            Audio::File(path) => Self::File(path),
        }
    }
}

/// A path for a terminal, without control characters.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Failure {
    /// Whether the file is not audio at all.
    pub(super) fn is_not_audio(&self) -> bool {
        matches!(self, Self::Refused(rejection) if [&NOT_AUDIO, &EMPTY_AUDIO].contains(&rejection.kind()))
    }

    /// The problem that a server answers; of a file that cannot be read, the most similar one.
    pub(super) fn problem(&self) -> Problem {
        match self {
            Self::Refused(rejection) => {
                let mut problem = Problem::from(&**rejection);
                if let Rejection::Internal { cause } = &**rejection {
                    // There is no log for it.
                    problem.detail.clone_from(cause);
                }
                problem
            }
            Self::Unreadable(error) => {
                let (status, title) = match error.kind() {
                    io::ErrorKind::NotFound => (404, "Not Found"),
                    io::ErrorKind::PermissionDenied => (403, "Forbidden"),
                    _ => (500, "Internal Server Error"),
                };
                Problem { uri: "about:blank", title, status, detail: self.to_string() }
            }
        }
    }

    /// What to do about it, where its message does not say.
    fn advice(&self) -> Option<&'static str> {
        let Self::Refused(rejection) = self else { return None };
        match rejection.kind() {
            kind if *kind == BODY_TOO_LARGE => Some("--max-bytes sets another limit"),
            kind if *kind == AUDIO_TOO_LONG => Some("--max-seconds sets another limit"),
            kind if [&TRUNCATED_AUDIO, &CORRUPT_AUDIO].contains(&kind) => Some("copy the file again, or convert it"),
            _ => None,
        }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(Arc::new(rejection))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "failed to read it: {error}")?,
            Self::Refused(rejection) => match &**rejection {
                Rejection::Internal { cause } => write!(f, "internal error: {cause}")?,
                // The server's message is about bodies.
                Rejection::BodyTooLarge { limit } => write!(f, "the file has over {limit} bytes")?,
                rejection => rejection.fmt(f)?,
            },
        }
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().expect("below a folder")).expect("makes a folder");
        fs::write(path, "").expect("writes");
    }

    fn names(root: &Path, found: &Found) -> Vec<String> {
        let below = |file: &File| file.path.strip_prefix(root).expect("below it").to_string_lossy().into_owned();
        found.files.iter().map(below).collect()
    }

    #[test]
    fn a_folder_is_walked_in_the_order_of_names_without_what_is_hidden() {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["b.wav", "a/z.wav", "a/.hidden.wav", ".git/x.wav", "a.wav", "c/d/e.wav", "B.wav"] {
            touch(&root.path().join(name));
        }
        let found = find(&[root.path().to_owned(), root.path().join("a/.hidden.wav"), "-".into()]).expect("found");
        let (last, walked) = found.files.split_last().expect("not empty");
        assert!(last.origin == Origin::Stdin && found.failures.is_empty());
        assert!(walked.iter().rev().skip(1).all(File::was_found));
        let found = Found {
            files: walked.iter().map(|file| File { path: file.path.clone(), ..*file }).collect(),
            ..Found::default()
        };
        let expected = ["B.wav", "a/z.wav", "a.wav", "b.wav", "c/d/e.wav", "a/.hidden.wav"];
        assert_eq!(names(root.path(), &found), expected);
        assert!(matches!(find(&["-".into(), "-".into()]), Err(Error::Usage(_))));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_round_are_followed_once() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().expect("a folder");
        touch(&root.path().join("a/x.wav"));
        touch(&root.path().join("b/y.wav"));
        symlink(root.path(), root.path().join("a/up")).expect("links");
        symlink("../b", root.path().join("a/to-b")).expect("links");
        symlink("nowhere", root.path().join("a/broken.wav")).expect("links");
        symlink("../b/y.wav", root.path().join("a/y.wav")).expect("links");
        let found = find(&[root.path().to_owned()]).expect("found");
        assert_eq!(names(root.path(), &found), ["a/to-b/y.wav", "a/x.wav", "a/y.wav"]);
        assert!(found.failures.is_empty(), "{:?}", found.failures);
    }

    #[test]
    fn a_name_has_no_control_characters_on_a_terminal() {
        assert_eq!(shown(Path::new("a\x1b[31m\n.wav")), "a\u{fffd}[31m\u{fffd}.wav");
    }
}
