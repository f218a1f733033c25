//! Functions of small matrices for which ONNX has no operator, by those that it has. All of them compute in `f64`.

use ndarray::Array2;

use super::graph::{Graph, Value};

/// Newton–Schulz steps of each square root under [`log`]. A root halves the logarithm of the condition number, so that the next needs
/// fewer. A step multiplies the smallest eigenvalue, as a share of 1, by 9/4: the first root converges up to a condition number of 1e9.
const STEPS: [usize; 6] = [30, 19, 13, 10, 8, 7];
/// Terms of the series of the inverse hyperbolic sine. Its argument is at most 0.21, and the next term below 1e-16 of the first.
const TERMS: i32 = 12;

/// The logarithm of symmetric matrices with eigenvalues over 0.
///
/// Inverse scaling and squaring (Kenney and Laub 1989): the matrix over its Frobenius norm, six square roots by the coupled Newton–Schulz
/// iteration, which gives the inverse of each root too (Higham, "Functions of Matrices", 2008, §6.7), and `log X = asinh((X − X⁻¹) / 2)`
/// by its series. Its error grows with the condition number, to 1e-9 at 1e8; beyond 1e9 it is wrong.
///
/// # Shapes
/// - `matrices`, result: `[…, side, side]`
pub(super) fn log(g: &mut Graph, matrices: Value, side: usize) -> Value {
    let identity = Array2::<f64>::eye(side);
    let norm = frobenius_norm(g, matrices, side);
    let mut root = g.op("Div", [matrices, norm]);
    let mut inverse = root;
    let (three_halves, half) = (g.constant(&(1.5 * &identity)), g.scalar(0.5));
    for steps in STEPS {
        // The inverse of the root begins with the identity.
        let mut inverse_of_root = None;
        for _ in 0..steps {
            let product = match inverse_of_root {
                Some(inverse) => g.op("MatMul", [inverse, root]),
                None => root,
            };
            let half_of_it = g.op("Mul", [product, half]);
            let step = g.op("Sub", [three_halves, half_of_it]);
            root = g.op("MatMul", [root, step]);
            inverse = match inverse_of_root {
                Some(inverse) => g.op("MatMul", [step, inverse]),
                None => step,
            };
            inverse_of_root = Some(inverse);
        }
    }
    let difference = g.op("Sub", [root, inverse]);
    let sine = g.op("Mul", [difference, half]);
    let square = g.op("MatMul", [sine, sine]);
    // Horner's rule.
    let coefficients: Vec<f64> = asinh_coefficients().collect();
    let (last, before) = coefficients.split_last().unwrap_or((&1.0, &[]));
    let mut sum = g.constant(&(*last * &identity));
    for coefficient in before.iter().rev() {
        let product = g.op("MatMul", [square, sum]);
        let coefficient = g.constant(&(*coefficient * &identity));
        sum = g.op("Add", [product, coefficient]);
    }
    let log_of_root = g.op("MatMul", [sine, sum]);
    let log_of_scaled = g.times_number(log_of_root, f64::from(1 << STEPS.len()));
    let log_of_norm = g.op("Log", [norm]);
    let identity = g.constant(&identity);
    let of_norm = g.op("Mul", [log_of_norm, identity]);
    g.op("Add", [log_of_scaled, of_norm])
}

/// Of `asinh(x) / x` in powers of `x²`: `(−1)^k (2k)! / (4^k (k!)² (2k + 1))`.
fn asinh_coefficients() -> impl Iterator<Item = f64> {
    let mut share = 1.0;
    (0..TERMS).map(move |k| {
        if k > 0 {
            share *= -f64::from(2 * k - 1) / f64::from(2 * k);
        }
        share / f64::from(2 * k + 1)
    })
}

/// `[…, 1, 1]`.
fn frobenius_norm(g: &mut Graph, matrices: Value, side: usize) -> Value {
    let squares = g.op("Mul", [matrices, matrices]);
    let ones = Array2::from_elem((side, 1), 1.0);
    let of_rows = g.times(squares, &ones);
    let sum = g.times_from_left(&ones.t().to_owned(), of_rows);
    g.op("Sqrt", [sum])
}

