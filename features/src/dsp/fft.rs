//! Fourier transforms of many frames at once, one frame in each SIMD lane, in double precision.
//!
//! Every lane goes through the same additions and multiplications in the same order, so that a frame's spectrum has the same
//! bits at any width. Twiddle factors come from `libm`. `docs/decisions/0001-fft.md` and `0012-signal-libraries.md` say why this
//! is not RustFFT.

use pulp::{Scalar, Simd, WithSimd, bytemuck};

use crate::{Error, Result};

/// A complex number in each lane: `[re, im]`.
pub type Lanes<S> = [<S as Simd>::f64s; 2];

/// Largest size that is transformed depth-first: at eight lanes its points are 32 KiB, so that they stay in the first-level
/// cache from one stage to the next.
const RESIDENT: usize = 256;

/// `exp(−2πi·j/n)`, reduced to the first octant so that symmetric roots are exact mirrors of each other.
fn root_of_unity(j: usize, n: usize) -> [f64; 2] {
    // Angle in units of 1/(8n) of a turn: `octant` whole eighths and `rest / n` of one.
    let (octant, rest) = (8 * (j % n) / n, 8 * (j % n) % n);
    let eighth = std::f64::consts::FRAC_PI_4;
    let from_start = |x: usize| {
        let angle = eighth * x as f64 / n as f64;
        (libm::cos(angle), libm::sin(angle))
    };
    let (cos, sin) = if octant % 2 == 0 {
        from_start(rest)
    } else {
        let (c, s) = from_start(n - rest);
        (s, c)
    };
    match octant / 2 {
        0 => [cos, -sin],
        1 => [-sin, -cos],
        2 => [-cos, sin],
        _ => [sin, cos],
    }
}

#[inline(always)]
fn add<S: Simd>(simd: S, a: Lanes<S>, b: Lanes<S>) -> Lanes<S> {
    [simd.add_f64s(a[0], b[0]), simd.add_f64s(a[1], b[1])]
}

#[inline(always)]
fn sub<S: Simd>(simd: S, a: Lanes<S>, b: Lanes<S>) -> Lanes<S> {
    [simd.sub_f64s(a[0], b[0]), simd.sub_f64s(a[1], b[1])]
}

#[inline(always)]
fn mul<S: Simd>(simd: S, a: Lanes<S>, w: [f64; 2]) -> Lanes<S> {
    let (re, im) = (simd.splat_f64s(w[0]), simd.splat_f64s(w[1]));
    [
        simd.sub_f64s(simd.mul_f64s(a[0], re), simd.mul_f64s(a[1], im)),
        simd.add_f64s(simd.mul_f64s(a[0], im), simd.mul_f64s(a[1], re)),
    ]
}

/// The four sums of a radix-4 butterfly, before twiddles.
#[inline(always)]
fn butterfly4<S: Simd>(simd: S, [a, b, c, d]: [Lanes<S>; 4]) -> [Lanes<S>; 4] {
    let (t0, t1) = (add(simd, a, c), sub(simd, a, c));
    let (t2, t3) = (add(simd, b, d), sub(simd, b, d));
    [
        add(simd, t0, t2),
        [simd.add_f64s(t1[0], t3[1]), simd.sub_f64s(t1[1], t3[0])],
        sub(simd, t0, t2),
        [simd.sub_f64s(t1[0], t3[1]), simd.add_f64s(t1[1], t3[0])],
    ]
}

/// One radix-4 stage of a decimation in frequency: blocks of `size` points become four blocks of a quarter each.
#[derive(Clone, Debug)]
struct Stage {
    size: usize,
    /// `[w^j, w^2j, w^3j]` for `j` up to a quarter of `size`.
    twiddles: Vec<[[f64; 2]; 3]>,
}

impl Stage {
    fn new(size: usize) -> Self {
        let twiddles = (0..size / 4).map(|j| [1, 2, 3].map(|r| root_of_unity(r * j, size))).collect();
        Self { size, twiddles }
    }

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, x: &mut [Lanes<S>]) {
        for block in x.chunks_exact_mut(self.size) {
            let (lower, upper) = block.split_at_mut(self.size / 2);
            let ((a, b), (c, d)) = (lower.split_at_mut(self.size / 4), upper.split_at_mut(self.size / 4));
            for ((((a, b), c), d), &[w1, w2, w3]) in a.iter_mut().zip(b).zip(c).zip(d).zip(&self.twiddles) {
                let [y0, y1, y2, y3] = butterfly4(simd, [*a, *b, *c, *d]);
                *a = y0;
                *b = mul(simd, y1, w1);
                *c = mul(simd, y2, w2);
                *d = mul(simd, y3, w3);
            }
        }
    }
}

