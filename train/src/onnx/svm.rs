//! The support vector machine, in `f64` as [`Svm`] computes it.
//!
//! The pairwise coupling of Wu, Lin and Weng is the `p` with `Σ p_i = 1` that makes `pᵀQp` least ([`models::svm::couple`] finds it step by
//! step). As `pᵀ(Q + e·eᵀ)p` differs from that by 1 under the constraint, `p` is the solution of `(Q + e·eᵀ)·x = e` over its sum, and that
//! matrix has eigenvalues over 0: `pᵀQp` is 0 for no `p` of sum 0.

use models::svm::{MIN_PROBABILITY, Scheme, Svm, SvmParameters, pairs};
use ndarray::{Array1, Array2};

use super::{
    graph::{Graph, Value},
    linear_algebra,
};

/// The probabilities of vectors.
///
/// # Shapes
/// - `vectors`: `[n, dim]`, `f32`
/// - result: `[n, n_classes]`, `f64`
pub(super) fn probabilities(g: &mut Graph, svm: &Svm, vectors: Value) -> Value {
    let SvmParameters { platt_a, platt_b, temperature, .. } = svm.parts();
    let decisions = decision_function(g, svm, vectors);
    let (slope, offset) = (g.vector(platt_a), g.vector(platt_b));
    let exponent = g.op("Mul", [decisions, slope]);
    let exponent = g.op("Add", [exponent, offset]);
    match svm.scheme() {
        Scheme::OneVsOne => {
            // An exponential that overflows makes the estimate 0.
            let power = g.op("Exp", [exponent]);
            let denominator = g.add_number(power, 1.0);
            let one = g.scalar(1.0_f64);
            let estimates = g.op("Div", [one, denominator]);
            let coupled = couple(g, estimates, svm.n_classes());
            tempered(g, coupled, *temperature)
        }
        Scheme::OneVsRest => {
            let logarithms = g.times_number(exponent, -1.0 / temperature);
            g.softmax(logarithms)
        }
    }
}

/// `[n, n_machines]`.
fn decision_function(g: &mut Graph, svm: &Svm, vectors: Value) -> Value {
    let SvmParameters { mean, inverse_deviation, gamma, support_vectors, coefficients, rho, .. } = svm.parts();
    let (dim, n_sv) = (svm.dim(), svm.n_support_vectors());
    let support = Array2::from_shape_fn((n_sv, dim), |(row, column)| support_vectors[row * dim + column]);
    let support = g.constant(&support);
    let (mean, inverse) = (g.vector(mean), g.vector(inverse_deviation));
    let [z, support] = [vectors, support].map(|x| {
        let wide = g.cast_to_f64(x);
        let centred = g.op("Sub", [wide, mean]);
        g.op("Mul", [centred, inverse])
    });
    // ‖z − s‖² = ‖z‖² + ‖s‖² − 2·z·s, of whose digits f64 has enough.
    let ones = Array2::from_elem((dim, 1), 1.0);
    let [of_vector, of_support] = [z, support].map(|x| {
        let squares = g.op("Mul", [x, x]);
        g.times(squares, &ones)
    });
    let [of_support, support] = [of_support, support].map(|x| g.transpose(x, &[1, 0]));
    let products = g.op("MatMul", [z, support]);
    let products = g.times_number(products, 2.0);
    let squares = g.op("Add", [of_vector, of_support]);
    let distances = g.op("Sub", [squares, products]);
    let exponent = g.times_number(distances, -gamma);
    let similar = g.op("Exp", [exponent]);
    let coefficients = Array2::from_shape_fn((n_sv, rho.len()), |(row, machine)| coefficients[machine * n_sv + row]);
    let sums = g.times(similar, &coefficients);
    let rho = g.vector(rho);
    g.op("Sub", [sums, rho])
}

/// The probabilities of `k` classes from the estimates for each pair.
///
/// # Shapes
/// - `estimates`: `[n, k · (k − 1) / 2]`
/// - result: `[n, k]`
fn couple(g: &mut Graph, estimates: Value, k: usize) -> Value {
    let (least, most) = (g.scalar(MIN_PROBABILITY), g.scalar(1.0 - MIN_PROBABILITY));
    let held = g.op("Max", [estimates, least]);
    let held = g.op("Min", [held, most]);
    // r_ab at (a, b), 1 − r_ab at (b, a), 0 on the diagonal.
    let n_pairs = k * (k - 1) / 2;
    let mut places = Array2::<f64>::zeros((n_pairs, k * k));
    let mut ones = Array1::<f64>::zeros(k * k);
    for (pair, (a, b)) in pairs(k).enumerate() {
        places[[pair, a * k + b]] = 1.0;
        places[[pair, b * k + a]] = -1.0;
        ones[b * k + a] = 1.0;
    }
    let ones = g.constant(&ones);
    let r = g.times(held, &places);
    let r = g.op("Add", [r, ones]);
    let side = k as i64;
    let r = g.reshape(r, &[-1, side, side]);
    // Q_tt = Σ_j r_jt², Q_tj = −r_jt · r_tj, and 1 to each element.
    let squares = g.op("Mul", [r, r]);
    let sums = g.times_from_left(&Array2::from_elem((1, k), 1.0), squares);
    let identity = g.constant(&Array2::<f64>::eye(k));
    let diagonal = g.op("Mul", [sums, identity]);
    let transposed = g.transpose(r, &[0, 2, 1]);
    let products = g.op("Mul", [r, transposed]);
    let q = g.op("Sub", [diagonal, products]);
    let q = g.add_number(q, 1.0);
    // As many vectors of ones as there are segments.
    let zeros = g.times(held, &Array2::zeros((n_pairs, k)));
    let right = g.add_number(zeros, 1.0);
    let right = g.reshape(right, &[-1, side, 1]);
    let solution = linear_algebra::solve(g, q, right, k);
    let solution = g.reshape(solution, &[-1, side]);
    // Of what is 0, rounding may leave less.
    let nothing = g.scalar(0.0_f64);
    let solution = g.op("Max", [solution, nothing]);
    let sum = g.times(solution, &Array2::from_elem((k, 1), 1.0));
    g.op("Div", [solution, sum])
}

/// `p^(1 / temperature)` over its sum: see [`models::svm::tempered`].
fn tempered(g: &mut Graph, probabilities: Value, temperature: f64) -> Value {
    if temperature == 1.0 {
        return probabilities;
    }
    let least = g.scalar(f64::MIN_POSITIVE);
    let held = g.op("Max", [probabilities, least]);
    let logarithms = g.op("Log", [held]);
    let logarithms = g.times_number(logarithms, 1.0 / temperature);
    g.softmax(logarithms)
}
