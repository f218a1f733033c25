use proptest::prelude::*;

use super::*;
use crate::simd::{Level, with_level};

fn spec(n_fft: usize, hop_length: usize, center: bool) -> StftSpec {
    StftSpec { n_fft, hop_length, window: Window::Hann, center }
}

fn plan(n_fft: usize, hop_length: usize, center: bool) -> Stft {
    Stft::new(&spec(n_fft, hop_length, center)).expect("a valid specification")
}

/// A chirp with a click in it.
fn signal(len: usize) -> Vec<f32> {
    let mut x: Vec<f32> = (0..len).map(|i| libm::sin(1e-5 * (i * i) as f64) as f32 * 0.5).collect();
    if let Some(middle) = x.get_mut(len / 2) {
        *middle += 0.4;
    }
    x
}

#[test]
fn counts_frames_as_librosa() {
    let (centred, plain) = (plan(2048, 512, true), plan(2048, 512, false));
    for (len, with, without) in [(0, 0, 0), (1, 1, 0), (511, 1, 0), (512, 2, 0), (2048, 5, 1), (2560, 6, 2)] {
        assert_eq!((centred.n_frames(len), plain.n_frames(len)), (with, without), "{len} samples");
    }
}

#[test]
fn refuses_what_has_no_frame() {
    assert!(matches!(plan(64, 16, true).power(&[]), Err(Error::Empty)));
    assert!(matches!(plan(64, 16, false).power(&[0.5; 63]), Err(Error::Shape { .. })));
    assert_eq!(plan(64, 16, false).power(&[0.5; 64]).map(|p| p.dim()).ok(), Some((33, 1)));
    assert_eq!(plan(64, 16, true).power(&[0.5]).map(|p| p.dim()).ok(), Some((33, 1)));
    for bad in [spec(0, 1, true), spec(15, 1, true), spec(17, 1, true), spec(65536, 1, true), spec(64, 0, true)] {
        assert!(Stft::new(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_frame_is_the_same_wherever_it_lies() {
    // Frame t of a whole signal, and the only frame of a signal that has just its samples.
    let stft = plan(128, 48, false);
    let x = signal(48 * 40 + 128);
    let whole = stft.power(&x).expect("long enough");
    for t in 0..whole.ncols() {
        let alone = stft.power(&x[48 * t..48 * t + 128]).expect("one frame");
        assert_eq!(alone.column(0), whole.column(t), "frame {t}");
    }
}

#[test]
fn power_magnitude_and_complex_agree() {
    let stft = plan(90, 20, true);
    let x = signal(777);
    let (power, magnitude) = (stft.power(&x).expect("signal"), stft.magnitude(&x).expect("signal"));
    let from_parts = stft.complex(&x).expect("signal").magnitude();
    for ((p, m), c) in power.iter().zip(&magnitude).zip(&from_parts) {
        assert!((p.sqrt() - m).abs() <= 1e-6 * m.max(1e-6));
        assert!((c - m).abs() <= 1e-6 * m.max(1e-6));
    }
}

#[test]
fn has_the_same_bits_at_every_level() {
    let stft = plan(256, 64, true);
    let x = signal(64 * 37 + 5);
    let run = |level| {
        with_level(level, || {
            let parts = stft.complex(&x).expect("signal");
            let back = stft.istft(&parts, x.len()).expect("its own spectrogram");
            (stft.power(&x).expect("signal"), stft.magnitude(&x).expect("signal"), parts, back)
        })
    };
    let levels = Level::available();
    let want = run(levels[0]);
    for &level in &levels[1..] {
        assert!(run(level) == want, "{} differs from scalar", level.name());
    }
}

#[test]
fn the_inverse_refuses_another_size() {
    let parts = plan(64, 16, true).complex(&signal(100)).expect("signal");
    assert!(matches!(plan(128, 16, true).istft(&parts, 100), Err(Error::Shape { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_inverse_undoes_it(
        half in 8_usize..80, divisor in 2_usize..8, x in prop::collection::vec(-1.0_f32..1.0, 1..2000),
    ) {
        let n_fft = 2 * half;
        let stft = plan(n_fft, (n_fft / divisor).max(1), true);
        let parts = stft.complex(&x).expect("signal");
        let back = stft.istft(&parts, x.len()).expect("its own spectrogram");
        prop_assert_eq!(back.len(), x.len());
        // The last samples may lie beyond the last frame's centre, where the window's sum is small.
        let safe = (parts.re.ncols() - 1) * stft.hop_length();
        for (i, (a, b)) in back.iter().zip(&x).enumerate().take(safe.max(1)) {
            prop_assert!((a - b).abs() < 1e-5, "sample {} of {}: {} for {}", i, x.len(), a, b);
        }
    }

    #[test]
    fn never_fails_on_any_length(len in 1_usize..3000, hop in 1_usize..512) {
        let stft = plan(64, hop, true);
        let power = stft.power(&signal(len)).expect("signal");
        prop_assert_eq!(power.dim(), (33, stft.n_frames(len)));
        prop_assert!(power.iter().all(|p| p.is_finite()));
    }
}