/// In-place transform of a power of two, at least 4: radix 4, decimation in frequency, with leaves of 4 or 8 points.
#[derive(Clone, Debug)]
struct Radix4 {
    stages: Vec<Stage>,
    /// How many leading stages are too large for [`RESIDENT`].
    wide: usize,
    leaf: usize,
    /// Where frequency `k` ends up.
    order: Vec<u32>,
}

impl Radix4 {
    fn new(n: usize) -> Self {
        debug_assert!(n.is_power_of_two() && n >= 4, "{n}");
        let leaf = if n.trailing_zeros().is_multiple_of(2) { 4 } else { 8 };
        let sizes = std::iter::successors(Some(n), |size| Some(size / 4)).take_while(|&size| size > leaf);
        let stages: Vec<_> = sizes.map(Stage::new).collect();
        let position = |k: usize| {
            let (mut k, mut size, mut position) = (k, n, 0);
            while size > leaf {
                size /= 4;
                position += k % 4 * size;
                k /= 4;
            }
            (position + k) as u32
        };
        let wide = stages.iter().filter(|stage| stage.size > RESIDENT).count();
        Self { wide, leaf, order: (0..n).map(position).collect(), stages }
    }

    /// A call, so that the stages are compiled once for each level and not into every kernel that transforms.
    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, x: &mut [Lanes<S>]) {
        simd.vectorize(Radix4Kernel { fft: self, x: bytemuck::cast_slice_mut(x.as_flattened_mut()) });
    }

    #[inline(always)]
    fn run_inline<S: Simd>(&self, simd: S, x: &mut [Lanes<S>]) {
        let (wide, resident) = self.stages.split_at(self.wide);
        for stage in wide {
            stage.run(simd, x);
        }
        for block in x.chunks_exact_mut(resident.first().map_or(self.leaf, |stage| stage.size)) {
            for stage in resident {
                stage.run(simd, block);
            }
            if self.leaf == 4 {
                for leaf in block.as_chunks_mut::<4>().0 {
                    *leaf = butterfly4(simd, *leaf);
                }
            } else {
                for leaf in block.as_chunks_mut::<8>().0 {
                    Self::leaf8(simd, leaf);
                }
            }
        }
    }

    #[inline(always)]
    fn leaf8<S: Simd>(simd: S, x: &mut [Lanes<S>; 8]) {
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let [a, b, c, d, e, f, g, h] = *x;
        let even = [add(simd, a, e), add(simd, b, f), add(simd, c, g), add(simd, d, h)];
        let odd = [
            sub(simd, a, e),
            mul(simd, sub(simd, b, f), [half, -half]),
            mul(simd, sub(simd, c, g), [0.0, -1.0]),
            mul(simd, sub(simd, d, h), [-half, -half]),
        ];
        let ([y0, y2, y4, y6], [y1, y3, y5, y7]) = (butterfly4(simd, even), butterfly4(simd, odd));
        *x = [y0, y1, y2, y3, y4, y5, y6, y7];
    }
}

/// [`Radix4`] on vectors that lie flat in `x`.
struct Radix4Kernel<'a> {
    fft: &'a Radix4,
    x: &'a mut [f64],
}

impl WithSimd for Radix4Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, _) = S::as_mut_simd_f64s(self.x);
        self.fft.run_inline(simd, vectors.as_chunks_mut().0);
    }
}

/// Transform of any length as a convolution with a chirp, by two transforms of a power of two.
///
/// Bluestein, "A linear filtering approach to the computation of the discrete Fourier transform" (1970).
#[derive(Clone, Debug)]
struct Bluestein {
    inner: Radix4,
    /// `exp(−πi·j²/n)`.
    chirp: Vec<[f64; 2]>,
    /// Spectrum of the conjugate chirp, wrapped around, over the inner length.
    filter: Vec<[f64; 2]>,
    order: Vec<u32>,
}

