//! [`Svm`]: the fitted machine, and its safetensors file.

use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};

use super::{
    kernel,
    probability::{Sigmoid, couple, normalised_odds, tempered},
};
use crate::{Error, Result, conformal::Conformal, format::FormatVersion};

/// Every number of an [`Svm`], not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SvmParameters {
    /// Mean of each dimension; `[D]`.
    pub mean: Vec<f64>,
    /// What a dimension is multiplied by after the mean is taken off: 1 / deviation, with any weight of the dimension;
    /// `[D]`, not negative. 0 leaves the dimension out.
    pub inverse_deviation: Vec<f64>,
    /// Width of the kernel, over 0.
    pub gamma: f64,
    /// Support vectors as the extractor gave them, row-major `[n_sv, D]`.
    pub support_vectors: Vec<f32>,
    /// Coefficients of each machine, row-major `[n_machines, n_sv]`: of an exact machine the dual ones, `y_i · alpha_i`, 0
    /// where a vector supports another machine.
    pub coefficients: Vec<f64>,
    /// Offset of each machine; `[n_machines]`. Pairs are in the order (0, 1), (0, 2) … (k−2, k−1).
    pub rho: Vec<f64>,
    /// Slope of each machine's sigmoid; `[n_machines]`, negative for a machine that tells its classes apart.
    pub platt_a: Vec<f64>,
    /// Offset of each machine's sigmoid; `[n_machines]`.
    pub platt_b: Vec<f64>,
    /// Over 1 flattens the probabilities, under 1 sharpens them; over 0.
    pub temperature: f64,
}

/// Which classes each binary machine tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A machine for each pair of classes; their estimates are coupled ([`couple`]).
    OneVsOne,
    /// A machine for each class against all others, for so many labels that pairs would be too many; their odds are
    /// normalised ([`normalised_odds`]).
    OneVsRest,
}

impl Scheme {
    /// Machines for so many classes.
    #[must_use]
    pub fn n_machines(self, n_classes: usize) -> usize {
        match self {
            Self::OneVsOne => n_classes * n_classes.saturating_sub(1) / 2,
            Self::OneVsRest => n_classes,
        }
    }

    /// Classes of so many machines; `None` where no number of classes from 2 to 1024 has them.
    fn n_classes(self, n_machines: usize) -> Option<usize> {
        (2..=MAX_CLASSES).find(|&k| self.n_machines(k) == n_machines)
    }
}

/// Most classes of a machine.
const MAX_CLASSES: usize = 1024;

/// A fitted support vector machine; see the module `svm`.
#[derive(Clone, Debug, PartialEq)]
pub struct Svm {
    parts: SvmParameters,
    scheme: Scheme,
    n_classes: usize,
    /// Standardised support vectors, row-major `[n_sv, D]`.
    scaled: Vec<f64>,
}

/// `z = (x − mean) · inverse_deviation`.
pub fn standardise(vector: &[f32], mean: &[f64], inverse_deviation: &[f64]) -> Vec<f64> {
    let scale = mean.iter().zip(inverse_deviation);
    vector.iter().zip(scale).map(|(&x, (mean, inverse))| (f64::from(x) - mean) * inverse).collect()
}

impl Svm {
    /// One machine for each pair of classes. Checks the parts against each other.
    ///
    /// # Errors
    /// [`Error::Tensor`] for the first part whose size or values are not as [`SvmParameters`] says.
    pub fn new(parts: SvmParameters) -> Result<Self> {
        Self::of_scheme(parts, Scheme::OneVsOne)
    }

