//! Writes the SVM that comes with the repository into the source of `repository::embedded`, as files that are included as they are.

use std::{env, fmt::Write as _, fs, path::Path};

/// The folder of the SVM's versions, from that of this crate.
const SVM: &str = "../artifacts/svm";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(problem) = embed() {
        println!(
            "cargo::error=the SVM that `serve` embeds is missing: {problem}; build in a clone of the repository, with its folder artifacts/svm"
        );
    }
}

fn embed() -> Result<(), String> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(|error| error.to_string())?).join(SVM);
    // The version of the model card, not that of CURRENT: a training in this clone puts another one in use there, which is
    // nothing that a program is to carry.
    let card = root.join("README.md");
    println!("cargo::rerun-if-changed={}", card.display());
    let text = fs::read_to_string(&card).map_err(|error| format!("{}: {error}", card.display()))?;
    let heading = text.lines().find(|line| line.starts_with("# "));
    let version = heading.and_then(|heading| heading.split('`').nth(1));
    let version = version.ok_or_else(|| format!("{}: its heading names no version", card.display()))?;
    let folder = root.join(version);
    println!("cargo::rerun-if-changed={}", folder.display());
    // Every file of the version: one that is left out would be missing when the artifact is checked.
    let listed = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> =
        listed.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let mut source =
        format!("const VERSION: &str = {version:?};\nstatic FILES: [(&str, &[u8]); {}] = [\n", names.len());
    for name in names {
        let path = folder.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        let path = fs::canonicalize(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let path = path.to_str().ok_or_else(|| format!("{}: its path is not Unicode", path.display()))?;
        writeln!(source, "    ({name:?}, include_bytes!({path:?})),").map_err(|error| error.to_string())?;
    }
    source += "];\n";
    let out = Path::new(&env::var("OUT_DIR").map_err(|error| error.to_string())?).join("embedded.rs");
    fs::write(&out, source).map_err(|error| format!("{}: {error}", out.display()))
}
