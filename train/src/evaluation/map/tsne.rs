//! t-SNE (van der Maaten and Hinton 2008, "Visualizing Data using t-SNE"), exact: every pair of points is reckoned with.
//!
//! Begun from the first two principal components, small, so that the large structure is that of the data and nothing is drawn
//! (Kobak and Berens 2019); early exaggeration and learning rate as Belkina et al. (2019). Every sum has a fixed order and every
//! `exp` is of `libm`: the same vectors give the same bits everywhere.

use models::svm::kernel::squared_distance;

use super::pca;

/// Neighbours that a point reckons with, about, where there are enough points.
const PERPLEXITY: f64 = 30.0;
/// Deviation of the first axis at the beginning.
const BEGIN: f64 = 1e-4;
const STEPS: usize = 750;
/// Steps in which points that belong together are drawn together more strongly.
const EARLY: usize = 250;
const EXAGGERATION: f64 = 12.0;
/// Halvings in the search of the width of a point's neighbourhood.
const HALVINGS: usize = 60;

/// The perplexity for `n` points: 30, and never more than a third of the other points.
pub(super) fn perplexity(n: usize) -> f64 {
    (n.saturating_sub(1) as f64 / 3.0).clamp(1.0, PERPLEXITY)
}

/// Places of the points in the plane, around 0. The vectors are of one length.
pub(super) fn tsne(vectors: &[Vec<f64>], perplexity: f64) -> Vec<[f64; 2]> {
    let n = vectors.len();
    if n < 2 {
        return vec![[0.0; 2]; n];
    }
    let p = joint(vectors, perplexity);
    let mut places: Vec<[f64; 2]> = pca::first_two(vectors).into_iter().map(|[x, y]| [x * BEGIN, y * BEGIN]).collect();
    let rate = (n as f64 / EXAGGERATION).max(50.0);
    let (mut speed, mut gains) = (vec![[0.0; 2]; n], vec![[1.0; 2]; n]);
    for step in 0..STEPS {
        let (exaggeration, momentum) = if step < EARLY { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let gradient = gradient(&p, &places, exaggeration);
        for i in 0..n {
            for axis in 0..2 {
                // Jacobs (1988): faster where the direction stays, slower where it turns.
                let turns = (gradient[i][axis] > 0.0) == (speed[i][axis] > 0.0);
                let gain: f64 = if turns { gains[i][axis] * 0.8 } else { gains[i][axis] + 0.2 };
                gains[i][axis] = gain.max(0.01);
                speed[i][axis] = momentum * speed[i][axis] - rate * gains[i][axis] * gradient[i][axis];
                places[i][axis] += speed[i][axis];
            }
        }
        for axis in 0..2 {
            let mean = places.iter().map(|place| place[axis]).sum::<f64>() / n as f64;
            places.iter_mut().for_each(|place| place[axis] -= mean);
        }
    }
    places
}

/// `p_ij`, row-major below the diagonal: for `i`, every `j < i`. The sum over all ordered pairs is 1.
fn joint(vectors: &[Vec<f64>], perplexity: f64) -> Vec<f64> {
    let n = vectors.len();
    let mut squared = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..i {
            let distance = squared_distance(&vectors[i], &vectors[j]);
            squared[i][j] = distance;
            squared[j][i] = distance;
        }
    }
    let rows: Vec<Vec<f64>> = (0..n).map(|i| neighbours(&squared[i], i, libm::log(perplexity))).collect();
    let mut p = Vec::with_capacity(n * (n - 1) / 2);
    for (i, row) in rows.iter().enumerate() {
        p.extend(row.iter().zip(&rows[..i]).map(|(there, back)| (there + back[i]) / (2 * n) as f64));
    }
    p
}

/// `p_j|i` for every `j`: a Gaussian whose width gives this entropy.
fn neighbours(squared: &[f64], own: usize, entropy: f64) -> Vec<f64> {
    let others = || squared.iter().enumerate().filter(|(j, _)| *j != own).map(|(_, distance)| *distance);
    let nearest = others().fold(f64::INFINITY, f64::min);
    let mean = others().sum::<f64>() / (squared.len() - 1) as f64;
    let weights = |beta: f64| -> (Vec<f64>, f64) {
        let of = |(j, distance): (usize, &f64)| if j == own { 0.0 } else { libm::exp(-beta * (distance - nearest)) };
        let weights: Vec<f64> = squared.iter().enumerate().map(of).collect();
        let sum: f64 = weights.iter().sum();
        let spread: f64 = weights.iter().zip(squared).map(|(weight, distance)| weight * (distance - nearest)).sum();
        let found = libm::log(sum) + beta * spread / sum;
        (weights.into_iter().map(|weight| weight / sum).collect(), found)
    };
    // The narrower, the less entropy. Widths are sought around the mean distance, by their logarithms.
    let beyond = mean - nearest;
    let scale = if beyond > 1e-250 { 1.0 / beyond } else { 1.0 };
    let (mut low, mut high) = (-20.0, 20.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if weights(scale * libm::exp(middle)).1 > entropy { low = middle } else { high = middle }
    }
    weights(scale * libm::exp(f64::midpoint(low, high))).0
}