    /// As [`Svm::new`], of another scheme.
    ///
    /// # Errors
    /// As [`Svm::new`].
    pub fn of_scheme(parts: SvmParameters, scheme: Scheme) -> Result<Self> {
        let dim = parts.mean.len();
        let n_machines = parts.rho.len();
        let n_classes = scheme.n_classes(n_machines).ok_or_else(|| {
            let what = match scheme {
                Scheme::OneVsOne => "pairs are those of no number of classes",
                Scheme::OneVsRest => "machines against the rest are those of no number of classes",
            };
            Error::tensor("rho", format!("{n_machines} {what} from 2 to {MAX_CLASSES}"))
        })?;
        if dim == 0 {
            return Err(Error::tensor("scaler.mean", "is empty"));
        }
        let n_sv = parts.support_vectors.len() / dim;
        if n_sv == 0 {
            return Err(Error::tensor("support_vectors", "is empty"));
        }
        let sizes = [
            ("scaler.inverse_deviation", parts.inverse_deviation.len(), dim),
            ("support_vectors", parts.support_vectors.len(), n_sv * dim),
            ("coefficients", parts.coefficients.len(), n_machines * n_sv),
            ("platt.a", parts.platt_a.len(), n_machines),
            ("platt.b", parts.platt_b.len(), n_machines),
        ];
        if let Some((name, found, expected)) = sizes.into_iter().find(|(_, found, expected)| found != expected) {
            return Err(Error::tensor(name, format!("has {found} values, {expected} fit the other tensors")));
        }
        if let Some(index) = parts.support_vectors.iter().position(|value| !value.is_finite()) {
            return Err(Error::tensor("support_vectors", format!("value {index} is not finite")));
        }
        // The limits are far beyond any fit, and keep every sum below finite.
        const LARGE: f64 = 1e15;
        in_range("scaler.mean", &parts.mean, -f64::from(f32::MAX), f64::from(f32::MAX))?;
        in_range("scaler.inverse_deviation", &parts.inverse_deviation, 0.0, LARGE)?;
        in_range("gamma", &[parts.gamma], f64::MIN_POSITIVE, LARGE)?;
        in_range("coefficients", &parts.coefficients, -LARGE, LARGE)?;
        in_range("rho", &parts.rho, -LARGE, LARGE)?;
        in_range("platt.a", &parts.platt_a, -LARGE, LARGE)?;
        in_range("platt.b", &parts.platt_b, -LARGE, LARGE)?;
        in_range("temperature", &[parts.temperature], 0.01, 100.0)?;
        let rows = parts.support_vectors.chunks_exact(dim);
        let scaled = rows.flat_map(|row| standardise(row, &parts.mean, &parts.inverse_deviation)).collect();
        Ok(Self { parts, scheme, n_classes, scaled })
    }

    /// Every number of this machine.
    #[must_use]
    pub fn parts(&self) -> &SvmParameters {
        &self.parts
    }

    /// Which classes each machine tells apart.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Dimensions of a feature vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.parts.mean.len()
    }

    /// Classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Support vectors, each of which supports at least one machine.
    #[must_use]
    pub fn n_support_vectors(&self) -> usize {
        self.parts.support_vectors.len() / self.dim()
    }

    /// Decision value of each machine. Over 0 it speaks for the first of a pair of classes, in the order of `pairs`, or for
    /// the class against the rest.
    ///
    /// # Errors
    /// [`Error::Vector`] for a vector of another size than [`Svm::dim`], or with a value that is not finite.
    pub fn decision_function(&self, vector: &[f32]) -> Result<Vec<f64>> {
        if vector.len() != self.dim() {
            let detail = format!("has {} dimensions, the model was trained on {}", vector.len(), self.dim());
            return Err(Error::Vector { detail });
        }
        if let Some(index) = vector.iter().position(|value| !value.is_finite()) {
            return Err(Error::Vector {
                detail: format!("has a value that is not finite ({}) at {index}", vector[index]),
            });
        }
        let SvmParameters { mean, inverse_deviation, gamma, coefficients, rho, .. } = &self.parts;
        let z = standardise(vector, mean, inverse_deviation);
        let support: Vec<&[f64]> = self.scaled.chunks_exact(self.dim()).collect();
        let distances = kernel::squared_distances(&z, &support);
        let similar: Vec<f64> = distances.into_iter().map(|distance| kernel::rbf(distance, *gamma)).collect();
        let rows = coefficients.chunks_exact(similar.len());
        Ok(rows.zip(rho).map(|(row, rho)| kernel::dot(row, &similar) - rho).collect())
    }

    /// Probability of each class: not negative, never NaN, with a sum of 1.
    ///
    /// # Errors
    /// As [`Svm::decision_function`].
    pub fn probabilities(&self, vector: &[f32]) -> Result<Vec<f64>> {
        let sigmoids = self.parts.platt_a.iter().zip(&self.parts.platt_b).map(|(&a, &b)| Sigmoid { a, b });
        let decisions = self.decision_function(vector)?;
        let probabilities = match self.scheme {
            Scheme::OneVsOne => {
                let pairwise: Vec<f64> =
                    decisions.iter().zip(sigmoids).map(|(&f, sigmoid)| sigmoid.probability(f)).collect();
                couple(&pairwise, self.n_classes)
            }
            Scheme::OneVsRest => normalised_odds(decisions.into_iter().zip(sigmoids)),
        };
        Ok(tempered(&probabilities, self.parts.temperature))
    }
}

