use std::f64::consts::TAU;

use rustfft::{FftPlannerScalar, num_complex::Complex64};

use super::*;
use crate::simd::{Level, WithSimd, dispatch, with_level};

/// Deterministic noise in ±1.
fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Transforms `x` in every lane and gives the last lane's spectrum; the others hold other signals.
struct Forward<'a>(&'a RealFft, &'a [f64]);
impl WithSimd for Forward<'_> {
    type Output = Vec<[f64; 2]>;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self(fft, x) = self;
        let mut flat = vec![0.0; fft.work_len() * S::F64_LANES];
        for (i, lanes) in flat.chunks_exact_mut(S::F64_LANES).take(fft.len()).enumerate() {
            for (lane, v) in lanes.iter_mut().enumerate() {
                *v = if lane + 1 == S::F64_LANES { x[i] } else { x[i] * lane as f64 + 1.0 };
            }
        }
        let mut out = vec![[f64::NAN; 2]; fft.n_bins()];
        fft.forward(simd, S::as_mut_simd_f64s(&mut flat).0, |k, re, im| {
            let last = |v: S::f64s| bytemuck::cast_slice::<_, f64>(&[v])[S::F64_LANES - 1];
            out[k] = [last(re), last(im)];
        });
        out
    }
}

struct Inverse<'a>(&'a RealFft, &'a [[f64; 2]]);
impl WithSimd for Inverse<'_> {
    type Output = Vec<f64>;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self(fft, spectrum) = self;
        let mut flat = vec![0.0; fft.work_len() * S::F64_LANES];
        let mut out = Vec::new();
        fft.inverse(
            simd,
            S::as_mut_simd_f64s(&mut flat).0,
            |k| spectrum[k].map(|v| simd.splat_f64s(v)),
            |i, v| {
                assert_eq!(i, out.len());
                out.push(bytemuck::cast_slice::<_, f64>(&[v])[S::F64_LANES - 1]);
            },
        );
        out
    }
}

fn plan(n: usize) -> RealFft {
    RealFft::new(n).expect("an even size")
}

fn rms(x: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = x.fold((0, 0.0), |(n, sum), v| (n + 1, sum + v * v));
    (sum / f64::from(n)).sqrt()
}

#[test]
fn equals_the_definition() {
    for n in [2, 4, 6, 8, 10, 16, 22, 30, 32, 64, 90, 128, 256] {
        let x = noise(n, n as u64);
        for (k, [re, im]) in dispatch(Forward(&plan(n), &x)).into_iter().enumerate() {
            let (mut want_re, mut want_im) = (0.0, 0.0);
            for (i, v) in x.iter().enumerate() {
                let angle = TAU * ((i * k) % n) as f64 / n as f64;
                want_re += v * libm::cos(angle);
                want_im -= v * libm::sin(angle);
            }
            assert!((re - want_re).abs() < 1e-13 * n as f64, "n {n} bin {k}: {re} and {want_re}");
            assert!((im - want_im).abs() < 1e-13 * n as f64, "n {n} bin {k}: {im} and {want_im}");
        }
    }
}

#[test]
fn equals_rustfft() {
    for n in [512, 1000, 1024, 1102, 2048, 4096, 4410, 32768] {
        let x = noise(n, 7);
        let mut want: Vec<_> = x.iter().map(|&v| Complex64::new(v, 0.0)).collect();
        FftPlannerScalar::new().plan_fft_forward(n).process(&mut want);
        let got = dispatch(Forward(&plan(n), &x));
        let error = rms(got.iter().zip(&want).flat_map(|(g, w)| [g[0] - w.re, g[1] - w.im]));
        let scale = rms(want.iter().flat_map(|w| [w.re, w.im]));
        assert!(error < 1e-15 * scale, "n {n}: relative error {}", error / scale);
    }
}

#[test]
fn keeps_the_energy() {
    for n in [16, 1002, 2048] {
        let x = noise(n, 3);
        let spectrum = dispatch(Forward(&plan(n), &x));
        let twice: f64 = spectrum.iter().map(|[re, im]| 2.0 * (re * re + im * im)).sum();
        let ends = spectrum[0][0] * spectrum[0][0] + spectrum[n / 2][0] * spectrum[n / 2][0];
        let energy: f64 = x.iter().map(|v| v * v).sum();
        assert!(((twice - ends) / n as f64 - energy).abs() < 1e-12 * energy);
    }
}

#[test]
fn the_inverse_undoes_it() {
    for n in [2, 6, 8, 16, 32, 90, 1024, 2048, 4410] {
        let x = noise(n, 11);
        let fft = plan(n);
        let back = dispatch(Inverse(&fft, &dispatch(Forward(&fft, &x))));
        assert_eq!(back.len(), n);
        assert!(rms(back.iter().zip(&x).map(|(a, b)| a - b)) < 2e-15);
    }
}

#[test]
fn has_the_same_bits_at_every_level() {
    for n in [16, 90, 512, 2048] {
        let (x, fft) = (noise(n, 5), plan(n));
        let run = |level| with_level(level, || dispatch(Forward(&fft, &x)));
        let back = |level, s: &[[f64; 2]]| with_level(level, || dispatch(Inverse(&fft, s)));
        let levels = Level::available();
        let (want, inverse) = (run(levels[0]), back(levels[0], &run(levels[0])));
        for &level in &levels[1..] {
            assert_eq!(run(level).as_flattened(), want.as_flattened(), "n {n}, {}", level.name());
            assert_eq!(back(level, &want), inverse, "n {n}, {}", level.name());
        }
    }
}

#[test]
fn an_odd_size_is_refused() {
    assert!(RealFft::new(0).is_err());
    assert!(RealFft::new(2049).is_err());
}
