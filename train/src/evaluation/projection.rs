//! [`Projection`]: scored clips in a plane, similar ones close together.
//!
//! t-SNE (van der Maaten and Hinton 2008, "Visualizing Data using t-SNE"), exact: every pair of points is reckoned with.
//!
//! Begun from the first two principal components, small, so that the large structure is that of the data and nothing is drawn
//! (Kobak and Berens 2019); early exaggeration and learning rate as Belkina et al. (2019). Every sum has a fixed order and every
//! `exp` is of `libm`: the same vectors give the same bits everywhere.

use data::rng::Rng;
use models::svm::kernel::{dot, squared_distance};

use crate::evaluation::metrics::Scored;

/// Clips that are shown at most: exact t-SNE takes time with their square.
pub const MOST: usize = 1_000;
/// Fewer have no neighbourhoods to speak of.
const LEAST: usize = 10;
/// Least probability whose logarithm is taken.
const LEAST_PROBABILITY: f64 = 1e-15;

/// Clips as points; distances between near neighbours mean something, far ones and the axes do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// What the similarity of two clips is measured by.
    pub similarity: &'static str,
    /// The clips that are shown, ascending.
    pub clips: Vec<usize>,
    /// Where each of them is.
    pub points: Vec<[f64; 2]>,
    /// Clips that there are.
    pub total: usize,
    /// Neighbours that each clip reckons with, about.
    pub perplexity: f64,
}

impl Projection {
    /// The clips by the embeddings of their segments, `[clip][segment][dimension]`: their means, each dimension with mean 0 and
    /// deviation 1 over the clips. `None` of fewer than ten clips, and where any has no vector.
    #[must_use]
    pub fn of_embeddings(
        similarity: &'static str,
        scored: &[Scored],
        embeddings: &[Vec<Vec<f32>>],
        seed: u64,
    ) -> Option<Self> {
        let dim = embeddings.first()?.first()?.len();
        let fits = |clip: &Vec<Vec<f32>>| !clip.is_empty() && clip.iter().all(|vector| vector.len() == dim);
        if embeddings.len() != scored.len() || !embeddings.iter().all(fits) {
            return None;
        }
        let clips = shown(scored, seed);
        let mean = |clip: &usize| -> Vec<f64> {
            let embeddings = &embeddings[*clip];
            let sum = |i: usize| embeddings.iter().map(|vector| f64::from(vector[i])).sum::<f64>();
            (0..dim).map(|i| sum(i) / embeddings.len() as f64).collect()
        };
        let mut vectors: Vec<_> = clips.iter().map(mean).collect();
        standardise(&mut vectors);
        Self::new(similarity, clips, &vectors, scored.len())
    }

    /// The clips by the logarithms of their probabilities, less the mean of each clip: for clips without
    /// embeddings. `None` of fewer than ten clips.
    #[must_use]
    pub fn of_probabilities(scored: &[Scored], seed: u64) -> Option<Self> {
        let clips = shown(scored, seed);
        let centred = |clip: &usize| -> Vec<f64> {
            let log = |p: &f64| libm::log(p.max(LEAST_PROBABILITY));
            let logs: Vec<f64> = scored[*clip].probabilities.iter().map(log).collect();
            let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
            logs.into_iter().map(|log| log - mean).collect()
        };
        let vectors: Vec<_> = clips.iter().map(centred).collect();
        Self::new("the logarithms of the probabilities that the model gave them", clips, &vectors, scored.len())
    }

    fn new(similarity: &'static str, clips: Vec<usize>, vectors: &[Vec<f64>], total: usize) -> Option<Self> {
        if clips.len() < LEAST {
            return None;
        }
        let perplexity = perplexity_for(clips.len());
        let points = tsne(vectors, perplexity);
        Some(Self { similarity, clips, points, total, perplexity })
    }
}

/// All clips, or so many of them, each class by its share: every n-th, where clips stand in the order of their classes, and within
/// each in an order that the seed draws.
fn shown(scored: &[Scored], seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scored.len()).collect();
    if order.len() <= MOST {
        return order;
    }
    Rng::new(seed).shuffle(&mut order);
    order.sort_by_key(|&clip| scored[clip].truth);
    let mut clips: Vec<usize> = (0..MOST).map(|i| order[i * order.len() / MOST]).collect();
    clips.sort_unstable();
    clips
}

