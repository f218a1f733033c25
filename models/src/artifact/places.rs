//! Where models are looked for when no folder is named.

use std::{
    env,
    path::{Path, PathBuf},
};

use etcetera::base_strategy::{BaseStrategy as _, Xdg};

use super::CURRENT;

/// The folder of artifacts in the current folder, which `train` makes where there is none.
pub const HERE: &str = "artifacts";
/// Our folder in one of those of the XDG base directory specification.
const OURS: &str = "tonearm";

/// The folders that may hold models, in the order in which they are looked through:
///
/// 1. `artifacts` beside the program;
/// 2. `share/tonearm/artifacts` beside the folder of the program, where a package has them;
/// 3. `tonearm/artifacts` in the data folder of the user (`XDG_DATA_HOME`, else `~/.local/share`);
/// 4. `artifacts` in the current folder.
///
/// Which of them exist is not looked at.
#[must_use]
pub fn all() -> Vec<PathBuf> {
    in_order(env::current_exe().ok().as_deref(), Xdg::new().ok().map(|xdg| xdg.data_dir()))
}

fn in_order(program: Option<&Path>, data: Option<PathBuf>) -> Vec<PathBuf> {
    let folder = program.and_then(Path::parent);
    let packaged = folder.and_then(Path::parent).map(|prefix| prefix.join("share").join(OURS));
    let of_user = data.map(|data| data.join(OURS));
    let beside = [folder.map(Path::to_owned), packaged, of_user].into_iter().flatten();
    beside.map(|folder| folder.join(HERE)).chain([HERE.into()]).collect()
}

/// The first of `places` in which a version of `model` is in use.
#[must_use]
pub fn holding<'a>(places: impl IntoIterator<Item = &'a PathBuf>, model: &str) -> Option<&'a Path> {
    places.into_iter().map(PathBuf::as_path).find(|place| place.join(model).join(CURRENT).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_order() {
        let paths =
            |program: Option<&str>, data: Option<&str>| in_order(program.map(Path::new), data.map(PathBuf::from));
        let expected =
            ["/usr/bin/artifacts", "/usr/share/tonearm/artifacts", "/home/me/data/tonearm/artifacts", "artifacts"];
        assert_eq!(paths(Some("/usr/bin/serve"), Some("/home/me/data")), expected.map(PathBuf::from));
        assert_eq!(paths(None, None), [PathBuf::from("artifacts")]);
    }

    #[test]
    fn the_first_that_has_a_version_in_use_holds_a_model() {
        let root = tempfile::tempdir().expect("a folder");
        let places = ["none", "unused", "first", "second"].map(|name| root.path().join(name));
        std::fs::create_dir_all(places[1].join("svm/0123456789ab")).expect("a folder");
        assert_eq!(holding(&places, "svm"), None);
        for place in &places[2..] {
            std::fs::create_dir_all(place.join("svm")).expect("a folder");
            std::fs::write(place.join("svm").join(CURRENT), "0123456789ab\n").expect("written");
        }
        assert_eq!(holding(&places, "svm"), Some(places[2].as_path()));
        assert_eq!(holding(&places, "vgg19"), None);
    }
}
