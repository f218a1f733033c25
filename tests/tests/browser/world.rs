//! What the tests share: small artifacts, tracks, a server of both models, and a browser driver.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tempfile::TempDir;
use tests::{Response, Server, multipart, request, small};

use crate::driver::Driver;

/// Dropped in this order: the server before the folder that it serves from.
pub struct World {
    pub driver: Arc<Driver>,
    /// `serve all`.
    pub server: Server,
    /// Of both models.
    pub artifacts: PathBuf,
    folder: TempDir,
}

static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());

/// The world of the tests that run now: made by the first, and gone with the last.
pub fn world() -> Arc<World> {
    // A test that failed to make it leaves nothing half made.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let world = Arc::new(World::make());
        *shared = Arc::downgrade(&world);
        world
    })
}

impl World {
    fn make() -> Self {
        let driver = Arc::new(Driver::start());
        let folder = tempfile::tempdir().expect("a folder");
        let artifacts = small::shared().join("artifacts");
        let server = Server::start("all", &artifacts);
        Self { driver, server, artifacts, folder }
    }

    /// A track of 30 s of that genre.
    pub fn track(&self, genre: &str) -> PathBuf {
        small::track(&small::shared(), genre)
    }

    /// A file of that name and content, in a folder of its own.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let folder = tempfile::tempdir_in(self.folder.path()).expect("a folder").keep();
        let path = folder.join(name);
        fs::write(&path, content).expect("a file");
        path
    }

    /// The server's response for a track.
    pub fn post(&self, route: &str, track: &Path) -> Response {
        let (content_type, form) = multipart("audio_file", "track.wav", &fs::read(track).expect("a track"));
        request(self.server.address, "POST", route, Some(&content_type), &form).expect("a response")
    }
}

/// A WAV file of 16 bits as an AU file, which no browser plays.
pub fn au(wav: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(wav[at..at + 4].try_into().expect("4 bytes"));
    let data = wav.windows(4).position(|window| window == b"data").expect("a chunk of samples") + 8;
    let channels = u32::from(u16::from_le_bytes([wav[22], wav[23]]));
    let head = [24, (wav.len() - data) as u32, 3, word(24), channels];
    let samples = wav[data..].chunks_exact(2).flat_map(|sample| [sample[1], sample[0]]);
    b".snd".iter().copied().chain(head.iter().flat_map(|word| word.to_be_bytes())).chain(samples).collect()
}