/// The gradient of the Kullback–Leibler divergence: `4 Σ_j (e p_ij − q_ij) (y_i − y_j) / (1 + ‖y_i − y_j‖²)`.
fn gradient(p: &[f64], places: &[[f64; 2]], exaggeration: f64) -> Vec<[f64; 2]> {
    let n = places.len();
    // What attracts, and what repels before it is divided by the sum over all pairs.
    let (mut towards, mut away) = (vec![[0.0; 2]; n], vec![[0.0; 2]; n]);
    let (mut total, mut at) = (0.0, 0);
    for i in 0..n {
        let [x, y] = places[i];
        let (mut here_towards, mut here_away) = ([0.0; 2], [0.0; 2]);
        for (j, p) in (0..i).zip(&p[at..at + i]) {
            let (dx, dy) = (x - places[j][0], y - places[j][1]);
            let near = 1.0 / (1.0 + dx * dx + dy * dy);
            total += near;
            let (attract, repel) = (p * near, near * near);
            here_towards[0] += attract * dx;
            here_towards[1] += attract * dy;
            here_away[0] += repel * dx;
            here_away[1] += repel * dy;
            towards[j][0] -= attract * dx;
            towards[j][1] -= attract * dy;
            away[j][0] -= repel * dx;
            away[j][1] -= repel * dy;
        }
        at += i;
        for axis in 0..2 {
            towards[i][axis] += here_towards[axis];
            away[i][axis] += here_away[axis];
        }
    }
    let sum = 2.0 * total;
    let of = |(towards, away): (&[f64; 2], &[f64; 2])| {
        [0, 1].map(|axis: usize| 4.0 * (exaggeration * towards[axis] - away[axis] / sum))
    };
    towards.iter().zip(&away).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::rng::Rng;

    /// Clusters of `each` points in twenty dimensions, `apart` from each other.
    fn clusters(n: usize, each: usize, apart: f64, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = Rng::new(seed);
        let centres: Vec<Vec<f64>> = (0..n).map(|_| (0..20).map(|_| apart * rng.normal()).collect()).collect();
        (0..n * each).map(|i| centres[i % n].iter().map(|x| x + rng.normal()).collect()).collect()
    }

    fn nearest<V: AsRef<[f64]>>(points: &[V], own: usize, k: usize) -> Vec<usize> {
        let distance = |j: usize| -> f64 {
            points[own].as_ref().iter().zip(points[j].as_ref()).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let mut others: Vec<usize> = (0..points.len()).filter(|&j| j != own).collect();
        others.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        others.truncate(k);
        others
    }

    #[test]
    fn clusters_stay_together() {
        let vectors = clusters(5, 30, 4.0, 7);
        let places = tsne(&vectors, perplexity(vectors.len()));
        for i in 0..vectors.len() {
            assert!(nearest(&places, i, 5).iter().all(|j| j % 5 == i % 5), "point {i}");
        }
    }

    #[test]
    fn neighbours_on_a_ring_stay_neighbours() {
        let turn = |i: usize| i as f64 * std::f64::consts::TAU / 100.0;
        let vectors: Vec<Vec<f64>> =
            (0..100).map(|i| vec![turn(i).cos(), turn(i).sin(), 0.2 * (2.0 * turn(i)).sin(), 0.0]).collect();
        let places = tsne(&vectors, 10.0);
        let kept = |i: usize| {
            let near = nearest(&places, i, 6);
            nearest(&vectors, i, 6).iter().filter(|j| near.contains(j)).count()
        };
        let share = (0..100).map(kept).sum::<usize>() as f64 / 600.0;
        assert!(share > 0.9, "{share} of the neighbours are kept");
    }

    #[test]
    fn the_same_bits_again_and_no_accident_with_odd_points() {
        let vectors = clusters(3, 20, 2.0, 1);
        assert_eq!(tsne(&vectors, 10.0), tsne(&vectors, 10.0));
        for odd in [vec![vec![1.0, 2.0]; 12], vec![vec![0.0; 0]; 12], [vec![vec![0.0]; 11], vec![vec![1e150]]].concat()]
        {
            let places = tsne(&odd, perplexity(odd.len()));
            assert!(places.iter().flatten().all(|value| value.is_finite()), "{places:?}");
        }
        assert_eq!(tsne(&[vec![1.0]], 1.0), [[0.0, 0.0]]);
    }

    #[test]
    fn every_point_reckons_with_as_many_neighbours() {
        let vectors = clusters(4, 25, 3.0, 3);
        let squared: Vec<f64> =
            vectors.iter().map(|other| other.iter().zip(&vectors[9]).map(|(a, b)| (a - b) * (a - b)).sum()).collect();
        let row = neighbours(&squared, 9, libm::log(20.0));
        let entropy: f64 = row.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        assert!((entropy.exp() - 20.0).abs() < 1e-6, "{}", entropy.exp());
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12 && row[9] == 0.0);
        assert!((joint(&vectors, 20.0).iter().sum::<f64>() * 2.0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let vectors = clusters(2, 5, 2.0, 5);
        let p = joint(&vectors, 3.0);
        let places: Vec<[f64; 2]> = vectors.iter().map(|vector| [vector[0], vector[1]]).collect();
        let divergence = |places: &[[f64; 2]]| -> f64 {
            let near = |i: usize, j: usize| {
                1.0 / (1.0 + (places[i][0] - places[j][0]).powi(2) + (places[i][1] - places[j][1]).powi(2))
            };
            let pairs: Vec<_> = (0..places.len()).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
            let total: f64 = pairs.iter().map(|&(i, j)| 2.0 * near(i, j)).sum();
            pairs.iter().zip(&p).map(|(&(i, j), p)| 2.0 * p * (p / (near(i, j) / total)).ln()).sum()
        };
        let gradient = gradient(&p, &places, 1.0);
        for (i, axis) in [(0, 0), (3, 1), (9, 0)] {
            let moved = |by: f64| {
                let mut places = places.clone();
                places[i][axis] += by;
                divergence(&places)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - gradient[i][axis]).abs() < 1e-7, "{slope} {}", gradient[i][axis]);
        }
    }
}
