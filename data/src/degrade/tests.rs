//! Against ffmpeg and scipy (`experiments/parity/degradations_golden.py`), and what must hold of any clip.

use std::f64::consts::PI;

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use serde_json::Value;

use super::*;

const RATE: u32 = 22_050;

/// The clip of the script.
fn clip() -> Clip {
    let mut state = 1_u32;
    let sample = |index: i64| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let saw = |step: i64| index * step % 65_536 - 32_768;
        let noise = i64::from(state >> 16) - 32_768;
        (saw(1_308).div_euclid(4) + saw(733).div_euclid(8) + noise.div_euclid(8)) as f32 / 32_768.0
    };
    Clip::new((0..i64::from(RATE)).map(sample).collect(), RATE).expect("samples")
}

fn sine(hz: f64, seconds: f64) -> Clip {
    let n = (seconds * f64::from(RATE)) as usize;
    let sample = |i: usize| (0.5 * libm::sin(2.0 * PI * hz / f64::from(RATE) * i as f64)) as f32;
    Clip::new((0..n).map(sample).collect(), RATE).expect("samples")
}

fn degraded(degradation: &Degradation, clip: &Clip) -> Clip {
    degradation.apply(clip, &mut Rng::new(7)).expect("it applies")
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/golden/degradations.json")).expect("JSON")
}

fn room() -> Degradation {
    let taps = [(40.0, 0.35), (61.0, 0.25), (87.0, 0.2)].map(|(ms, gain)| Echo { ms, gain }).to_vec();
    Degradation::Echoes { input: 0.8, output: 0.7, taps }
}

#[test]
fn files_of_16_bits_are_those_of_ffmpeg() {
    let golden = golden();
    for (name, degradation) in [
        ("gain", Degradation::Gain { db: -20.0 }),
        ("clipping", Degradation::Clipping { db: 12.0 }),
        ("bass", Degradation::Bass { db: 6.0, hz: bass_hz() }),
        ("treble", Degradation::Treble { db: -9.0, hz: treble_hz() }),
        ("echoes", room()),
    ] {
        let ours = degraded(&degradation, &clip());
        let theirs = &golden["ffmpeg"][name];
        assert_eq!(Some(ours.samples().len() as u64), theirs["length"].as_u64(), "{name}");
        let ours: Vec<i16> = i16_samples(&ours).collect();
        for (index, sample) in theirs["samples"].as_array().expect("samples").iter().enumerate() {
            // ffmpeg computes gains in 32 bits, and cuts the fraction of a sample of its shelves and echoes off.
            let (ours, theirs) = (i64::from(ours[41 * index]), sample.as_i64().expect("a sample"));
            assert!((ours - theirs).abs() <= 1, "{name}, sample {}: {ours}, not {theirs}", 41 * index);
        }
    }
}

#[test]
fn filters_are_those_of_scipy() {
    for (name, degradation) in
        [("low-pass", Degradation::LowPass { hz: 2_500.0 }), ("high-pass", Degradation::HighPass { hz: 300.0 })]
    {
        let ours = degraded(&degradation, &clip());
        for (index, theirs) in golden()["scipy"][name].as_array().expect("samples").iter().enumerate() {
            let difference = f64::from(ours.samples()[41 * index]) - theirs.as_f64().expect("a sample");
            assert!(difference.abs() < 2e-6, "{name}, sample {}: {difference}", 41 * index);
        }
    }
}

#[test]
fn noise_has_the_spectrum_that_ffmpeg_gives_it() {
    for (name, colour) in [("white", NoiseColour::White), ("pink", NoiseColour::Pink), ("brown", NoiseColour::Brown)] {
        let noise = colour.noise(60 * RATE as usize, &mut Rng::new(3));
        let power = rms(&noise) * rms(&noise);
        let theirs = golden()["noise"][name]["correlation"].as_object().expect("lags").clone();
        for (lag, theirs) in theirs {
            let lag: usize = lag.parse().expect("a number");
            let products = noise.iter().zip(&noise[lag..]).map(|(a, b)| f64::from(*a) * f64::from(*b));
            let ours = products.sum::<f64>() / (noise.len() - lag) as f64 / power;
            let difference = ours - theirs.as_f64().expect("a number");
            assert!(difference.abs() < 0.01, "{name}, {lag} samples apart: {ours}, not {theirs}");
        }
    }
}

