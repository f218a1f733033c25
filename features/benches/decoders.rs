//! Decoding whole files from memory, one thread: `cargo bench -p features --bench decoders -- ROUNDS FILE...`.
//!
//! Prints one JSON object with the fastest and the median of `ROUNDS` runs of each file in milliseconds; `experiments/bench/decoders.py`
//! makes the files and puts the times beside those of FFmpeg's libraries and libsndfile.

use std::{collections::BTreeMap, error::Error, hint::black_box, time::Instant};

use features::decode::{Limits, decode};

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench` to the arguments.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let rounds: usize = arguments.next().ok_or("usage: decoders ROUNDS FILE...")?.parse()?;
    let mut results = BTreeMap::new();
    for path in arguments {
        let bytes = std::fs::read(&path)?;
        let mut times = Vec::new();
        let mut seconds = 0.0;
        for _ in 0..rounds.max(1) {
            let start = Instant::now();
            seconds = black_box(decode(&bytes, &Limits::default())?).info.seconds;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        results.insert(
            path,
            serde_json::json!({ "fastest_ms": times[0], "median_ms": times[times.len() / 2], "seconds": seconds }),
        );
    }
    println!("{}", serde_json::to_string(&results)?);
    Ok(())
}
