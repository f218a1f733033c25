//! Second-order filters at any sample rate.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// A second-order filter by the formulas of R. Bristow-Johnson's *Audio EQ Cookbook*, in transposed direct form II.
///
/// Of each constructor the first argument is the sample rate and the second a frequency, both in Hz; frequencies outside 10 Hz to 0.48 of
/// the rate are held there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    state: [f64; 2],
}

impl Biquad {
    fn from(b: [f64; 3], a: [f64; 3]) -> Self {
        Self { b: b.map(|b| b / a[0]), a: [a[1] / a[0], a[2] / a[0]], state: [0.0; 2] }
    }

    /// Cosine of the angle, and the cookbook's alpha.
    fn angle(rate: f64, hz: f64, q: f64) -> (f64, f64) {
        let w = TAU * hz.clamp(10.0, 0.48 * rate) / rate;
        (libm::cos(w), libm::sin(w) / (2.0 * q))
    }

    /// Passes what is below `hz`.
    pub(crate) fn low_pass_at(rate: f64, hz: f64, q: f64) -> Self {
        let (c, alpha) = Self::angle(rate, hz, q);
        Self::from([(1.0 - c) / 2.0, 1.0 - c, (1.0 - c) / 2.0], [1.0 + alpha, -2.0 * c, 1.0 - alpha])
    }

    /// Passes what is above `hz`.
    pub(crate) fn high_pass_at(rate: f64, hz: f64, q: f64) -> Self {
        let (c, alpha) = Self::angle(rate, hz, q);
        Self::from([(1.0 + c) / 2.0, -1.0 - c, (1.0 + c) / 2.0], [1.0 + alpha, -2.0 * c, 1.0 - alpha])
    }

    /// Passes what is around `hz`, with gain 1 there.
    pub(crate) fn band_pass_at(rate: f64, hz: f64, q: f64) -> Self {
        let (c, alpha) = Self::angle(rate, hz, q);
        Self::from([alpha, 0.0, -alpha], [1.0 + alpha, -2.0 * c, 1.0 - alpha])
    }

    /// Raises or lowers what is around `hz` by `db`.
    pub(crate) fn peak_at(rate: f64, hz: f64, q: f64, db: f64) -> Self {
        let (c, alpha) = Self::angle(rate, hz, q);
        let a = libm::pow(10.0, db / 40.0);
        Self::from([1.0 + alpha * a, -2.0 * c, 1.0 - alpha * a], [1.0 + alpha / a, -2.0 * c, 1.0 - alpha / a])
    }

    /// Raises or lowers what is above `hz` by `db`.
    pub(crate) fn high_shelf_at(rate: f64, hz: f64, db: f64) -> Self {
        Self::shelf(rate, hz, db, 1.0)
    }

    /// Raises or lowers what is below `hz` by `db`.
    pub(crate) fn low_shelf_at(rate: f64, hz: f64, db: f64) -> Self {
        Self::shelf(rate, hz, db, -1.0)
    }

    /// A shelf of slope 1; `side` is 1 for what is above `hz`, -1 for what is below, by which alone the formulas differ.
    fn shelf(rate: f64, hz: f64, db: f64, side: f64) -> Self {
        let (c, alpha) = Self::angle(rate, hz, FRAC_1_SQRT_2);
        let a = libm::pow(10.0, db / 40.0);
        let (c, s) = (side * c, 2.0 * a.sqrt() * alpha);
        Self::from(
            [
                a * ((a + 1.0) + (a - 1.0) * c + s),
                side * -2.0 * a * ((a - 1.0) + (a + 1.0) * c),
                a * ((a + 1.0) + (a - 1.0) * c - s),
            ],
            [(a + 1.0) - (a - 1.0) * c + s, side * 2.0 * ((a - 1.0) - (a + 1.0) * c), (a + 1.0) - (a - 1.0) * c - s],
        )
    }

    /// Takes the coefficients of `other` and keeps the sound that is in the filter.
    pub(crate) fn retune(&mut self, other: Self) {
        *self = Self { state: self.state, ..other };
    }

    /// One sample.
    pub(crate) fn next(&mut self, x: f32) -> f32 {
        let x = f64::from(x);
        let y = self.b[0] * x + self.state[0];
        // The tiny constant keeps the state out of the subnormal numbers, which are slow.
        self.state[0] = self.b[1] * x - self.a[0] * y + self.state[1] + 1e-18;
        self.state[1] = self.b[2] * x - self.a[1] * y;
        y as f32
    }

    /// A whole track, in place.
    pub(crate) fn apply(mut self, track: &mut [f32]) {
        for sample in track {
            *sample = self.next(*sample);
        }
    }
}