#[test]
fn noise_has_the_level_that_was_asked_for() {
    let clip = clip();
    for colour in [NoiseColour::White, NoiseColour::Pink, NoiseColour::Brown] {
        for (relative_to, reference) in [(NoiseReference::FullScale, 1.0), (NoiseReference::Clip, rms(clip.samples()))]
        {
            let noisy = degraded(&Degradation::Noise { colour, db: -30.0, relative_to }, &clip);
            let noise: Vec<f32> = noisy.samples().iter().zip(clip.samples()).map(|(a, b)| a - b).collect();
            let db = 20.0 * libm::log10(rms(&noise) / reference);
            assert!((db + 30.0).abs() < 0.01, "{colour:?} {relative_to:?}: {db}");
        }
    }
    // That of the pink noise of `robustness.toml`, which is to be ffmpeg's of an amplitude of 0.02.
    let db = golden()["noise"]["pink"]["db"].as_f64().expect("a level");
    assert!((db + 48.23).abs() < 0.05, "{db}");
}

#[test]
fn a_low_pass_takes_what_is_above() {
    let filter = Degradation::LowPass { hz: 2_000.0 };
    // Butterworth, by the bilinear transform: |H|² = 1 / (1 + (tan(π f / r) / tan(π c / r))^16).
    let warped = |hz: f64| libm::tan(PI * hz / f64::from(RATE));
    for hz in [200.0, 1_000.0, 1_800.0, 2_000.0, 2_300.0, 3_000.0, 4_000.0] {
        let clip = sine(hz, 1.0);
        let out = degraded(&filter, &clip);
        let middle = 5_000..17_000;
        let gain = rms(&out.samples()[middle.clone()]) / rms(&clip.samples()[middle]);
        let expected = 1.0 / (1.0 + libm::pow(warped(hz) / warped(2_000.0), 16.0)).sqrt();
        assert!((20.0 * libm::log10(gain / expected)).abs() < 0.05, "{hz} Hz: {gain}, not {expected}");
    }
    // There is nothing above half of the rate.
    let clip = clip();
    assert_eq!(degraded(&Degradation::LowPass { hz: 11_025.0 }, &clip), clip);
}

#[test]
fn speed_raises_the_pitch_and_shortens() {
    let out = degraded(&Degradation::Speed { factor: 1.5 }, &sine(400.0, 3.0));
    assert!((out.seconds() - 2.0).abs() < 1e-3 && out.sample_rate() == RATE, "{}", out.seconds());
    let crossings = out.samples().windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
    assert!((crossings as f64 / 2.0 - 600.0).abs() < 2.0, "{crossings}");
}

#[test]
fn a_lower_rate_has_nothing_above_its_half() {
    let narrow = Degradation::SampleRate { hz: 8_000 };
    let low = degraded(&narrow, &sine(1_000.0, 1.0));
    assert_eq!((low.sample_rate(), low.samples().len()), (8_000, 8_000));
    assert!((rms(low.samples()) - 0.5 / 2f64.sqrt()).abs() < 2e-3);
    assert!(rms(&degraded(&narrow, &sine(5_000.0, 1.0)).samples()[500..7_500]) < 1e-5);
}

#[test]
fn gaps_are_as_many_and_as_long_as_was_said() {
    let clip = Clip::new(vec![0.5; 10 * RATE as usize], RATE).expect("samples");
    let gaps = Degradation::Gaps { seconds: 0.1, every: 2.0 };
    let out = degraded(&gaps, &clip);
    for stretch in out.samples().chunks(2 * RATE as usize) {
        let silent: Vec<usize> = (0..stretch.len()).filter(|&at| stretch[at] == 0.0).collect();
        assert_eq!(silent.len(), RATE as usize / 10);
        assert_eq!(silent[silent.len() - 1] - silent[0] + 1, silent.len(), "one gap");
    }
    assert_eq!(out, degraded(&gaps, &clip), "the same seed");
    assert_ne!(out, gaps.apply(&clip, &mut Rng::new(8)).expect("it applies"), "another seed");
}

