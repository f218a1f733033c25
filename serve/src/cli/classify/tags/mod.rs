//! `--write-tags`: the predicted genre goes into the tags of the file.
//!
//! The file is copied beside itself, the copy gets the tag ([`field`]), is compared with the file ([`payload`]), written to the disk, and
//! renamed over the file. So whoever looks at the file, at any time and after any end of the program, finds it as it was or as it is to
//! be, and one whose audio or other tags would not stay what they are is left alone.

mod field;

use std::{
    collections::HashSet,
    fs::{self, File, FileTimes, Metadata},
    io::{self, Seek as _},
    os::unix::fs::{MetadataExt as _, fchown},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tempfile::NamedTempFile;

pub(super) use self::field::Field;
use self::field::FileTags;
use super::payload::{self, AudioDigest, Payload};
use crate::engine::pool::lock;

/// The name of a copy that is being made: hidden, so that nothing takes it for music.
const COPY: (&str, &str) = (".serve-classify-", ".tmp");

/// How tags are written.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) field: Field,
    /// Over what the field holds.
    pub(super) overwrite: bool,
    /// Only finds out what would be done.
    pub(super) dry_run: bool,
    /// Keeps the time of modification.
    pub(super) keep_mtime: bool,
}

/// What was done with the tags of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// The genre was written; what was there before, if anything.
    Written { before: Option<String>, links: u64 },
    /// It would have been.
    WouldWrite { before: Option<String> },
    /// The field holds something else, which stays.
    Kept { value: String },
    /// The field holds the genre already.
    Same,
}

/// Why the tags of a file were not written. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum TagError {
    /// It has no tags that can be written.
    #[error("its tags cannot be written: {0}")]
    Unsupported(String),
    /// What is in its tags cannot be read, and so cannot be kept.
    #[error("its tags cannot be read, and would be lost: {0}")]
    Unreadable(String),
    /// Writing them would change something else.
    #[error("writing its tags would change {0}, so it was left as it is")]
    WouldChange(String),
    /// Nobody may write to it.
    #[error("it is read-only, so its tags were not written")]
    ReadOnly,
    /// Another program wrote to it.
    #[error("another program changed it while it was classified; classify it again")]
    Changed,
    /// The operating system refused something.
    #[error("failed to {0}: {1}")]
    System(&'static str, #[source] io::Error),
}

type Result<T, E = TagError> = std::result::Result<T, E>;

/// Writes tags, from several threads.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    options: Arc<Options>,
    /// Folders in which what earlier runs left was removed.
    swept: Arc<Mutex<HashSet<PathBuf>>>,
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> TagError {
    move |error| TagError::System(what, error)
}

impl Writer {
    pub(super) fn new(options: Options) -> Self {
        Self { options: Arc::new(options), swept: Arc::default() }
    }

    /// Writes `genre` into the tags of the file at `path`, whose audio has that digest.
    ///
    /// # Errors
    /// [`TagError`].
    pub(super) fn write(&self, path: &Path, audio: AudioDigest, genre: &str) -> Result<Done> {
        let Options { field, overwrite, dry_run, .. } = &*self.options;
        // Behind a link it is the file itself that is replaced.
        let path = fs::canonicalize(path).map_err(system("find it"))?;
        let mut file = File::open(&path).map_err(system("open it"))?;
        let found = file.metadata().map_err(system("look at it"))?;
        if found.permissions().readonly() {
            return Err(TagError::ReadOnly);
        }
        let old = payload(&file).map_err(TagError::Unsupported)?;
        if old.audio != audio {
            return Err(TagError::Changed);
        }
        if old.streams > 1 {
            return Err(TagError::Unsupported(format!("it has {} streams, and tags for one are written", old.streams)));
        }
        let tags = guarded(|| FileTags::read(old.container, &mut file)).map_err(TagError::Unreadable)?;
        let tags = tags.ok_or_else(|| TagError::Unsupported("of Ogg, Vorbis and Opus are written".to_owned()))?;
        let values = tags.values(field);
        let before = (!values.is_empty()).then(|| values.join("; "));
        match before {
            Some(_) if says(&values, genre) => Ok(Done::Same),
            Some(value) if !overwrite => Ok(Done::Kept { value }),
            before if *dry_run => Ok(Done::WouldWrite { before }),
            before => {
                self.replace(&path, file, &found, &old, tags, genre)?;
                Ok(Done::Written { before, links: found.nlink() })
            }
        }
    }

