//! A real VGG19 of two blocks, whose random convolutions tell the three sounds apart.

use features::{Clip, Extractor, FeatureSpec};
use models::vgg19::{
    BackboneWeights, Backend, Channels, HeadParameters, Statistic, Vgg19Config, Vgg19Parameters, embed,
    no_normalisation,
};

use crate::{
    model,
    wav::{RATE, Sound},
};

const SECONDS: [f64; 3] = [2.0, 3.0, 6.0];
/// Sharpens the probabilities, so that each sound is told with confidence.
const GAIN: f32 = 10.0;

/// The windows of the SVM, and no descriptors: it takes the log-mel itself.
pub(crate) fn spec() -> FeatureSpec {
    model::spec().log_mel_alone()
}

/// Draws that are normal enough: the sum of twelve uniform ones.
fn normal() -> impl FnMut() -> f64 {
    let mut state = 1u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let sum = |d: usize| vectors.iter().map(|vector| vector[d]).sum::<f32>();
    (0..vectors[0].len()).map(|d| sum(d) / vectors.len() as f32).collect()
}

/// A network whose head finds the sound with the nearest mean embedding.
pub(crate) fn parts() -> Vgg19Parameters {
    let spec = spec();
    let (n_mels, n_classes) = (spec.mel.n_mels, Sound::ALL.len());
    let config = Vgg19Config {
        normalisations: no_normalisation(),
        pooled_blocks: vec![1, 2],
        statistics: vec![Statistic::Average, Statistic::Deviation],
        log_covariance: None,
        n_classes,
    };
    let mut parts = Vgg19Parameters {
        config,
        channels: Channels::Repeat,
        band_upsampling: 2,
        // What is loud counts for less in a high band, so that a network that forgets where still tells bands apart.
        mean: (0..n_mels).map(|band| -70.0 + 60.0 * band as f32 / n_mels as f32).collect(),
        deviation: vec![20.0; n_mels],
        weights: BackboneWeights::random(2, normal()),
        axes: Vec::new(),
        head: HeadParameters { mean: vec![], scale: vec![], weight: vec![], bias: vec![] },
        temperature: 1.5,
    };
    let device = Backend::default().open().expect("the CPU is always there");
    let network = parts.config.init(&parts.weights, &device).expect("two blocks");
    let input = parts.preprocessor(&spec);
    let extractor = Extractor::new(spec).expect("valid");
    let extract_vector = |sound: Sound, seconds: f64, seed: u64| -> Vec<f32> {
        let clip = Clip::new(sound.samples(seconds, seed), RATE).expect("finite");
        let analysis = extractor.extract(&clip).expect("long enough");
        let planes = input.planes(&[input.standardise(analysis.log_mel())], &device);
        embed(&parts.config, &network.activations(planes), None).into_data().try_to_vec().expect("32-bit floats")
    };
    let vectors = Sound::ALL.map(|sound| {
        let all: Vec<_> =
            SECONDS.iter().zip(1..).map(|(&seconds, seed)| extract_vector(sound, seconds, seed)).collect();
        mean(&all)
    });
    let centre = mean(&vectors);
    let away = vectors.map(|own| own.iter().zip(&centre).map(|(own, centre)| own - centre).collect::<Vec<_>>());
    let longest = away.iter().map(|own| dot(own, own).sqrt()).fold(0.0, f32::max);
    let means = away.map(|own| own.iter().map(|x| x / longest).collect::<Vec<_>>());
    parts.head = HeadParameters {
        scale: vec![longest.recip(); centre.len()],
        mean: centre,
        // |x − m|² is least where x·m − |m|²/2 is greatest.
        weight: means.iter().flatten().map(|x| GAIN * x).collect(),
        bias: means.iter().map(|own| -GAIN * dot(own, own) / 2.0).collect(),
    };
    parts
}
