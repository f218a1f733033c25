//! What the tests ask, and with which tracks.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use serde_json::Value;
use tests::{Service, Stack, small};

/// The services, and the tracks that are sent to them. Dropped in this order: the servers before the folder that they
/// serve from.
pub struct World {
    svm: Option<Service>,
    vgg: Option<Service>,
    web: Option<Service>,
    _own: Option<Stack>,
    folder: PathBuf,
    /// The ten genres, as the original has them.
    pub genres: [&'static str; 10],
}

/// One of the services.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    Svm,
    Vgg,
    Web,
}

static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());

/// What the original's `setUp` makes. Made by the first of the tests that run, and gone with the last.
///
/// # Panics
/// When a service that a variable names is not reachable.
pub fn set_up() -> Arc<World> {
    // A test that failed to make it leaves nothing half made.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let world = Arc::new(World::make());
        *shared = Arc::downgrade(&world);
        world
    })
}

impl Role {
    /// The variable with the URL of a service that runs already.
    fn variable(self) -> &'static str {
        match self {
            Self::Svm => "TONEARM_SVM_URL",
            Self::Vgg => "TONEARM_VGG_URL",
            Self::Web => "TONEARM_WEB_URL",
        }
    }
}

impl World {
    fn make() -> Self {
        let named = [Role::Svm, Role::Vgg, Role::Web].map(|role| Service::named_by(role.variable()));
        let folder = small::shared();
        let genres = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"];
        if named.iter().any(Option::is_some) {
            let [svm, vgg, web] = named;
            return Self { svm, vgg, web, _own: None, folder, genres };
        }
        // Nothing runs: the three are started here, as the containers start them.
        let own = Stack::start(&folder.join("artifacts"));
        let [svm, vgg, web] = [&own.svm, &own.vgg, &own.web].map(|server| Some(Service::from(server)));
        Self { svm, vgg, web, _own: Some(own), folder, genres }
    }

    /// A service, or `None`, said on stderr, where only others were named.
    pub fn service(&self, role: Role) -> Option<&Service> {
        let service = match role {
            Role::Svm => &self.svm,
            Role::Vgg => &self.vgg,
            Role::Web => &self.web,
        };
        if service.is_none() {
            eprintln!("skipped: {} is not set, and another is", role.variable());
        }
        service.as_ref()
    }

    /// A track of 30 s of that genre, as WAV.
    pub fn track(&self, genre: &str) -> Vec<u8> {
        fs::read(self.path(genre)).expect("a track")
    }

    fn path(&self, genre: &str) -> impl AsRef<Path> {
        small::track(&self.folder, genre)
    }

    /// What `service` answers to a track in the field `audio_file`: with 200, and a genre among the ten.
    ///
    /// # Panics
    /// When it answers anything else; says what.
    pub fn predict(&self, service: &Service, route: &str, track: &[u8]) -> Value {
        let asked = format!("POST {}{route}", service.url());
        let response = service.post(route, "track.wav", track);
        let said = String::from_utf8_lossy(&response.body);
        assert_eq!(response.status, 200, "{asked}: {said}");
        let answer = response.json();
        let genre = answer.get("predicted_genre").unwrap_or_else(|| panic!("{asked}: no `predicted_genre` in {said}"));
        let is_known = genre.as_str().is_some_and(|genre| self.genres.contains(&genre));
        assert!(is_known, "{asked}: {genre} is none of the ten genres");
        answer
    }
}