fn in_range(name: &str, values: &[f64], least: f64, most: f64) -> Result<()> {
    match values.iter().position(|value| !(least..=most).contains(value)) {
        Some(index) => {
            Err(Error::tensor(name, format!("value {index} is {}, not within {least} to {most}", values[index])))
        }
        None => Ok(()),
    }
}

const MEAN: &str = "scaler.mean";
const INVERSE_DEVIATION: &str = "scaler.inverse_deviation";
const GAMMA: &str = "gamma";
const SUPPORT_VECTORS: &str = "support_vectors";
const COEFFICIENTS: &str = "coefficients";
const RHO: &str = "rho";
const PLATT_A: &str = "platt.a";
const PLATT_B: &str = "platt.b";
const TEMPERATURE: &str = "temperature";
/// Only in files whose machines are not of pairs; a program that does not know it refuses them.
const SCHEME: &str = "scheme";
const NAMES: [&str; 10] =
    [MEAN, INVERSE_DEVIATION, GAMMA, SUPPORT_VECTORS, COEFFICIENTS, RHO, PLATT_A, PLATT_B, TEMPERATURE, SCHEME];

impl Scheme {
    /// What the tensor `scheme` says of one that is not [`Scheme::OneVsOne`], whose files have no such tensor.
    const ONE_VS_REST: u8 = 1;

    fn from_file(file: &SafeTensors<'_>) -> Result<Self> {
        if !file.names().contains(&SCHEME) {
            return Ok(Self::OneVsOne);
        }
        match tensor(file, SCHEME, Dtype::U8, [Some(1)], u8::from_le_bytes)?.0[0] {
            Self::ONE_VS_REST => Ok(Self::OneVsRest),
            other => Err(Error::tensor(
                SCHEME,
                format!(
                    "is {other}, and this program knows {} alone; use the program that wrote it",
                    Self::ONE_VS_REST
                ),
            )),
        }
    }
}

