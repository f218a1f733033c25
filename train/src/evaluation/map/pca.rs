//! The first two principal components of a few vectors.

use models::svm::kernel::dot;

/// Rounds of the power iteration; what two components are as good as equal matters little for where a map begins.
const ROUNDS: usize = 300;

/// Scores of the vectors, which are of one length, on their first two principal components, the first with deviation 1. Of the two
/// directions of a component the one is taken in which the score of largest size is positive.
///
/// By power iteration on the matrix of the inner products of the vectors, `[n, n]`, which is small where dimensions are many.
pub(super) fn first_two(vectors: &[Vec<f64>]) -> Vec<[f64; 2]> {
    let n = vectors.len();
    let dim = vectors.first().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..dim).map(|i| vectors.iter().map(|v| v[i]).sum::<f64>() / n.max(1) as f64).collect();
    let centred: Vec<Vec<f64>> =
        vectors.iter().map(|vector| vector.iter().zip(&mean).map(|(x, mean)| x - mean).collect()).collect();
    let mut gram = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let product = dot(&centred[i], &centred[j]);
            gram[i][j] = product;
            gram[j][i] = product;
        }
    }
    let first = component(&gram, None);
    let second = component(&gram, Some(&first.0));
    // A score is an eigenvector times the root of its eigenvalue.
    let scale = first.1.max(f64::MIN_POSITIVE).sqrt();
    let deviation = scale / (n.max(1) as f64).sqrt();
    let (of_first, of_second) = (scale / deviation, second.1.max(0.0).sqrt() / deviation);
    first.0.iter().zip(&second.0).map(|(a, b)| [a * of_first, b * of_second]).collect()
}

/// Eigenvector of length 1 and eigenvalue: the largest, or the largest of those at right angles to `but`.
fn component(gram: &[Vec<f64>], but: Option<&[f64]>) -> (Vec<f64>, f64) {
    let n = gram.len();
    // No vector begins at right angles to everything: the parts are all different.
    let mut vector: Vec<f64> = (0..n).map(|i| 1.0 + (i as f64 * 0.754_877_666).fract()).collect();
    let mut value = 0.0;
    for _ in 0..ROUNDS {
        if let Some(but) = but {
            let along = dot(&vector, but);
            vector.iter_mut().zip(but).for_each(|(x, but)| *x -= along * but);
        }
        let length = dot(&vector, &vector).sqrt();
        if length < 1e-150 {
            return (vec![0.0; n], 0.0);
        }
        vector.iter_mut().for_each(|x| *x /= length);
        let next: Vec<f64> = gram.iter().map(|row| dot(row, &vector)).collect();
        value = dot(&next, &vector);
        vector = next;
    }
    let length = dot(&vector, &vector).sqrt();
    if length < 1e-150 {
        return (vec![0.0; n], 0.0);
    }
    let largest = vector.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
    let factor = 1.0 / length.copysign(largest);
    (vector.into_iter().map(|x| x * factor).collect(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_directions_are_found() {
        // An ellipsoid in four dimensions, turned: along (1, 1, 0, 0) five times, along (0, 0, 3, 4) twice as long as elsewhere.
        let vectors: Vec<Vec<f64>> = (0..40)
            .map(|i| {
                let angle = f64::from(i) * std::f64::consts::TAU / 40.0;
                let (a, b, c) = (5.0 * angle.cos(), 2.0 * angle.sin(), 0.1 * (3.0 * angle).cos());
                vec![a / 2f64.sqrt() + 7.0, a / 2f64.sqrt(), 0.6 * b - 0.8 * c, 0.8 * b + 0.6 * c]
            })
            .collect();
        let scores = first_two(&vectors);
        let deviation = |axis: usize| (scores.iter().map(|score| score[axis].powi(2)).sum::<f64>() / 40.0).sqrt();
        assert!(
            (deviation(0) - 1.0).abs() < 1e-9 && (deviation(1) - 0.4).abs() < 1e-6,
            "{} {}",
            deviation(0),
            deviation(1)
        );
        for (i, score) in scores.iter().enumerate() {
            let angle = i as f64 * std::f64::consts::TAU / 40.0;
            assert!((score[0].abs() - 2f64.sqrt() * angle.cos().abs()).abs() < 1e-6);
        }
        assert_eq!(first_two(&vectors), scores);
        assert_eq!(first_two(&vec![vec![3.0, 1.0]; 5]), vec![[0.0, 0.0]; 5], "nothing varies");
        assert!(first_two(&[]).is_empty());
    }
}
