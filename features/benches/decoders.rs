//! Decoding whole files from memory, one thread: `cargo bench -p features --bench decoders -- ROUNDS FILE...`.
//!
//! Prints one JSON object with the fastest and the median of `ROUNDS` runs of each file in milliseconds, and the most memory of the process
//! meanwhile; `experiments/bench/decoders.py` makes the files and puts the times beside those of FFmpeg's libraries and libsndfile,
//! `experiments/bench/worst_input.py` makes files that are as slow as can be.

use std::{collections::BTreeMap, error::Error, hint::black_box, time::Instant};

use features::decode::{Limits, decode};

/// The most memory that this process had since that was forgotten, in MiB; 0 where the system does not say.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_ascii_whitespace().next()?.parse().ok());
    peak.unwrap_or(0.0) / 1024.0
}

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench` to the arguments.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let rounds: usize = arguments.next().ok_or("usage: decoders ROUNDS FILE...")?.parse()?;
    let mut results = BTreeMap::new();
    for path in arguments {
        let bytes = std::fs::read(&path)?;
        let mut times = Vec::new();
        let mut outcome = String::new();
        // The most memory so far is forgotten (proc(5)).
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        for _ in 0..rounds.max(1) {
            let start = Instant::now();
            let decoded = black_box(decode(&bytes, &Limits::default()));
            times.push(start.elapsed().as_secs_f64() * 1e3);
            outcome = match decoded {
                Ok(decoded) => format!("{:.1} s", decoded.info.seconds),
                Err(error) => error.to_string(),
            };
        }
        times.sort_by(f64::total_cmp);
        let result = serde_json::json!({
            "fastest_ms": times[0],
            "median_ms": times[times.len() / 2],
            "peak_mib": peak_mib(),
            "outcome": outcome,
        });
        results.insert(path, result);
    }
    println!("{}", serde_json::to_string(&results)?);
    Ok(())
}
