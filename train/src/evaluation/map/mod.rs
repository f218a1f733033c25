//! [`Map`]: the judged clips in a plane, alike beside alike, by what a model hears of them.

mod pca;
mod tsne;

use data::rng::Rng;

use crate::evaluation::metrics::Scored;

/// Clips that are shown at most: exact t-SNE takes time with their square.
pub const MOST: usize = 1_000;
/// Fewer have no neighbourhoods to speak of.
const LEAST: usize = 10;
/// Least probability whose logarithm is taken.
const LEAST_PROBABILITY: f64 = 1e-15;

/// Places of clips; distances over a few neighbours mean something, far ones and the axes do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// What two clips are alike by.
    pub by: &'static str,
    /// The clips that are shown, ascending.
    pub clips: Vec<usize>,
    /// Where each of them is.
    pub places: Vec<[f64; 2]>,
    /// Clips that there are.
    pub of: usize,
    /// Neighbours that each clip reckons with, about.
    pub perplexity: f64,
}

impl Map {
    /// The clips by the vectors of their passages, `[clip][passage][dimension]`: their means, each dimension with mean 0 and
    /// deviation 1 over the clips. `None` of fewer than ten clips, and where any has no vector.
    #[must_use]
    pub fn of_vectors(by: &'static str, scored: &[Scored], passages: &[Vec<Vec<f32>>], seed: u64) -> Option<Self> {
        let dim = passages.first()?.first()?.len();
        let fits = |clip: &Vec<Vec<f32>>| !clip.is_empty() && clip.iter().all(|vector| vector.len() == dim);
        if passages.len() != scored.len() || !passages.iter().all(fits) {
            return None;
        }
        let clips = shown(scored, seed);
        let mean = |clip: &usize| -> Vec<f64> {
            let passages = &passages[*clip];
            let sum = |i: usize| passages.iter().map(|vector| f64::from(vector[i])).sum::<f64>();
            (0..dim).map(|i| sum(i) / passages.len() as f64).collect()
        };
        let mut vectors: Vec<_> = clips.iter().map(mean).collect();
        standardise(&mut vectors);
        Self::new(by, clips, &vectors, scored.len())
    }

    /// The clips by the logarithms of their probabilities, less the mean of each clip: what is left of a clip where nothing but the
    /// answer was kept. `None` of fewer than ten clips.
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

    fn new(by: &'static str, clips: Vec<usize>, vectors: &[Vec<f64>], of: usize) -> Option<Self> {
        if clips.len() < LEAST {
            return None;
        }
        let perplexity = tsne::perplexity(clips.len());
        let places = tsne::tsne(vectors, perplexity);
        Some(Self { by, clips, places, of, perplexity })
    }
}

/// All clips, or so many of them, each genre by its share: every n-th, where clips stand in the order of their genres, and within
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

#[cfg(test)]
mod tests {
    use super::*;

    fn clips(n: usize) -> Vec<Scored> {
        let clip = |i: usize| {
            let truth = i % 3;
            let mut probabilities = vec![0.02; 3];
            probabilities[truth] = 0.96 - 0.001 * (i % 7) as f64;
            Scored { clip_id: i.to_string(), credit: String::new(), group: i.to_string(), truth, probabilities }
        };
        (0..n).map(clip).collect()
    }

    #[test]
    fn clips_of_one_answer_lie_together() {
        let scored = clips(60);
        let map = Map::of_probabilities(&scored, 1).unwrap();
        assert_eq!(map.clips, (0..60).collect::<Vec<_>>());
        for (i, a) in map.places.iter().enumerate() {
            let distance = |b: &[f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
            let nearest = (0..60)
                .filter(|&j| j != i)
                .min_by(|&j, &k| distance(&map.places[j]).total_cmp(&distance(&map.places[k])));
            assert_eq!(nearest.unwrap() % 3, i % 3, "clip {i}");
        }
        assert!(Map::of_probabilities(&clips(9), 1).is_none());
    }

    #[test]
    fn of_many_clips_an_even_part_is_shown() {
        let scored = clips(2 * MOST + 700);
        let shown_of = |seed| shown(&scored, seed);
        assert_eq!(shown_of(1), shown_of(1));
        assert_ne!(shown_of(1), shown_of(2));
        let shown = shown_of(1);
        assert!(shown.len() == MOST && shown.is_sorted_by(|a, b| a < b));
        let of_genre = |genre| shown.iter().filter(|&&clip| scored[clip].truth == genre).count();
        assert!((0..3).all(|genre| of_genre(genre).abs_diff(MOST / 3) <= 2));
    }

    #[test]
    fn vectors_that_do_not_fit_give_no_map() {
        let scored = clips(20);
        let mut passages: Vec<_> = (0..20).map(|i| vec![vec![i as f32, 1.0, (i * i % 7) as f32]; 1 + i % 2]).collect();
        let map = |passages: &[Vec<Vec<f32>>]| Map::of_vectors("them", &scored, passages, 1);
        let places = map(&passages).unwrap().places;
        assert!(places.iter().flatten().all(|value| value.is_finite()));
        assert!(map(&passages[1..]).is_none());
        passages[3][0].pop();
        assert!(map(&passages).is_none());
        passages[3].clear();
        assert!(map(&passages).is_none());
    }
}
