//! How far rounding takes the convolutions of VGG19 from the truth, on real weights and real clips.
//!
//! `vgg19_error DATASET WEIGHTS [CLIPS [ARTIFACT]]` sends some `valid` clips of GTZAN through the sixteen convolutions:
//! by their definition in `f64`, and in `f32` by each method of the crate `convolution`. It prints the largest error of
//! what each block gives, as a share of the largest value. With an artifact of VGG19 it then classifies all `valid`
//! clips on flex and on ndarray, which computes by Burn alone, and prints how many get another label and how far a
//! probability moves.

use std::path::Path;

use anyhow::{Context, Result};
use convolution::{Epilogue, Filters, Images, Method, Packed, channels_last, convolve};
use data::{ExtractOptions, LabelledDataset, Part, Split};
use features::{Extractor, FeatureSpec};
use models::{
    Classifier as _,
    artifact::{self, Artifact},
    vgg19::{BLOCKS, BackboneWeights, Backend, Channels, ConvWeights, Preprocessor, Vgg19Classifier, no_normalisation},
};
use rayon::prelude::*;
use train::training::{
    dataset::labels,
    vgg19::{PreparedDataset, Standardisation},
};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: vgg19_error DATASET WEIGHTS [CLIPS [ARTIFACT]]";
    let (dataset, weights) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    let clips = arguments.next().map_or(Ok(4), |clips| clips.parse()).context("the clips are not a number")?;
    let artifact = arguments.next();

    let spec = FeatureSpec::gtzan_store().log_mel_alone();
    let set = LabelledDataset::open(&[dataset], &spec, &ExtractOptions::default())?;
    let fold = Split::FaultFiltered(Part::Valid).folds(&set.items(), 0)?.swap_remove(0);
    let extractor = Extractor::new(spec)?;
    let labels = labels(&set, &fold.train);
    let training = PreparedDataset::new(&set, &fold.test, &labels, &extractor)?;
    let (mean, deviation) = training.standardisation(Standardisation::Band)?;
    let input = Preprocessor {
        normalisations: no_normalisation(),
        channels: Channels::Repeat,
        mean,
        deviation,
        min_frames: 128,
        band_upsampling: 2,
    };
    let weights = BackboneWeights::read(Path::new(&weights), BLOCKS.len())?;

    let ways = [Some(Method::F4), Some(Method::F2), Some(Method::Direct), None];
    let mut errors = [[0.0f64; BLOCKS.len()]; 4];
    for clip in (0..clips).map(|clip| clip * training.len() / clips.max(1)) {
        let planes = input.planes(&[input.standardise(&training.log_mel(clip)?)], &Backend::Flex.open()?);
        let [_, c, h, w] = planes.dims();
        let values: Vec<f32> =
            planes.into_data().try_to_vec().map_err(|error| anyhow::anyhow!("planes that are not f32: {error:?}"))?;
        let pixels = Image { values: channels_last(&values, 1, c, h * w), h, w };
        let truth = blocks(pixels.map(f64::from), &weights, in_f64);
        for (way, errors) in ways.iter().zip(&mut errors) {
            let found = blocks(pixels.clone(), &weights, |image, conv, pool| in_f32(image, conv, pool, *way));
            for ((found, truth), error) in found.iter().zip(&truth).zip(errors) {
                let largest = truth.values.iter().copied().fold(0.0, f64::max);
                let differences = found.values.iter().zip(&truth.values).map(|(&a, &b)| (f64::from(a) - b).abs());
                *error = error.max(differences.fold(0.0, f64::max) / largest);
            }
        }
    }
    println!("| method | pool1 | pool2 | pool3 | pool4 | pool5 |\n|---|---|---|---|---|---|");
    for (way, errors) in ways.iter().zip(errors) {
        let name = way.map_or_else(|| "as chosen".to_owned(), |method| format!("{method:?}"));
        println!("| {name} | {} |", errors.map(|error| format!("{error:.1e}")).join(" | "));
    }

    if let Some(artifact) = artifact {
        let artifact = Artifact::open(&artifact::resolve(Path::new(&artifact), None)?)?;
        let open = |backend| Vgg19Classifier::from_artifact(&artifact, backend);
        let (ours, burns) = (open(Backend::Flex)?, open(Backend::Ndarray)?);
        let of_clip = |&index: &usize| -> Result<(bool, f64)> {
            let analysis = set.features(index)?;
            let [a, b] = [ours.predict(&analysis)?.probabilities, burns.predict(&analysis)?.probabilities];
            let moved = a.iter().zip(&b).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
            Ok((models::most_probable(&a) != models::most_probable(&b), moved))
        };
        let compared = fold.test.par_iter().map(of_clip).collect::<Result<Vec<_>>>()?;
        let other = compared.iter().filter(|(other, _)| *other).count();
        let most = compared.iter().fold(0.0f64, |most, (_, moved)| most.max(*moved));
        println!("\n{other} of {} clips get another label; a probability moves by {most:.1e} at most", compared.len());
    }
    Ok(())
}