impl Svm {
    /// The bytes of a safetensors file of this machine; equal machines give equal bytes.
    ///
    /// # Shapes
    /// - `scaler.mean`, `scaler.inverse_deviation`: F64 `[D]`
    /// - `support_vectors`: F32 `[n_sv, D]`
    /// - `coefficients`: F64 `[n_machines, n_sv]`
    /// - `rho`, `platt.a`, `platt.b`: F64 `[n_machines]`
    /// - `gamma`, `temperature`: F64 `[1]`
    /// - `scheme`: U8 `[1]`, 1 for [`Scheme::OneVsRest`]; not there for [`Scheme::OneVsOne`]
    ///
    /// # Errors
    /// [`Error::Weights`] should the format not hold it.
    pub fn to_tensors(&self) -> Result<Vec<u8>> {
        let (dim, n_sv, n_machines) = (self.dim(), self.n_support_vectors(), self.parts().rho.len());
        let SvmParameters {
            mean,
            inverse_deviation,
            gamma,
            support_vectors,
            coefficients,
            rho,
            platt_a,
            platt_b,
            temperature,
        } = self.parts();
        let f64s = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let mut tensors = vec![
            (MEAN, Dtype::F64, vec![dim], f64s(mean)),
            (INVERSE_DEVIATION, Dtype::F64, vec![dim], f64s(inverse_deviation)),
            (GAMMA, Dtype::F64, vec![1], f64s(&[*gamma])),
            (
                SUPPORT_VECTORS,
                Dtype::F32,
                vec![n_sv, dim],
                support_vectors.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ),
            (COEFFICIENTS, Dtype::F64, vec![n_machines, n_sv], f64s(coefficients)),
            (RHO, Dtype::F64, vec![n_machines], f64s(rho)),
            (PLATT_A, Dtype::F64, vec![n_machines], f64s(platt_a)),
            (PLATT_B, Dtype::F64, vec![n_machines], f64s(platt_b)),
            (TEMPERATURE, Dtype::F64, vec![1], f64s(&[*temperature])),
        ];
        if self.scheme == Scheme::OneVsRest {
            tensors.push((SCHEME, Dtype::U8, vec![1], vec![Scheme::ONE_VS_REST]));
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(weights)?;
        serialize(views, None).map_err(weights)
    }

    /// The oldest format of artifacts that has a place for these weights, whatever model they are of.
    pub(crate) fn format_of(bytes: &[u8]) -> FormatVersion {
        match SafeTensors::deserialize(bytes).ok().and_then(|file| Scheme::from_file(&file).ok()) {
            Some(Scheme::OneVsRest) => FormatVersion::ONE_VS_REST,
            // Bytes that are no machine are those of a network, or are refused by whoever reads them.
            Some(Scheme::OneVsOne) | None => FormatVersion::FIRST,
        }
    }

    /// Reads a safetensors file of [`Svm::to_tensors`].
    ///
    /// # Errors
    /// [`Error::Weights`] for bytes that are no safetensors file; [`Error::Tensor`] for a tensor that is missing, surplus,
    /// of another type or shape, or holds a value that no fit gives, such as a NaN.
    pub fn from_tensors(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(weights)?;
        let known = |name: &&str| NAMES.contains(name) || Conformal::has_tensor(name);
        if let Some(name) = file.names().into_iter().filter(|name| !known(name)).min() {
            return Err(Error::tensor(name, "is not one of a support vector machine"));
        }
        let scheme = Scheme::from_file(&file)?;
        let rho = f64s(&file, RHO, [None])?;
        let n_machines = Some(rho.1[0]);
        let mean = f64s(&file, MEAN, [None])?;
        let dim = Some(mean.1[0]);
        let (support_vectors, [n_sv, _]) = tensor(&file, SUPPORT_VECTORS, Dtype::F32, [None, dim], f32::from_le_bytes)?;
        let [gamma, temperature] = [f64s(&file, GAMMA, [Some(1)])?.0[0], f64s(&file, TEMPERATURE, [Some(1)])?.0[0]];
        let parts = SvmParameters {
            mean: mean.0,
            inverse_deviation: f64s(&file, INVERSE_DEVIATION, [dim])?.0,
            gamma,
            support_vectors,
            coefficients: f64s(&file, COEFFICIENTS, [n_machines, Some(n_sv)])?.0,
            rho: rho.0,
            platt_a: f64s(&file, PLATT_A, [n_machines])?.0,
            platt_b: f64s(&file, PLATT_B, [n_machines])?.0,
            temperature,
        };
        Self::of_scheme(parts, scheme)
    }
}

fn weights(error: safetensors::SafeTensorError) -> Error {
    Error::Weights { detail: error.to_string() }
}

pub(crate) fn f64s<const N: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    shape: [Option<usize>; N],
) -> Result<(Vec<f64>, [usize; N])> {
    tensor(file, name, Dtype::F64, shape, f64::from_le_bytes)
}

/// The values of a tensor, and its shape; `None` in `shape` allows any number.
pub(crate) fn tensor<T, const N: usize, const BYTES: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    shape: [Option<usize>; N],
    read: impl Fn([u8; BYTES]) -> T,
) -> Result<(Vec<T>, [usize; N])> {
    let view = file.tensor(name).map_err(|_| Error::tensor(name, "is missing"))?;
    if view.dtype() != dtype {
        return Err(Error::tensor(name, format!("is of type {:?}, not {dtype:?}", view.dtype())));
    }
    let found: [usize; N] = view.shape().try_into().map_err(|_| {
        Error::tensor(name, format!("is of shape {:?}, which does not have {N} dimensions", view.shape()))
    })?;
    if found.iter().zip(shape).any(|(&found, expected)| expected.is_some_and(|expected| expected != found)) {
        let expected = shape.map(|size| size.map_or("any".to_owned(), |size| size.to_string())).join(", ");
        return Err(Error::tensor(name, format!("is of shape {found:?}, not [{expected}]")));
    }
    // The view's length was checked against its shape by safetensors.
    let (values, _) = view.data().as_chunks::<BYTES>();
    Ok((values.iter().map(|&bytes| read(bytes)).collect(), found))
}