    fn replace(
        &self,
        path: &Path,
        mut file: File,
        found: &Metadata,
        old: &Payload,
        mut tags: FileTags,
        genre: &str,
    ) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        self.sweep(folder);
        let mut copy = tempfile::Builder::new()
            .prefix(COPY.0)
            .suffix(COPY.1)
            .tempfile_in(folder)
            .map_err(system("make a copy of it"))?;
        // While it is locked, no other run takes it for one that was left.
        copy.as_file().lock().map_err(system("lock the copy of it"))?;
        file.rewind().and_then(|()| io::copy(&mut file, copy.as_file_mut())).map_err(system("copy it"))?;
        guarded(|| {
            tags.set(&self.options.field, genre);
            tags.save(copy.as_file_mut())
        })
        .map_err(TagError::Unsupported)?;
        self.check(&copy, old, genre)?;
        self.keep_metadata(&copy, path, found)?;
        copy.as_file().sync_all().map_err(system("write the copy of it to the disk"))?;
        if !is_unchanged(path, found) {
            return Err(TagError::Changed);
        }
        copy.persist(path).map_err(|error| TagError::System("put the copy in its place", error.error))?;
        // The rename itself is kept once the folder is on the disk.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(system("write its folder to the disk"))
    }

    /// Compares the copy with the file: the same audio, the same tags but for the field, and in that the genre.
    fn check(&self, copy: &NamedTempFile, old: &Payload, genre: &str) -> Result<()> {
        let Options { field, .. } = &*self.options;
        let lost = |what: String| TagError::WouldChange(format!("its audio ({what})"));
        let new = payload(copy.as_file()).map_err(lost)?;
        if new.audio != old.audio || new.container != old.container {
            return Err(TagError::WouldChange("its audio".to_owned()));
        }
        let mut others = [old, &new].map(|payload| payload.tags.iter().filter(|tag| !field.is(tag)));
        loop {
            match others.each_mut().map(Iterator::next) {
                [None, None] => break,
                [was, is] if was == is => {}
                [was, is] => {
                    let tag = was.min(is).or(was).or(is).map_or("", |tag| tag.key.as_str());
                    return Err(TagError::WouldChange(format!("its tag {tag}")));
                }
            }
        }
        let mut written = copy.as_file();
        let tags = guarded(|| FileTags::read(new.container, &mut written));
        let tags = tags.map_err(|what| TagError::WouldChange(format!("its tags ({what})")))?;
        let values = tags.map(|tags| tags.values(field)).unwrap_or_default();
        if !says(&values, genre) {
            return Err(TagError::WouldChange(format!("`{genre}` to `{}`", values.join("; "))));
        }
        Ok(())
    }

    /// Gives the copy the owner, the permissions, the extended attributes and, where that is wanted, the time of the file.
    fn keep_metadata(&self, copy: &NamedTempFile, path: &Path, found: &Metadata) -> Result<()> {
        let made = copy.as_file().metadata().map_err(system("look at the copy of it"))?;
        if (made.uid(), made.gid()) != (found.uid(), found.gid()) {
            let kept = fchown(copy.as_file(), Some(found.uid()), Some(found.gid()));
            kept.map_err(system("keep its owner; run this as the owner of the file"))?;
        }
        fs::set_permissions(copy.path(), found.permissions()).map_err(system("keep its permissions"))?;
        keep_attributes(path, copy.path()).map_err(system("keep its extended attributes"))?;
        if self.options.keep_mtime {
            let times = FileTimes::new().set_modified(found.modified().map_err(system("keep its time"))?);
            copy.as_file().set_times(times).map_err(system("keep its time"))?;
        }
        Ok(())
    }

    /// Removes what runs that were killed left in a folder, once.
    fn sweep(&self, folder: &Path) {
        if !lock(&self.swept).insert(folder.to_owned()) {
            return;
        }
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(COPY.0.as_bytes()) && name.ends_with(COPY.1.as_bytes()) {
                // One that another run works at is locked.
                let is_left = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
                if is_left {
                    // Nothing depends on it.
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }
}

/// Whether all values are this genre: that of ID3v1, beside another tag, has a capital of its own.
fn says(values: &[String], genre: &str) -> bool {
    let is_alike = |value: &String| value.to_lowercase() == genre.to_lowercase();
    values.iter().any(|value| value == genre) && values.iter().all(is_alike)
}

/// What is in a file, wherever it was read to before.
fn payload(file: &File) -> Result<Payload, String> {
    guarded(|| {
        payload::read(|| {
            let mut file = file.try_clone()?;
            file.rewind()?;
            Ok(file)
        })
    })
}

/// Runs what reads or writes a container: one that breaks a reader must not end the program.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("its form breaks the program that reads tags".to_owned()))
}

fn is_unchanged(path: &Path, found: &Metadata) -> bool {
    let of = |found: &Metadata| (found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec());
    fs::metadata(path).is_ok_and(|now| of(&now) == of(found))
}

/// Copies extended attributes, with them access control lists. Those of the system itself are kept where that is allowed.
fn keep_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let names = match xattr::list(from) {
        Ok(names) => names,
        // The file system has none.
        Err(_) => return Ok(()),
    };
    for name in names {
        let is_ours =
            name.as_encoded_bytes().starts_with(b"user.") || name.as_encoded_bytes().starts_with(b"system.posix_acl");
        let copied =
            xattr::get(from, &name).and_then(|value| value.map_or(Ok(()), |value| xattr::set(to, &name, &value)));
        if is_ours {
            copied?;
        }
    }
    Ok(())
}
