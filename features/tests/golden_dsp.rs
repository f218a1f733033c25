//! The front end against librosa 0.11 on short synthetic signals; `experiments/parity/golden_dsp.py` wrote the values.

use std::collections::BTreeMap;

use features::{
    descriptors::{
        delta::{Order, delta},
        mfcc::Mfcc,
    },
    dsp::{db::power_to_db, hpss::Hpss, mel::MelFilterbank, stft::Stft},
    spec::{DbSpec, MelNorm, MelScale, MelSpec, StftSpec, Window},
};
use ndarray::Array2;
use serde::Deserialize;

const SAMPLE_RATE: u32 = 22050;
const LENGTH: usize = 13_000;

#[derive(Deserialize)]
struct Golden {
    mel: BTreeMap<String, Vec<f64>>,
    mel_centers: Vec<f64>,
    signals: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/dsp.json")).expect("the golden file is JSON")
}

fn saw(step: usize) -> Vec<f64> {
    (0..LENGTH).map(|i| ((i * step % 65536) as f64 - 32768.0) / 32768.0).collect()
}

fn noise() -> Vec<f64> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(state >> 8) - 8_388_608.0) / 8_388_608.0
    };
    (0..LENGTH).map(|_| next()).collect()
}

/// The signals of `golden_dsp.py`, bit for bit.
fn signal(name: &str) -> Vec<f32> {
    let value: Box<dyn Fn(usize) -> f64> = match name {
        "chord" => {
            let (a, b, c) = (saw(1308), saw(1648), saw(1960));
            Box::new(move |i| (a[i] + b[i] + c[i]) * 0.125 * if i / 2205 % 2 == 0 { 1.0 } else { 0.0625 })
        }
        "noise" => {
            let noise = noise();
            Box::new(move |i| noise[i] * 0.5)
        }
        "mixture" => {
            let (saw, noise) = (saw(733), noise());
            let click = |i| if i % 2756 == 1000 { 0.75 } else { 0.0 };
            Box::new(move |i| if i < 10_000 { saw[i] * 0.25 + click(i) + noise[i] / 64.0 } else { 0.0 })
        }
        other => unreachable!("the golden file has an unknown signal {other}"),
    };
    (0..LENGTH).map(|i| value(i) as f32).collect()
}

/// Every `rows`th row and `columns`th column.
fn thinned(matrix: &Array2<f32>, rows: usize, columns: usize) -> Vec<f32> {
    matrix.outer_iter().step_by(rows).flat_map(|row| row.iter().copied().step_by(columns).collect::<Vec<_>>()).collect()
}

/// Checks that no value is further away than `tolerance`.
fn assert_near(what: &str, got: impl IntoIterator<Item = f32>, want: &[f64], tolerance: impl Fn(f64) -> f64) {
    let got: Vec<_> = got.into_iter().collect();
    assert_eq!(got.len(), want.len(), "{what}: number of values");
    let excess = |(_, got, want): &(usize, f64, f64)| (got - want).abs() / tolerance(*want);
    let pairs = got.iter().zip(want).enumerate().map(|(i, (&got, &want))| (i, f64::from(got), want));
    let worst = pairs.max_by(|a, b| excess(a).total_cmp(&excess(b))).expect("at least one value");
    println!("{what}: worst at {}: {} for {} ({:.2e} of the tolerance)", worst.0, worst.1, worst.2, excess(&worst));
    assert!(excess(&worst) <= 1.0, "{what}: value {} is {}, librosa has {}", worst.0, worst.1, worst.2);
}

/// A relative tolerance with an absolute one for values near 0.
fn relative(tolerance: f64, near_zero: f64) -> impl Fn(f64) -> f64 {
    move |want| tolerance * want.abs() + near_zero
}

fn stft(n_fft: usize, hop_length: usize, center: bool) -> Stft {
    Stft::new(&StftSpec { n_fft, hop_length, window: Window::Hann, center }).expect("a valid specification")
}

