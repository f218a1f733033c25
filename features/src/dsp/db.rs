//! Decibels, as `librosa.power_to_db` and `librosa.amplitude_to_db` 0.11 with `ref=1.0`.

use ndarray::Array2;
use simd::{Simd, WithSimd};

use crate::spec::DbSpec;

/// Turns powers into decibels in place: `10·log10(max(amin, S))`, and with `top_db` no lower than that below the largest
/// value of the whole matrix.
///
/// Each value is within one unit in the last place of the exact one (see [`decibels`]).
pub fn power_to_db(values: &mut Array2<f32>, spec: &DbSpec) {
    convert(values, spec.amin, spec.top_db, |x| x);
}

/// [`power_to_db`] of values in any order.
pub fn powers_to_db(values: &mut [f32], spec: &DbSpec) {
    convert_slice(values, spec.amin, spec.top_db, |x| x);
}

/// Turns amplitudes into decibels in place: [`power_to_db`] of their squares, with `amin` an amplitude too.
pub fn amplitude_to_db(values: &mut Array2<f32>, spec: &DbSpec) {
    convert(values, spec.amin * spec.amin, spec.top_db, |x| x * x);
}

fn convert(values: &mut Array2<f32>, amin: f64, top_db: Option<f64>, square: impl Fn(f32) -> f32 + Copy) {
    if !values.is_standard_layout() {
        *values = values.as_standard_layout().into_owned();
    }
    if let Some(values) = values.as_slice_mut() {
        convert_slice(values, amin, top_db, square);
    }
}

fn convert_slice(values: &mut [f32], amin: f64, top_db: Option<f64>, square: impl Fn(f32) -> f32 + Copy) {
    simd::dispatch(ToDecibels { values: &mut *values, amin, square });
    if let Some(top_db) = top_db {
        simd::dispatch(Floor { values, top_db });
    }
}

/// `10·log10(x)` for a positive normal `x`; infinity stays infinity.
///
/// With `x = 2^e · m` and `m` in √½..√2, `ln m = 2·artanh(s)` of `s = (m − 1)/(m + 1)`, whose series is cut where its terms
/// fall below 3·10⁻¹⁴ of the sum. There is neither a branch nor a table, so that a loop over it is compiled to any width.
#[inline(always)]
#[must_use]
pub fn decibels(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    const BIAS: u64 = 1023;
    const TWO_52: u64 = 0x4330_0000_0000_0000;
    let bits = x.to_bits();
    // Wraps only for what is not a positive normal number.
    let exponent = bits.wrapping_sub(SQRT_HALF).wrapping_add(BIAS << 52) >> 52;
    let m = f64::from_bits(bits.wrapping_sub(exponent.wrapping_sub(BIAS) << 52));
    // An integer below 2^52, put into the mantissa of 2^52, is converted without an instruction that not all levels have.
    let e = f64::from_bits(exponent | TWO_52) - (f64::from_bits(TWO_52) + BIAS as f64);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut series = 1.0 / 15.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * z + 1.0 / odd;
    }
    let result = e * (10.0 * std::f64::consts::LOG10_2) + s * series * (20.0 * std::f64::consts::LOG10_E);
    if x == f64::INFINITY { x } else { result }
}

struct ToDecibels<'a, F> {
    values: &'a mut [f32],
    amin: f64,
    square: F,
}

impl<F: Fn(f32) -> f32> WithSimd for ToDecibels<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for value in self.values {
            let power = f64::from((self.square)(*value));
            *value = decibels(if power > self.amin { power } else { self.amin }) as f32;
        }
    }
}

struct Floor<'a> {
    values: &'a mut [f32],
    top_db: f64,
}

impl WithSimd for Floor<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // The largest does not depend on the order of comparisons.
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let mut largest = [f32::NEG_INFINITY; 16];
        let (chunks, rest) = self.values.as_chunks::<16>();
        for chunk in chunks {
            for (largest, &value) in largest.iter_mut().zip(chunk) {
                *largest = larger(*largest, value);
            }
        }
        let largest = largest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger);
        let floor = (f64::from(largest) - self.top_db) as f32;
        for value in self.values {
            *value = larger(*value, floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use simd::{Level, with_level};

    const PLAIN: DbSpec = DbSpec { amin: 1e-10, top_db: None };

    fn row(values: &[f32]) -> Array2<f32> {
        Array2::from_shape_fn((1, values.len()), |(_, i)| values[i])
    }

    #[test]
    fn whole_decades() {
        let mut values = row(&[0.0, 1e-12, 1e-10, 1.0, 10.0, 1e6, f32::INFINITY]);
        power_to_db(&mut values, &PLAIN);
        assert_eq!(values, row(&[-100.0, -100.0, -100.0, 0.0, 10.0, 60.0, f32::INFINITY]));
        let mut values = [0.0, 10.0];
        powers_to_db(&mut values, &PLAIN);
        assert_eq!(values, [-100.0, 10.0]);
    }

    #[test]
    fn the_floor_lies_below_the_loudest_of_the_whole_matrix() {
        let mut values = Array2::from_shape_fn((3, 40), |(i, j)| if (i, j) == (2, 39) { 100.0 } else { 1e-9 });
        power_to_db(&mut values, &DbSpec { amin: 1e-10, top_db: Some(80.0) });
        assert_eq!(values[[2, 39]], 20.0);
        assert!(values.iter().filter(|&&v| v == -60.0).count() == 119);
    }

    #[test]
    fn amplitudes_are_squared() {
        let mut values = row(&[0.0, 1e-5, 1.0, 10.0]);
        amplitude_to_db(&mut values, &DbSpec { amin: 1e-5, top_db: None });
        assert_eq!(values, row(&[-100.0, -100.0, 0.0, 20.0]));
    }

    #[test]
    fn an_empty_matrix_stays_empty() {
        let mut values = Array2::zeros((3, 0));
        power_to_db(&mut values, &DbSpec { amin: 1e-10, top_db: Some(80.0) });
        assert_eq!(values.dim(), (3, 0));
    }

    proptest! {
        #[test]
        fn agrees_with_libm(bits in 1_u64 << 52..0x7FF0_0000_0000_0000) {
            let x = f64::from_bits(bits);
            let (got, want) = (decibels(x), 10.0 * libm::log10(x));
            // Relative to 1 dB near 0 dB, where the sum of two terms cancels.
            prop_assert!((got - want).abs() <= 1e-12 * want.abs().max(0.1), "{} for {}", got, want);
        }

        #[test]
        fn has_the_same_bits_at_every_level(values in prop::collection::vec(0.0_f32..1e4, 1..100)) {
            let run = |level| with_level(level, || {
                let mut values = row(&values);
                power_to_db(&mut values, &DbSpec { amin: 1e-10, top_db: Some(80.0) });
                values
            });
            let levels = Level::available();
            for &level in &levels[1..] {
                prop_assert_eq!(run(level), run(levels[0]), "{}", level.name());
            }
        }
    }
}
