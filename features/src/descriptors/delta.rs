//! Derivatives in time, as `librosa.feature.delta` 0.11 with `mode="interp"`.

use ndarray::{Array2, ArrayView2};

/// Frames that a derivative is fitted over by default, as in librosa.
pub const WIDTH: usize = 9;

/// Which derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Slope of a straight line, in units a frame.
    First,
    /// Curvature (second derivative) of a parabola, in units a frame².
    Second,
}

/// The derivative of each row of `values` `[rows, frames]` over [`WIDTH`] frames; see [`delta_over`].
#[must_use]
pub fn delta(values: ArrayView2<'_, f32>, order: Order) -> Array2<f32> {
    delta_over(values, WIDTH, order)
}

/// The derivative of each row of `values` `[rows, frames]`, of the line or parabola fitted by least squares to the `width`
/// frames around each frame (Savitzky & Golay 1964).
///
/// The frames within half a width of either end take the derivative of the first or last full fit, which is what
/// `mode="interp"` amounts to where the degree is that of the derivative. Where there are fewer frames than `width`, or it
/// is even, the largest odd width that fits is taken instead (librosa raises an error); below three frames all is 0.
#[must_use]
pub fn delta_over(values: ArrayView2<'_, f32>, width: usize, order: Order) -> Array2<f32> {
    let frames = values.ncols();
    let mut out = Array2::zeros(values.dim());
    let half = (width.min(frames).max(1) - 1) / 2;
    if half == 0 {
        return out;
    }
    let weights = weights(half, order);
    for (row, mut out) in values.outer_iter().zip(out.outer_iter_mut()) {
        let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
        for (window, out) in row.windows(weights.len()).zip(out.iter_mut().skip(half)) {
            *out = window.iter().zip(&weights).fold(0.0, |sum, (v, w)| sum + v * w) as f32;
        }
        let (first, last) = (out[half], out[frames - 1 - half]);
        for i in 0..half {
            out[i] = first;
            out[frames - 1 - i] = last;
        }
    }
    out
}

/// Weights of the frames from `-half` to `half`, from the orthogonal polynomials of the first and second degree.
fn weights(half: usize, order: Order) -> Vec<f64> {
    let offsets = || (-(half as i64)..=half as i64).map(|k| k as f64);
    let squares: f64 = offsets().map(|k| k * k).sum();
    match order {
        Order::First => offsets().map(|k| k / squares).collect(),
        Order::Second => {
            let mean = squares / (2 * half + 1) as f64;
            let norm: f64 = offsets().map(|k| (k * k - mean) * (k * k - mean)).sum();
            offsets().map(|k| 2.0 * (k * k - mean) / norm).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_parabola_has_its_own_derivatives(
            frames in 3_usize..60, width in 3_usize..15, a in -2.0_f32..2.0, b in -2.0_f32..2.0,
        ) {
            let line = Array2::from_shape_fn((1, frames), |(_, t)| a + b * t as f32);
            let parabola = Array2::from_shape_fn((1, frames), |(_, t)| a + b * (t * t) as f32);
            for &slope in &delta_over(line.view(), width, Order::First) {
                prop_assert!((slope - b).abs() < 1e-4, "{} for {}", slope, b);
            }
            for &curvature in &delta_over(parabola.view(), width, Order::Second) {
                prop_assert!((curvature - 2.0 * b).abs() < 1e-2, "{} for {}", curvature, 2.0 * b);
            }
        }
    }

    #[test]
    fn few_frames_take_a_narrower_fit() {
        for frames in 0..WIDTH {
            let ramp = Array2::from_shape_fn((2, frames), |(_, t)| 3.0 * t as f32);
            let want = if frames < 3 { 0.0 } else { 3.0 };
            let slopes = delta(ramp.view(), Order::First);
            assert_eq!(slopes.dim(), (2, frames));
            assert!(slopes.iter().all(|s| (s - want).abs() < 1e-6), "{frames} frames: {slopes}");
        }
    }

    #[test]
    fn any_width_is_taken() {
        let ramp = Array2::from_shape_fn((1, 12), |(_, t)| t as f32);
        for width in [0, 1, 2, 3, 8, 12, 1000] {
            assert!(delta_over(ramp.view(), width, Order::Second).iter().all(|v| v.is_finite()));
        }
    }
}
