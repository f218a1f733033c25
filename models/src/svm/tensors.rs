//! An [`Svm`] as a safetensors file.

use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};

use super::{Svm, SvmParameters};
use crate::{Error, Result};

const MEAN: &str = "scaler.mean";
const INVERSE_DEVIATION: &str = "scaler.inverse_deviation";
const GAMMA: &str = "gamma";
const SUPPORT_VECTORS: &str = "support_vectors";
const COEFFICIENTS: &str = "coefficients";
const RHO: &str = "rho";
const PLATT_A: &str = "platt.a";
const PLATT_B: &str = "platt.b";
const TEMPERATURE: &str = "temperature";
const NAMES: [&str; 9] =
    [MEAN, INVERSE_DEVIATION, GAMMA, SUPPORT_VECTORS, COEFFICIENTS, RHO, PLATT_A, PLATT_B, TEMPERATURE];

impl Svm {
    /// The bytes of a safetensors file of this machine; equal machines give equal bytes.
    ///
    /// # Shapes
    /// - `scaler.mean`, `scaler.inverse_deviation`: F64 `[D]`
    /// - `support_vectors`: F32 `[n_sv, D]`
    /// - `coefficients`: F64 `[n_pairs, n_sv]`
    /// - `rho`, `platt.a`, `platt.b`: F64 `[n_pairs]`
    /// - `gamma`, `temperature`: F64 `[1]`
    ///
    /// # Errors
    /// [`Error::Weights`] should the format not hold it.
    pub fn to_tensors(&self) -> Result<Vec<u8>> {
        let (dim, n_sv, n_pairs) = (self.dim(), self.n_support_vectors(), self.parts().rho.len());
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
        let tensors = [
            (MEAN, Dtype::F64, vec![dim], f64s(mean)),
            (INVERSE_DEVIATION, Dtype::F64, vec![dim], f64s(inverse_deviation)),
            (GAMMA, Dtype::F64, vec![1], f64s(&[*gamma])),
            (
                SUPPORT_VECTORS,
                Dtype::F32,
                vec![n_sv, dim],
                support_vectors.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ),
            (COEFFICIENTS, Dtype::F64, vec![n_pairs, n_sv], f64s(coefficients)),
            (RHO, Dtype::F64, vec![n_pairs], f64s(rho)),
            (PLATT_A, Dtype::F64, vec![n_pairs], f64s(platt_a)),
            (PLATT_B, Dtype::F64, vec![n_pairs], f64s(platt_b)),
            (TEMPERATURE, Dtype::F64, vec![1], f64s(&[*temperature])),
        ];
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(weights)?;
        serialize(views, None).map_err(weights)
    }

    /// Reads a safetensors file of [`Svm::to_tensors`].
    ///
    /// # Errors
    /// [`Error::Weights`] for bytes that are no safetensors file; [`Error::Tensor`] for a tensor that is missing, surplus,
    /// of another type or shape, or holds a value that no fit gives, such as a NaN.
    pub fn from_tensors(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(weights)?;
        if let Some(name) = file.names().into_iter().filter(|name| !NAMES.contains(name)).min() {
            return Err(Error::tensor(name, "is not one of a support vector machine"));
        }
        let rho = f64s(&file, RHO, [None])?;
        let n_pairs = Some(rho.1[0]);
        let mean = f64s(&file, MEAN, [None])?;
        let dim = Some(mean.1[0]);
        let (support_vectors, [n_sv, _]) = tensor(&file, SUPPORT_VECTORS, Dtype::F32, [None, dim], f32::from_le_bytes)?;
        let [gamma, temperature] = [f64s(&file, GAMMA, [Some(1)])?.0[0], f64s(&file, TEMPERATURE, [Some(1)])?.0[0]];
        Self::new(SvmParameters {
            mean: mean.0,
            inverse_deviation: f64s(&file, INVERSE_DEVIATION, [dim])?.0,
            gamma,
            support_vectors,
            coefficients: f64s(&file, COEFFICIENTS, [n_pairs, Some(n_sv)])?.0,
            rho: rho.0,
            platt_a: f64s(&file, PLATT_A, [n_pairs])?.0,
            platt_b: f64s(&file, PLATT_B, [n_pairs])?.0,
            temperature,
        })
    }
}

fn weights(error: safetensors::SafeTensorError) -> Error {
    Error::Weights { detail: error.to_string() }
}

fn f64s<const N: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    shape: [Option<usize>; N],
) -> Result<(Vec<f64>, [usize; N])> {
    tensor(file, name, Dtype::F64, shape, f64::from_le_bytes)
}

/// The values of a tensor, and its shape; `None` in `shape` allows any number.
fn tensor<T, const N: usize, const BYTES: usize>(
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