#[test]
fn what_is_out_of_range_is_refused_with_its_field() {
    let clip = clip();
    let echoes = |taps| Degradation::Echoes { input: 1.0, output: 1.0, taps };
    for (degradation, words) in [
        (Degradation::Gain { db: f64::NAN }, "`db` is NaN"),
        (Degradation::Clipping { db: 121.0 }, "`db` is 121"),
        (Degradation::LowPass { hz: 0.0 }, "`hz` is 0"),
        (Degradation::HighPass { hz: 20_000.0 }, "22050 samples a second"),
        (Degradation::Treble { db: 3.0, hz: 11_000.0 }, "22050 samples a second"),
        (Degradation::SampleRate { hz: 10 }, "`hz` is 10"),
        (echoes(Vec::new()), "`taps` is 0"),
        (echoes(vec![Echo { ms: -1.0, gain: 1.0 }]), "`ms` is -1"),
        (echoes(vec![Echo { ms: 1.0, gain: f64::INFINITY }]), "`gain` is inf"),
        (Degradation::Speed { factor: 0.0 }, "`factor` is 0"),
        (Degradation::Gaps { seconds: 1.0, every: 0.5 }, "`every` is 0.5; expected 1 to"),
    ] {
        let error = degradation.apply(&clip, &mut Rng::new(0)).expect_err("refused").to_string();
        assert!(error.contains(words), "{degradation:?}: {error}");
    }
}

#[test]
fn a_declaration_is_read_and_what_is_no_field_is_refused() {
    let read = |text: &str| serde_json::from_str::<Degradation>(text).map_err(|error| error.to_string());
    assert_eq!(read(r#"{ "kind": "bass", "db": 6 }"#), Ok(Degradation::Bass { db: 6.0, hz: 100.0 }));
    let noise = r#"{ "kind": "noise", "colour": "pink", "db": -20, "relative_to": "full-scale" }"#;
    let relative_to = NoiseReference::FullScale;
    assert_eq!(read(noise), Ok(Degradation::Noise { colour: NoiseColour::Pink, db: -20.0, relative_to }));
    for (text, words) in [
        (r#"{ "kind": "hiss", "db": 6 }"#, "unknown variant `hiss`, expected one of `gain`"),
        (r#"{ "kind": "gain", "decibel": 6 }"#, "unknown field `decibel`"),
        (r#"{ "kind": "gain" }"#, "missing field `db`"),
    ] {
        let error = read(text).expect_err("refused");
        assert!(error.contains(words), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn gain_and_its_inverse_give_the_clip(db in -60.0..60.0f64) {
        let clip = clip();
        let back = degraded(&Degradation::Gain { db: -db }, &degraded(&Degradation::Gain { db }, &clip));
        for (a, b) in back.samples().iter().zip(clip.samples()) {
            prop_assert!((a - b).abs() <= 2e-7 * b.abs());
        }
    }

    #[test]
    fn shelves_and_their_inverse_give_the_clip(db in -24.0..24.0f64, hz in 50.0..5_000.0f64) {
        let clip = clip();
        for shelf in [|db, hz| Degradation::Bass { db, hz }, |db, hz| Degradation::Treble { db, hz }] {
            let back = degraded(&shelf(-db, hz), &degraded(&shelf(db, hz), &clip));
            for (a, b) in back.samples().iter().zip(clip.samples()) {
                prop_assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }

    #[test]
    fn what_is_clipped_stays_in_full_scale_and_the_rest_is_gain(db in -20.0..40.0f64) {
        let clip = clip();
        let (louder, clipped) = (degraded(&Degradation::Gain { db }, &clip), degraded(&Degradation::Clipping { db }, &clip));
        for (louder, clipped) in louder.samples().iter().zip(clipped.samples()) {
            prop_assert_eq!(louder.clamp(-1.0, 1.0), *clipped);
        }
    }

    #[test]
    fn sixteen_bits_twice_are_those_of_once(scale in 0.0..3.0f32) {
        let clip = Clip::new(clip().samples().iter().map(|sample| sample * scale).collect(), RATE).expect("samples");
        let once = to_16_bits(&clip).expect("samples");
        prop_assert_eq!(&to_16_bits(&once).expect("samples"), &once);
        for (exact, rounded) in clip.samples().iter().zip(once.samples()) {
            prop_assert!((exact.clamp(-1.0, 32_767.0 / 32_768.0) - rounded).abs() <= 0.5 / 32_768.0);
        }
    }
}