/// Brings every dimension to mean 0 and deviation 1; one that is constant becomes 0.
fn standardise(vectors: &mut [Vec<f64>]) {
    let n = vectors.len() as f64;
    for i in 0..vectors.first().map_or(0, Vec::len) {
        let mean = vectors.iter().map(|vector| vector[i]).sum::<f64>() / n;
        let deviation = (vectors.iter().map(|vector| (vector[i] - mean) * (vector[i] - mean)).sum::<f64>() / n).sqrt();
        let factor = if deviation > 1e-9 * (1.0 + mean.abs()) { 1.0 / deviation } else { 0.0 };
        vectors.iter_mut().for_each(|vector| vector[i] = (vector[i] - mean) * factor);
    }
}

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
fn perplexity_for(n: usize) -> f64 {
    (n.saturating_sub(1) as f64 / 3.0).clamp(1.0, PERPLEXITY)
}

/// The points in the plane, around 0. The vectors are of one length.
fn tsne(vectors: &[Vec<f64>], perplexity: f64) -> Vec<[f64; 2]> {
    let n = vectors.len();
    if n < 2 {
        return vec![[0.0; 2]; n];
    }
    let p = joint(vectors, perplexity);
    let mut points: Vec<[f64; 2]> =
        first_two_components(vectors).into_iter().map(|[x, y]| [x * BEGIN, y * BEGIN]).collect();
    let rate = (n as f64 / EXAGGERATION).max(50.0);
    let (mut speed, mut gains) = (vec![[0.0; 2]; n], vec![[1.0; 2]; n]);
    for step in 0..STEPS {
        let (exaggeration, momentum) = if step < EARLY { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let gradient = gradient(&p, &points, exaggeration);
        for i in 0..n {
            for axis in 0..2 {
                // Jacobs (1988): faster where the direction stays, slower where it turns.
                let turns = (gradient[i][axis] > 0.0) == (speed[i][axis] > 0.0);
                let gain: f64 = if turns { gains[i][axis] * 0.8 } else { gains[i][axis] + 0.2 };
                gains[i][axis] = gain.max(0.01);
                speed[i][axis] = momentum * speed[i][axis] - rate * gains[i][axis] * gradient[i][axis];
                points[i][axis] += speed[i][axis];
            }
        }
        for axis in 0..2 {
            let mean = points.iter().map(|point| point[axis]).sum::<f64>() / n as f64;
            points.iter_mut().for_each(|point| point[axis] -= mean);
        }
    }
    points
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
fn gradient(p: &[f64], points: &[[f64; 2]], exaggeration: f64) -> Vec<[f64; 2]> {
    let n = points.len();
    // What attracts, and what repels before it is divided by the sum over all pairs.
    let (mut towards, mut away) = (vec![[0.0; 2]; n], vec![[0.0; 2]; n]);
    let (mut total, mut at) = (0.0, 0);
    for i in 0..n {
        let [x, y] = points[i];
        let (mut here_towards, mut here_away) = ([0.0; 2], [0.0; 2]);
        for (j, p) in (0..i).zip(&p[at..at + i]) {
            let (dx, dy) = (x - points[j][0], y - points[j][1]);
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

/// Rounds of the power iteration; what two components are as good as equal matters little for where a map begins.
const ROUNDS: usize = 300;

/// Scores of the vectors, which are of one length, on their first two principal components, the first with deviation 1. Of the two
/// directions of a component the one is taken in which the score of largest size is positive.
///
/// By power iteration on the matrix of the inner products of the vectors, `[n, n]`, which is small where dimensions are many.
fn first_two_components(vectors: &[Vec<f64>]) -> Vec<[f64; 2]> {
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

    fn clips(n: usize) -> Vec<Scored> {
        let clip = |i: usize| {
            let truth = i % 3;
            let mut probabilities = vec![0.02; 3];
            probabilities[truth] = 0.96 - 0.001 * (i % 7) as f64;
            Scored { clip_id: i.to_string(), metadata: String::new(), group: i.to_string(), truth, probabilities }
        };
        (0..n).map(clip).collect()
    }

    #[test]
    fn clips_of_one_prediction_lie_together() {
        let scored = clips(60);
        let projection = Projection::of_probabilities(&scored, 1).unwrap();
        assert_eq!(projection.clips, (0..60).collect::<Vec<_>>());
        for (i, a) in projection.points.iter().enumerate() {
            let distance = |b: &[f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
            let nearest = (0..60)
                .filter(|&j| j != i)
                .min_by(|&j, &k| distance(&projection.points[j]).total_cmp(&distance(&projection.points[k])));
            assert_eq!(nearest.unwrap() % 3, i % 3, "clip {i}");
        }
        assert!(Projection::of_probabilities(&clips(9), 1).is_none());
    }

    #[test]
    fn of_many_clips_an_even_part_is_shown() {
        let scored = clips(2 * MOST + 700);
        let shown_of = |seed| shown(&scored, seed);
        assert_eq!(shown_of(1), shown_of(1));
        assert_ne!(shown_of(1), shown_of(2));
        let shown = shown_of(1);
        assert!(shown.len() == MOST && shown.is_sorted_by(|a, b| a < b));
        let of_class = |class| shown.iter().filter(|&&clip| scored[clip].truth == class).count();
        assert!((0..3).all(|class| of_class(class).abs_diff(MOST / 3) <= 2));
    }

    #[test]
    fn embeddings_that_do_not_fit_give_no_projection() {
        let scored = clips(20);
        let mut embeddings: Vec<_> =
            (0..20).map(|i| vec![vec![i as f32, 1.0, (i * i % 7) as f32]; 1 + i % 2]).collect();
        let project = |embeddings: &[Vec<Vec<f32>>]| Projection::of_embeddings("them", &scored, embeddings, 1);
        let points = project(&embeddings).unwrap().points;
        assert!(points.iter().flatten().all(|value| value.is_finite()));
        assert!(project(&embeddings[1..]).is_none());
        embeddings[3][0].pop();
        assert!(project(&embeddings).is_none());
        embeddings[3].clear();
        assert!(project(&embeddings).is_none());
    }

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
        let points = tsne(&vectors, perplexity_for(vectors.len()));
        for i in 0..vectors.len() {
            assert!(nearest(&points, i, 5).iter().all(|j| j % 5 == i % 5), "point {i}");
        }
    }

    #[test]
    fn neighbours_on_a_ring_stay_neighbours() {
        let turn = |i: usize| i as f64 * std::f64::consts::TAU / 100.0;
        let vectors: Vec<Vec<f64>> =
            (0..100).map(|i| vec![turn(i).cos(), turn(i).sin(), 0.2 * (2.0 * turn(i)).sin(), 0.0]).collect();
        let points = tsne(&vectors, 10.0);
        let preserved = |i: usize| {
            let near = nearest(&points, i, 6);
            nearest(&vectors, i, 6).iter().filter(|j| near.contains(j)).count()
        };
        let share = (0..100).map(preserved).sum::<usize>() as f64 / 600.0;
        assert!(share > 0.9, "{share} of the neighbours are preserved");
    }

    #[test]
    fn the_same_bits_again_and_no_accident_with_odd_points() {
        let vectors = clusters(3, 20, 2.0, 1);
        assert_eq!(tsne(&vectors, 10.0), tsne(&vectors, 10.0));
        for odd in [vec![vec![1.0, 2.0]; 12], vec![vec![0.0; 0]; 12], [vec![vec![0.0]; 11], vec![vec![1e150]]].concat()]
        {
            let points = tsne(&odd, perplexity_for(odd.len()));
            assert!(points.iter().flatten().all(|value| value.is_finite()), "{points:?}");
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
        let points: Vec<[f64; 2]> = vectors.iter().map(|vector| [vector[0], vector[1]]).collect();
        let divergence = |points: &[[f64; 2]]| -> f64 {
            let near = |i: usize, j: usize| {
                1.0 / (1.0 + (points[i][0] - points[j][0]).powi(2) + (points[i][1] - points[j][1]).powi(2))
            };
            let pairs: Vec<_> = (0..points.len()).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
            let total: f64 = pairs.iter().map(|&(i, j)| 2.0 * near(i, j)).sum();
            pairs.iter().zip(&p).map(|(&(i, j), p)| 2.0 * p * (p / (near(i, j) / total)).ln()).sum()
        };
        let gradient = gradient(&p, &points, 1.0);
        for (i, axis) in [(0, 0), (3, 1), (9, 0)] {
            let moved = |by: f64| {
                let mut points = points.clone();
                points[i][axis] += by;
                divergence(&points)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - gradient[i][axis]).abs() < 1e-7, "{slope} {}", gradient[i][axis]);
        }
    }

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
        let scores = first_two_components(&vectors);
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
        assert_eq!(first_two_components(&vectors), scores);
        assert_eq!(first_two_components(&vec![vec![3.0, 1.0]; 5]), vec![[0.0, 0.0]; 5], "nothing varies");
        assert!(first_two_components(&[]).is_empty());
    }
}
