//! The real FFT of this crate against RustFFT, one thread: `cargo bench -p features --bench fft`.
//!
//! Every figure is the median of 31 runs, in microseconds for one frame of `n` real samples to `n / 2 + 1` frequencies.
//! RustFFT is measured as a program would use it for portable bits: its scalar planner on one frame of `f64`, and the same
//! algorithms over a type that holds a frame in each of eight lanes. Both transform `n / 2` complex numbers, to which a real
//! transform would add one more pass that is left out here.

use std::{hint::black_box, time::Instant};

use features::dsp::fft::RealFft;
use rustfft::{FftPlannerScalar, num_complex::Complex};
use simd::{Level, Simd, WithSimd};

#[path = "fft/lanes.rs"]
mod lanes;
use lanes::F64x8;

/// Microseconds of the median of 31 runs.
fn median(mut f: impl FnMut()) -> f64 {
    let mut times: Vec<_> = (0..31)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[15]
}

const FRAMES: usize = 512;

/// Transforms all frames, as many at once as there are lanes.
struct Ours<'a>(&'a RealFft, &'a mut [f64]);

impl WithSimd for Ours<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(fft, work) = self;
        let (work, _) = S::as_mut_simd_f64s(work);
        for _ in 0..FRAMES / S::F64_LANES {
            for (i, v) in work.iter_mut().take(fft.len()).enumerate() {
                *v = simd.splat_f64s(i as f64);
            }
            let mut sum = simd.splat_f64s(0.0);
            fft.forward(
                simd,
                work,
                #[inline(always)]
                |_, re, im| sum = simd.add_f64s(sum, simd.add_f64s(re, im)),
            );
            black_box(sum);
        }
    }
}

/// RustFFT on `FRAMES / lanes` buffers, each filled before it is transformed.
fn theirs<T: rustfft::FftNum>(n: usize, lanes: usize) -> f64 {
    let fft = FftPlannerScalar::<T>::new().plan_fft_forward(n / 2);
    let zero = Complex::new(T::zero(), T::zero());
    let (mut buffer, mut scratch) = (vec![zero; n / 2], vec![zero; fft.get_inplace_scratch_len()]);
    let one = Complex::new(T::one(), T::zero());
    median(|| {
        for _ in 0..FRAMES / lanes {
            buffer.fill(one);
            fft.process_with_scratch(&mut buffer, &mut scratch);
            black_box(&buffer);
        }
    }) / FRAMES as f64
}

fn main() {
    println!("{:>6} {:>12} {:>12}  this crate at each level, µs a frame", "n", "rustfft", "rustfft×8");
    for n in [512, 1024, 1102, 2048, 4096, 4410] {
        let fft = match RealFft::new(n) {
            Ok(fft) => fft,
            Err(error) => return eprintln!("{error}"),
        };
        let mut work = vec![0.0; fft.work_len() * 8];
        print!("{n:>6} {:>12.2} {:>12.2} ", theirs::<f64>(n, 1), theirs::<F64x8>(n, 8));
        for level in Level::available() {
            let time = simd::with_level(level, || median(|| simd::dispatch(Ours(&fft, &mut work))));
            print!(" {} {:.2}", level.name(), time / FRAMES as f64);
        }
        println!();
    }
}
