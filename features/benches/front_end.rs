//! The front end on one WAV file, one thread: `cargo bench -p features --bench front_end -- FILE.wav [ROUNDS]`.
//!
//! Prints one JSON object with the median, and the fastest, of `ROUNDS` (21 by default) runs of each step in milliseconds,
//! at the preset `librosa`, and the vector of the clip; `experiments/bench/features.sh` puts them beside librosa's own.

use std::{collections::BTreeMap, error::Error, hint::black_box, time::Instant};

use features::{
    Extractor, FeatureSpec,
    decode::{Limits, decode},
    descriptors::{
        delta::{Order, delta},
        mfcc::Mfcc,
    },
    dsp::{
        db::power_to_db,
        hpss::{Hpss, separate},
        mel::MelFilterbank,
        stft::Stft,
    },
};
use simd::Level;

/// Milliseconds of the median and of the fastest of `rounds` runs.
fn time<T>(rounds: usize, mut f: impl FnMut() -> T) -> (f64, f64) {
    let mut times: Vec<_> = (0..rounds.max(1))
        .map(|_| {
            let start = Instant::now();
            black_box(f());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench` to the arguments.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let path = arguments.next().ok_or("usage: front_end FILE.wav [ROUNDS]")?;
    let rounds = arguments.next().map_or(Ok(21), |rounds| rounds.parse())?;
    let bytes = std::fs::read(&path)?;
    let spec = FeatureSpec::librosa();
    let limits = Limits::default();
    let extractor = Extractor::new(spec.clone())?;
    let stft = Stft::new(&spec.stft)?;
    let bank = MelFilterbank::new(spec.sample_rate, spec.stft.n_fft, &spec.mel)?;
    let dct = Mfcc::new(spec.mel.n_mels, spec.n_mfcc)?;

    let clip = decode(&bytes, &limits)?.clip;
    if clip.sample_rate() != spec.sample_rate {
        return Err(format!("{path} is at {} Hz, not at {} Hz", clip.sample_rate(), spec.sample_rate).into());
    }
    let samples = clip.samples();
    let power = stft.power(samples)?;
    let mel = bank.apply(power.view())?;
    let mut log_mel = mel.clone();
    power_to_db(&mut log_mel, &spec.db);
    let mfcc = dct.apply(log_mel.view())?;
    let magnitude = stft.magnitude(samples)?;
    let parts = stft.complex(samples)?;

    let mut times = BTreeMap::new();
    times.insert(
        "wav_to_log_mel_and_mfcc",
        time(rounds, || -> features::Result<_> {
            let clip = decode(&bytes, &limits)?.clip;
            let mut log_mel = bank.spectrogram(&stft, clip.samples())?;
            power_to_db(&mut log_mel, &spec.db);
            let mfcc = dct.apply(log_mel.view())?;
            Ok((log_mel, mfcc))
        }),
    );
    let whole_set = || extractor.segments(&extractor.extract(&decode(&bytes, &limits)?.clip)?);
    times.insert("wav_to_whole_set", time(rounds, whole_set));
    times.insert("decode", time(rounds, || decode(&bytes, &limits).map(|d| d.clip)));
    times.insert("stft_power", time(rounds, || stft.power(samples)));
    times.insert("stft_complex", time(rounds, || stft.complex(samples)));
    times.insert("istft", time(rounds, || stft.istft(&parts, samples.len())));
    times.insert("mel_apply", time(rounds, || bank.apply(power.view())));
    times.insert("samples_to_mel", time(rounds, || bank.spectrogram(&stft, samples)));
    times.insert(
        "power_to_db",
        time(rounds, || {
            let mut mel = mel.clone();
            power_to_db(&mut mel, &spec.db);
            mel
        }),
    );
    times.insert("mfcc", time(rounds, || dct.apply(log_mel.view())));
    times.insert("delta", time(rounds, || delta(mfcc.view(), Order::First)));
    times.insert("hpss_decompose", time(rounds, || Hpss::default().magnitudes(magnitude.view())));
    times.insert("hpss_waveforms", time(rounds, || separate(&stft, samples)));
    let (median, fastest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        times.into_iter().map(|(step, (median, fastest))| ((step, median), (step, fastest))).unzip();
    let segments = whole_set()?;
    let vector = segments.first().map(|segment| segment.vector.as_slice()).unwrap_or_default();
    let vector: BTreeMap<_, _> = extractor.names().iter().zip(vector).collect();
    let report = serde_json::json!({
        "level": Level::current().name(), "rounds": rounds, "median_ms": median, "fastest_ms": fastest,
        "vectors": segments.len(), "vector": vector,
    });
    println!("{report}");
    Ok(())
}
