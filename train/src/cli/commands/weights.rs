//! `train weights fetch`: public weights of VGG19, over the network.

use anyhow::{Result, bail};
use serde_json::json;

use super::print_json;
use crate::{
    cli::args::FetchArgs,
    console::{output, progress::Stage},
    training::weights::{self, Fetch},
};

/// Fetches the file and says what was kept.
///
/// # Errors
/// When no address is given, or the file cannot be fetched.
pub fn fetch(args: &FetchArgs) -> Result<()> {
    let Some(url) = &args.url else {
        bail!(
            "no address is given; name that of a VGG19 of torchvision or timm, as safetensors or .pth, with --url or in \
             TONEARM_WEIGHTS_URL"
        );
    };
    if let Some(parent) = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    let stage = Stage::new("fetching weights");
    let request = Fetch { sha256: args.sha256.clone(), whole: args.whole, ..Fetch::new(url.clone(), args.out.clone()) };
    let fetched = weights::fetch(&request, &|done, total| stage.at(done as usize, total as usize))?;
    drop(stage);
    if args.json {
        return print_json(&json!({
            "path": fetched.path,
            "sha256": fetched.sha256,
            "source_sha256": fetched.source_sha256,
            "bytes_downloaded": fetched.bytes_downloaded,
            "bytes_kept": fetched.bytes_kept,
        }));
    }
    output::line(format!(
        "weights   {}\nSHA-256   {}\n{:.1} MB fetched, {:.1} MB kept\ntrain it  cargo run --release -p train -- vgg19 --weights {}",
        fetched.path.display(),
        fetched.sha256,
        fetched.bytes_downloaded as f64 / 1e6,
        fetched.bytes_kept as f64 / 1e6,
        fetched.path.display(),
    ))
}