#[test]
fn mel_filters() {
    let golden = golden();
    for (name, scale, norm) in [("slaney", MelScale::Slaney, MelNorm::Slaney), ("htk", MelScale::Htk, MelNorm::None)] {
        let spec = MelSpec { n_mels: 16, f_min: 50.0, f_max: 8000.0, scale, norm };
        let bank = MelFilterbank::new(SAMPLE_RATE, 512, &spec).expect("a valid specification");
        assert_near(name, bank.to_dense(), &golden.mel[name], relative(1e-6, 1e-9));
        if scale == MelScale::Slaney {
            let centers = bank.center_frequencies().iter().map(|&hz| hz as f32);
            assert_near("centres", centers, &golden.mel_centers, relative(1e-6, 0.0));
        }
    }
}

#[test]
fn log_mel_mfcc_and_deltas() {
    let stft = stft(2048, 512, true);
    let spec = MelSpec { n_mels: 128, f_min: 0.0, f_max: 11025.0, scale: MelScale::Slaney, norm: MelNorm::Slaney };
    let bank = MelFilterbank::new(SAMPLE_RATE, 2048, &spec).expect("a valid specification");
    for (name, golden) in golden().signals {
        let mut log_mel = bank.spectrogram(&stft, &signal(&name)).expect("a signal");
        power_to_db(&mut log_mel, &DbSpec { amin: 1e-10, top_db: Some(80.0) });
        let mfcc = Mfcc::new(128, 20).and_then(|mfcc| mfcc.apply(log_mel.view())).expect("128 bands");
        let (delta, delta2) = (delta(mfcc.view(), Order::First), delta(mfcc.view(), Order::Second));
        assert_near(&format!("{name} log-mel"), log_mel, &golden["log_mel"], |_| 1e-4);
        assert_near(&format!("{name} MFCC"), mfcc, &golden["mfcc"], relative(1e-5, 1e-4));
        assert_near(&format!("{name} delta"), delta, &golden["delta"], relative(1e-4, 1e-5));
        assert_near(&format!("{name} delta²"), delta2, &golden["delta2"], relative(1e-4, 1e-5));
    }
}

#[test]
fn stft_centred_and_not() {
    for (name, golden) in golden().signals {
        let y = signal(&name);
        let parts = stft(512, 200, true).complex(&y).expect("a signal");
        assert_near(&format!("{name} re"), thinned(&parts.re, 16, 5), &golden["stft_re"], relative(1e-6, 1e-6));
        assert_near(&format!("{name} im"), thinned(&parts.im, 16, 5), &golden["stft_im"], relative(1e-6, 1e-6));
        let power = stft(1102, 551, false).power(&y).expect("a signal");
        let want = &golden["plain_power"];
        assert_near(&format!("{name} power"), thinned(&power, 16, 5), want, relative(2e-6, 1e-10));
    }
}

#[test]
fn harmonic_and_percussive() {
    let hpss = Hpss::default();
    for (name, golden) in golden().signals {
        let y = signal(&name);
        let magnitude = stft(512, 200, true).magnitude(&y).expect("a signal");
        let parts = hpss.magnitudes(magnitude.view()).expect("valid settings");
        let near = || relative(1e-5, 1e-7);
        assert_near(&format!("{name} harmonic"), thinned(&parts.harmonic, 16, 5), &golden["harmonic"], near());
        assert_near(&format!("{name} percussive"), thinned(&parts.percussive, 16, 5), &golden["percussive"], near());
        let waves = hpss.waveforms(&stft(2048, 512, true), &y).expect("a signal");
        let every_37th = |wave: Vec<f32>| wave.into_iter().step_by(37).collect::<Vec<_>>();
        let near = || relative(1e-5, 1e-6);
        assert_near(&format!("{name} harmonic wave"), every_37th(waves.harmonic), &golden["harmonic_wave"], near());
        assert_near(
            &format!("{name} percussive wave"),
            every_37th(waves.percussive),
            &golden["percussive_wave"],
            near(),
        );
    }
}