/// The upper triangle of symmetric matrices, row by row, times √2 off the diagonal: what to [`gather`](Graph::gather) of the elements of a
/// matrix of this `side`, and what to multiply it with. Of a matrix of more rows and columns than the `used` ones, those alone.
#[must_use]
pub(super) fn upper_triangle(side: usize, used: usize) -> (Vec<usize>, Vec<f64>) {
    let places = (0..used).flat_map(|row| (row..used).map(move |column| (row, column)));
    places
        .map(|(row, column)| (row * side + column, if row == column { 1.0 } else { std::f64::consts::SQRT_2 }))
        .unzip()
}

/// The solution of `A·x = b` with symmetric matrices `A` whose eigenvalues are over 0, by elimination: no pivot needs to be looked for.
///
/// # Shapes
/// - `matrices`: `[n, side, side]`
/// - `right`, result: `[n, side, 1]`
pub(super) fn solve(g: &mut Graph, matrices: Value, right: Value, side: usize) -> Value {
    let mut both = g.concat(&[matrices, right], 2);
    for pivot in 0..side {
        let row = g.slice(both, 1, pivot..pivot + 1);
        let value = g.slice(row, 2, pivot..pivot + 1);
        let row = g.op("Div", [row, value]);
        let column = g.slice(both, 2, pivot..pivot + 1);
        // So much of the row is taken off each row that its element of the column becomes 0, and 1 in the row itself.
        let target = g.constant(&Array2::from_shape_fn((side, 1), |(at, _)| f64::from(u8::from(at == pivot))));
        let factors = g.op("Sub", [column, target]);
        let change = g.op("MatMul", [factors, row]);
        both = g.op("Sub", [both, change]);
    }
    g.slice(both, 2, side..side + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use models::eigen::Eigen;
    use ndarray::{ArrayD, Axis, IxDyn, Slice, concatenate};
    use proptest::prelude::*;

    use super::*;
    use crate::onnx::messages::{GraphProto, TensorProto};

    /// What the nodes of a graph give for one input of `f64`: the operators of this module alone, of one matrix.
    fn evaluate(graph: &GraphProto, input: &ArrayD<f64>) -> ArrayD<f64> {
        let constant = |tensor: &TensorProto| {
            let shape: Vec<usize> = tensor.dims.iter().map(|&size| size as usize).collect();
            let numbers = tensor.raw_data.as_chunks::<8>().0.iter().map(|&bytes| match tensor.data_type {
                TensorProto::INT64 => i64::from_le_bytes(bytes) as f64,
                _ => f64::from_le_bytes(bytes),
            });
            (tensor.name.clone(), ArrayD::from_shape_vec(IxDyn(&shape), numbers.collect()).expect("its shape"))
        };
        let mut values: HashMap<String, ArrayD<f64>> = graph.initializer.iter().map(constant).collect();
        values.insert(graph.input[0].name.clone(), input.clone());
        for node in &graph.node {
            let of = |at: usize| &values[&node.input[at]];
            let whole = |at: usize| of(at)[[0]] as isize;
            let value = match node.op_type.as_str() {
                "Add" => of(0) + of(1),
                "Sub" => of(0) - of(1),
                "Mul" => of(0) * of(1),
                "Div" => of(0) / of(1),
                "Sqrt" => of(0).mapv(f64::sqrt),
                "Log" => of(0).mapv(f64::ln),
                "MatMul" => product(of(0), of(1)),
                "Slice" => of(0).slice_axis(Axis(whole(3) as usize), Slice::from(whole(1)..whole(2))).to_owned(),
                "Concat" => {
                    let axis = node.attribute[0].i.expect("an axis") as usize;
                    concatenate(Axis(axis), &[of(0).view(), of(1).view()]).expect("shapes that fit")
                }
                other => panic!("no operator {other}"),
            };
            values.insert(node.output[0].clone(), value);
        }
        values[&graph.output[0].name].clone()
    }

    /// Of matrices, whose leading axes have size 1.
    fn product(a: &ArrayD<f64>, b: &ArrayD<f64>) -> ArrayD<f64> {
        let matrix = |x: &ArrayD<f64>| {
            let [rows, columns] = [x.shape()[x.ndim() - 2], x.shape()[x.ndim() - 1]];
            Array2::from_shape_vec((rows, columns), x.iter().copied().collect()).expect("one matrix")
        };
        let (left, right) = (matrix(a), matrix(b));
        let mut shape = vec![1; a.ndim().max(b.ndim()) - 2];
        shape.extend([left.nrows(), right.ncols()]);
        left.dot(&right).into_shape_with_order(IxDyn(&shape)).expect("as many elements")
    }

    /// A symmetric matrix with these eigenvalues.
    fn with_eigenvalues(values: &[f64], entries: &[f64]) -> Vec<f64> {
        let n = values.len();
        // The eigenvectors of any symmetric matrix are orthonormal.
        let symmetric = (0..n * n).map(|at| entries[at] + entries[at % n * n + at / n]).collect();
        let mut vectors = Eigen::of(symmetric, n);
        vectors.values = values.to_vec();
        vectors.map(|value| value)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_logarithm_is_that_of_the_eigenvalues(
            powers in prop::collection::vec(-2.0_f64..6.0, 2..49),
            entries in prop::collection::vec(-1.0_f64..1.0, 48 * 48),
        ) {
            let n = powers.len();
            let mut values: Vec<f64> = powers.iter().map(|&power| libm::exp10(power)).collect();
            // The widest range that descriptors reach: a floor of 0.01, and variances of a million.
            (values[0], values[1]) = (0.01, 1e6);
            let matrix = with_eigenvalues(&values, &entries);
            let expected = Eigen::of(matrix.clone(), n).map(libm::log);
            let mut g = Graph::default();
            let input = g.input("x", &[n, n]);
            let log = log(&mut g, input, n);
            g.output(log, "log", &[n, n]);
            let input = ArrayD::from_shape_vec(IxDyn(&[n, n]), matrix).expect("a matrix");
            let found = evaluate(&g.finish("log"), &input);
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-6, "{} is not {}", found, expected);
            }
        }

        #[test]
        fn the_solution_solves(
            powers in prop::collection::vec(-3.0_f64..1.0, 2..13),
            entries in prop::collection::vec(-1.0_f64..1.0, 12 * 12),
            right in prop::collection::vec(-1.0_f64..1.0, 12),
        ) {
            let n = powers.len();
            let values: Vec<f64> = powers.iter().map(|&power| libm::exp10(power)).collect();
            let matrix = with_eigenvalues(&values, &entries);
            let mut g = Graph::default();
            let input = g.input("x", &[n, n]);
            let b = g.constant(&ndarray::Array3::from_shape_fn((1, n, 1), |(_, at, _)| right[at]));
            let solution = solve(&mut g, input, b, n);
            g.output(solution, "solution", &[n]);
            let input = ArrayD::from_shape_vec(IxDyn(&[1, n, n]), matrix.clone()).expect("a matrix");
            let found = evaluate(&g.finish("solve"), &input);
            for (row, expected) in matrix.chunks_exact(n).zip(&right) {
                let again: f64 = row.iter().zip(&found).map(|(a, x)| a * x).sum();
                prop_assert!((again - expected).abs() < 1e-9, "{} is not {}", again, expected);
            }
        }
    }

    #[test]
    fn a_triangle_leaves_out_what_is_not_used() {
        let (places, weights) = upper_triangle(3, 2);
        assert_eq!(places, [0, 1, 4]);
        assert_eq!(weights, [1.0, std::f64::consts::SQRT_2, 1.0]);
    }
}