/// `[h][w][channels]`.
#[derive(Clone)]
struct Image<T> {
    values: Vec<T>,
    h: usize,
    w: usize,
}

impl<T: Copy> Image<T> {
    fn map<U>(&self, convert: impl Fn(T) -> U) -> Image<U> {
        Image { values: self.values.iter().map(|&value| convert(value)).collect(), h: self.h, w: self.w }
    }
}

/// What each block gives.
fn blocks<T: Clone>(
    mut image: Image<T>,
    weights: &BackboneWeights,
    conv_relu: impl Fn(&Image<T>, &ConvWeights, bool) -> Image<T>,
) -> Vec<Image<T>> {
    let mut convs = weights.convs().iter();
    let mut given = Vec::new();
    for block in BLOCKS {
        for (number, conv) in convs.by_ref().take(block.len()).enumerate() {
            image = conv_relu(&image, conv, number + 1 == block.len());
        }
        given.push(image.clone());
    }
    given
}

fn in_f32(image: &Image<f32>, conv: &ConvWeights, pool: bool, method: Option<Method>) -> Image<f32> {
    let (outputs, inputs) = (conv.layer.out_channels, conv.layer.in_channels);
    let method = method.unwrap_or_else(|| Method::choose([image.h, image.w], outputs, inputs));
    let filter = Packed::new(Filters::new(&conv.weight, outputs, inputs), method);
    let ending = Epilogue { relu: true, pool };
    let x = Images::new(&image.values, [1, image.h, image.w, inputs]);
    let values = convolve(x, &filter, &conv.bias, ending, false).values.into_vec();
    Image { values, h: ending.size(image.h), w: ending.size(image.w) }
}

/// The definition, ReLU and pooling.
fn in_f64(image: &Image<f64>, conv: &ConvWeights, pool: bool) -> Image<f64> {
    let (outputs, inputs) = (conv.layer.out_channels, conv.layer.in_channels);
    let Image { values, h, w } = image;
    // `[tap][input][output]`.
    let filter: Vec<f64> = (0..9)
        .flat_map(|tap| (0..inputs).map(move |c| (tap, c)))
        .flat_map(|(tap, c)| (0..outputs).map(move |k| (k * inputs + c) * 9 + tap))
        .map(|at| f64::from(conv.weight[at]))
        .collect();
    let mut full: Vec<f64> = (0..h * w).flat_map(|_| conv.bias.iter().map(|&bias| f64::from(bias))).collect();
    full.par_chunks_mut(outputs).enumerate().for_each(|(position, sums)| {
        let (y, x) = (position / w, position % w);
        for tap in 0..9 {
            let (i, j) = (y + tap / 3, x + tap % 3);
            if !(1..=*h).contains(&i) || !(1..=*w).contains(&j) {
                continue;
            }
            let from = &values[((i - 1) * w + j - 1) * inputs..][..inputs];
            for (&value, row) in from.iter().zip(filter[tap * inputs * outputs..].chunks_exact(outputs)) {
                sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
            }
        }
        sums.iter_mut().for_each(|sum| *sum = sum.max(0.0));
    });
    if !pool {
        return Image { values: full, h: *h, w: *w };
    }
    let at = |y: usize, x: usize, k: usize| full[(y * w + x) * outputs + k];
    let pooled = (0..h / 2).flat_map(|y| (0..w / 2).map(move |x| (2 * y, 2 * x))).flat_map(|(y, x)| {
        (0..outputs).map(move |k| at(y, x, k).max(at(y, x + 1, k)).max(at(y + 1, x, k)).max(at(y + 1, x + 1, k)))
    });
    Image { values: pooled.collect(), h: h / 2, w: w / 2 }
}