impl Bluestein {
    fn new(n: usize) -> Self {
        let inner_len = (2 * n - 1).next_power_of_two().max(4);
        let inner = Radix4::new(inner_len);
        let chirp: Vec<_> = (0..n).map(|j| root_of_unity(j * j % (2 * n), 2 * n)).collect();
        let mut wrapped = vec![[0.0; 2]; inner_len];
        for (j, &[re, im]) in chirp.iter().enumerate() {
            wrapped[j] = [re, -im];
            wrapped[(inner_len - j) % inner_len] = [re, -im];
        }
        inner.run(Scalar, &mut wrapped);
        let scale = 1.0 / inner_len as f64;
        let filter = inner.order.iter().map(|&p| wrapped[p as usize].map(|v| v * scale)).collect();
        Self { inner, chirp, filter, order: (0..n as u32).collect() }
    }

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, x: &mut [Lanes<S>], scratch: &mut [Lanes<S>]) {
        simd.vectorize(BluesteinKernel {
            fft: self,
            x: bytemuck::cast_slice_mut(x.as_flattened_mut()),
            scratch: bytemuck::cast_slice_mut(scratch.as_flattened_mut()),
        });
    }

    #[inline(always)]
    fn run_inline<S: Simd>(&self, simd: S, x: &mut [Lanes<S>], scratch: &mut [Lanes<S>]) {
        let zero = simd.splat_f64s(0.0);
        let (first, rest) = scratch.split_at_mut(self.filter.len());
        let second = &mut rest[..self.filter.len()];
        first[x.len()..].fill([zero; 2]);
        for ((t, x), &w) in first.iter_mut().zip(&*x).zip(&self.chirp) {
            *t = mul(simd, *x, w);
        }
        self.inner.run(simd, first);
        // The inverse is the transform with real and imaginary parts swapped before and after.
        for ((t, &p), &w) in second.iter_mut().zip(&self.inner.order).zip(&self.filter) {
            let [re, im] = mul(simd, first[p as usize], w);
            *t = [im, re];
        }
        self.inner.run(simd, second);
        for ((x, &p), &w) in x.iter_mut().zip(&self.inner.order).zip(&self.chirp) {
            let [im, re] = second[p as usize];
            *x = mul(simd, [re, im], w);
        }
    }
}

/// [`Bluestein`] on vectors that lie flat in `x`.
struct BluesteinKernel<'a> {
    fft: &'a Bluestein,
    x: &'a mut [f64],
    scratch: &'a mut [f64],
}

impl WithSimd for BluesteinKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ((x, _), (scratch, _)) = (S::as_mut_simd_f64s(self.x), S::as_mut_simd_f64s(self.scratch));
        self.fft.run_inline(simd, x.as_chunks_mut().0, scratch.as_chunks_mut().0);
    }
}

#[derive(Clone, Debug)]
enum Complex {
    Radix4(Radix4),
    Bluestein(Bluestein),
}

/// Transform of `n` real samples in each lane to `n / 2 + 1` frequencies, and back, for any even `n` from 2.
///
/// Powers of two from 8 are transformed in place; other sizes go through one of at least `n`.
#[derive(Clone, Debug)]
pub struct RealFft {
    n: usize,
    half: Complex,
    /// `½·exp(−2πi·k/n)` for `k` in `0..=n/4`.
    twiddles: Vec<[f64; 2]>,
}

impl RealFft {
    /// Plans transforms of `n` samples.
    ///
    /// # Errors
    /// [`Error::Spec`] if `n` is odd or 0.
    pub fn new(n: usize) -> Result<Self> {
        if n == 0 || n % 2 == 1 {
            return Err(Error::Spec { field: "n_fft", problem: format!("must be even and at least 2, not {n}") });
        }
        let half = if n.is_power_of_two() && n >= 8 {
            Complex::Radix4(Radix4::new(n / 2))
        } else {
            Complex::Bluestein(Bluestein::new(n / 2))
        };
        let twiddles = (0..=n / 4).map(|k| root_of_unity(k, n).map(|w| 0.5 * w)).collect();
        Ok(Self { n, half, twiddles })
    }

