//! [`Search`]: which hyperparameters are tried, and what is best.

use serde::{Deserialize, Serialize};

use super::{
    error::{Error, Result},
    solver::{LANDMARKS, Solver},
};

/// The grid of hyperparameters and the cross-validation that chooses among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Penalties of a clip on the wrong side; over 0.
    pub c: Vec<f64>,
    /// Widths of the kernel as multiples of scikit-learn's `gamma="scale"`, 1 / (D · variance); over 0.
    pub gamma: Vec<f64>,
    /// How far blocks of dimensions (`mfcc` of `mfcc.3.mean`) are evened out: at 0 each dimension has variance 1, at 1
    /// each block has the same total variance whatever its size; 0 to 1.
    pub balance: Vec<f64>,
    /// Whether a mistake in a rarer class costs more.
    pub class_weight: ClassWeight,
    /// Folds of the cross-validation, at least 2. Artists are never split.
    pub folds: usize,
    /// Times that the cross-validation is done, each with other folds; at least 1.
    pub repeats: usize,
    /// What "best" means.
    pub criterion: Criterion,
    /// What turns decision values into probabilities.
    pub calibration: Calibration,
    /// Whether the coupled probabilities get a temperature, where cross-validation shows that it helps.
    pub temperature: bool,
    /// Largest violation of the optimality conditions that the solver accepts; libsvm's default is 1e-3. Coordinate descent
    /// accepts ten times as much.
    pub tolerance: f64,
    /// What fits the machines; not written where the size of the dataset decides.
    #[serde(default, skip_serializing_if = "Solver::is_auto")]
    pub solver: Solver,
    /// Support vectors that a low-rank map is made of, 16 to 8192; not written where it is 2048.
    #[serde(default = "landmarks", skip_serializing_if = "is_default_landmarks")]
    pub landmarks: usize,
    /// Whether a copy of each clip that is cut off at some frequency is fitted on besides: see [`crate::training::band_limited`]. Not written
    /// where it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub band_limited: bool,
}

fn landmarks() -> usize {
    LANDMARKS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_landmarks(landmarks: &usize) -> bool {
    *landmarks == LANDMARKS
}

/// Whether a mistake in a rarer class costs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// Every clip costs the same.
    Equal,
    /// `C · n / (2 · n_class)` within each pair, as scikit-learn's `class_weight="balanced"` does over all classes.
    Balanced,
}

impl ClassWeight {
    /// What a clip of the first and of the second class of a pair counts.
    pub(super) fn of_pair(self, n_first: f64, n_second: f64) -> (f64, f64) {
        let n = n_first + n_second;
        match self {
            Self::Equal => (1.0, 1.0),
            Self::Balanced => (n / (2.0 * n_first), n / (2.0 * n_second)),
        }
    }
}

/// How the sigmoids are fitted that turn decision values into probabilities of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// Slope and offset for each machine (Platt 1999).
    EachPair,
    /// One slope for all machines and no offset.
    SharedSlope,
}

/// By what the hyperparameters are chosen; the other one, then the order of the grid, decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// Share of clips that is right.
    Accuracy,
    /// Mean negative logarithm of the probability of the right class.
    LogLoss,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            c: vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
            gamma: vec![0.0625, 0.125, 0.25, 0.5],
            balance: vec![0.0],
            class_weight: ClassWeight::Equal,
            folds: 5,
            repeats: 1,
            criterion: Criterion::Accuracy,
            calibration: Calibration::SharedSlope,
            temperature: true,
            tolerance: 1e-3,
            solver: Solver::Auto,
            landmarks: LANDMARKS,
            band_limited: true,
        }
    }
}

/// One point of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hyperparameters {
    /// Penalty of a clip on the wrong side.
    pub c: f64,
    /// Width of the kernel as a multiple of 1 / (D · variance).
    pub gamma: f64,
    /// How far blocks of dimensions are evened out.
    pub balance: f64,
}

impl Search {
    /// Only these hyperparameters: cross-validation then serves calibration alone.
    #[must_use]
    pub fn only(Hyperparameters { c, gamma, balance }: Hyperparameters) -> Self {
        Self { c: vec![c], gamma: vec![gamma], balance: vec![balance], ..Self::default() }
    }

    /// Points of the grid.
    #[must_use]
    pub fn len(&self) -> usize {
        self.balance.len() * self.gamma.len() * self.c.len()
    }

    /// Whether the grid has no point; such a search is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses what no machine can be fitted with.
    ///
    /// # Errors
    /// [`Error::Search`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let check = |ok: bool, field: &'static str, problem: String| {
            if ok { Ok(()) } else { Err(Error::Search { field, problem }) }
        };
        let grid = |values: &[f64], field, least: f64, most: f64| {
            check(!values.is_empty(), field, "is empty".into())?;
            let bad = values.iter().find(|value| !(least..=most).contains(*value));
            check(bad.is_none(), field, format!("has {bad:?}, not within {least} to {most}"))
        };
        grid(&self.c, "c", 1e-6, 1e9)?;
        grid(&self.gamma, "gamma", 1e-6, 1e6)?;
        grid(&self.balance, "balance", 0.0, 1.0)?;
        check((2..=1000).contains(&self.folds), "folds", format!("is {}, not 2 to 1000", self.folds))?;
        check((1..=100).contains(&self.repeats), "repeats", format!("is {}, not 1 to 100", self.repeats))?;
        check(
            (1e-9..=0.1).contains(&self.tolerance),
            "tolerance",
            format!("is {}, not within 1e-9 to 0.1", self.tolerance),
        )?;
        check((16..=8192).contains(&self.landmarks), "landmarks", format!("is {}, not 16 to 8192", self.landmarks))
    }
}