    /// Samples, `n`.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a transform of no samples cannot be planned")]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Frequencies from 0 to half the sample rate, `n / 2 + 1`.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.n / 2 + 1
    }

    /// Vectors that `work` of [`forward`](Self::forward) and [`inverse`](Self::inverse) must hold: the `n` samples first.
    #[must_use]
    pub fn work_len(&self) -> usize {
        match &self.half {
            Complex::Radix4(_) => self.n,
            Complex::Bluestein(b) => self.n + 4 * b.filter.len(),
        }
    }

    #[inline(always)]
    fn half<S: Simd>(&self, simd: S, work: &mut [S::f64s]) -> &[u32] {
        let (x, scratch) = work.as_chunks_mut::<2>().0.split_at_mut(self.n / 2);
        match &self.half {
            Complex::Radix4(fft) => {
                fft.run(simd, x);
                &fft.order
            }
            Complex::Bluestein(fft) => {
                fft.run(simd, x, scratch);
                &fft.order
            }
        }
    }

    /// Transforms the samples `work[..n]` (sample `i` of every lane in `work[i]`) and hands each frequency to
    /// `emit(bin, re, im)` once, in no particular order. What `work` holds afterwards is unspecified.
    ///
    /// # Panics
    /// If `work` holds fewer than [`work_len`](Self::work_len) vectors.
    #[inline(always)]
    pub fn forward<S: Simd>(&self, simd: S, work: &mut [S::f64s], mut emit: impl FnMut(usize, S::f64s, S::f64s)) {
        let half_n = self.n / 2;
        let order = self.half(simd, work);
        let z = work.as_chunks::<2>().0;
        // Even samples are the real parts of z and odd ones the imaginary parts. With E and O their spectra,
        // Z[k] = E[k] + i·O[k], X[k] = E[k] + w^k·O[k], and X[n/2 − k] = conj(E[k] − w^k·O[k]).
        let [re, im] = z[0];
        let zero = simd.splat_f64s(0.0);
        emit(0, simd.add_f64s(re, im), zero);
        emit(half_n, simd.sub_f64s(re, im), zero);
        let one_half = simd.splat_f64s(0.5);
        let mirrored = order.iter().rev().take(half_n / 2);
        for (k, ((&p, &q), &w)) in (1..).zip(order[1..].iter().zip(mirrored).zip(&self.twiddles[1..])) {
            let ([a, b], [c, d]) = (z[p as usize], z[q as usize]);
            let even = [simd.mul_f64s(one_half, simd.add_f64s(a, c)), simd.mul_f64s(one_half, simd.sub_f64s(b, d))];
            let odd = mul(simd, [simd.add_f64s(b, d), simd.sub_f64s(c, a)], w);
            if 2 * k != half_n {
                let [re, im] = sub(simd, even, odd);
                emit(half_n - k, re, simd.neg_f64s(im));
            }
            let [re, im] = add(simd, even, odd);
            emit(k, re, im);
        }
    }

    /// The inverse: asks `spectrum(bin)` for every frequency and hands each sample to `emit(i, value)` once, in order.
    /// Imaginary parts at 0 and at half the sample rate are ignored.
    ///
    /// # Panics
    /// If `work` holds fewer than [`work_len`](Self::work_len) vectors.
    #[inline(always)]
    pub fn inverse<S: Simd>(
        &self,
        simd: S,
        work: &mut [S::f64s],
        spectrum: impl Fn(usize) -> Lanes<S>,
        mut emit: impl FnMut(usize, S::f64s),
    ) {
        let half_n = self.n / 2;
        {
            let one_half = simd.splat_f64s(0.5);
            // Swapped parts in, swapped parts out: the forward transform then is the inverse one.
            let z = work.as_chunks_mut::<2>().0;
            let (first, last) = (spectrum(0)[0], spectrum(half_n)[0]);
            z[0] = [
                simd.mul_f64s(one_half, simd.sub_f64s(first, last)),
                simd.mul_f64s(one_half, simd.add_f64s(first, last)),
            ];
            for (k, &[re, im]) in (1..=half_n / 2).zip(&self.twiddles[1..]) {
                let ([a, b], [c, d]) = (spectrum(k), spectrum(half_n - k));
                let even = [simd.mul_f64s(one_half, simd.add_f64s(a, c)), simd.mul_f64s(one_half, simd.sub_f64s(b, d))];
                let odd = mul(simd, [simd.sub_f64s(a, c), simd.add_f64s(b, d)], [re, -im]);
                // Z[k] = E + i·O and Z[n/2 − k] = conj(E) + i·conj(O).
                z[half_n - k] = [simd.sub_f64s(odd[0], even[1]), simd.add_f64s(even[0], odd[1])];
                z[k] = [simd.add_f64s(even[1], odd[0]), simd.sub_f64s(even[0], odd[1])];
            }
        }
        let order = self.half(simd, work);
        let z = work.as_chunks::<2>().0;
        let scale = simd.splat_f64s(1.0 / half_n as f64);
        for (i, &p) in order.iter().enumerate() {
            let [odd, even] = z[p as usize];
            emit(2 * i, simd.mul_f64s(scale, even));
            emit(2 * i + 1, simd.mul_f64s(scale, odd));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use rustfft::{FftPlannerScalar, num_complex::Complex64};

    use super::*;
    use simd::{Level, WithSimd, dispatch, with_level};

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
}
