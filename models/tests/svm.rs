//! The support vector machine against scikit-learn's, and its tensors against damage.

use models::{
    Error,
    svm::{Scheme, Svm, SvmParameters},
};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// `experiments/parity/svm_golden.py`: a fitted `SVC(probability=True)` with all its numbers.
#[derive(serde::Deserialize)]
struct Golden {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    gamma: f64,
    support_vectors: Vec<Vec<f32>>,
    coefficients: Vec<Vec<f64>>,
    rho: Vec<f64>,
    platt_a: Vec<f64>,
    platt_b: Vec<f64>,
    vectors: Vec<Vec<f32>>,
    decisions: Vec<Vec<f64>>,
    probabilities: Vec<Vec<f64>>,
}

fn golden() -> (Golden, Svm) {
    let golden: Golden = serde_json::from_str(include_str!("golden/svc.json")).expect("the golden values");
    let svm = Svm::new(SvmParameters {
        mean: golden.mean.clone(),
        inverse_deviation: golden.deviation.iter().map(|deviation| 1.0 / deviation).collect(),
        gamma: golden.gamma,
        support_vectors: golden.support_vectors.concat(),
        coefficients: golden.coefficients.concat(),
        rho: golden.rho.clone(),
        platt_a: golden.platt_a.clone(),
        platt_b: golden.platt_b.clone(),
        temperature: 1.0,
    });
    (golden, svm.expect("a machine"))
}

#[test]
fn decisions_and_probabilities_are_those_of_scikit_learn() {
    let (golden, svm) = golden();
    for ((vector, decisions), probabilities) in golden.vectors.iter().zip(&golden.decisions).zip(&golden.probabilities)
    {
        let found = svm.decision_function(vector).expect("fits");
        assert_eq!(found.len(), 6);
        for (found, expected) in found.iter().zip(decisions) {
            assert!((found - expected).abs() < 1e-10, "{found} {expected}");
        }
        // libsvm stops the coupling at a residual of 0.005 / k.
        for (found, expected) in svm.probabilities(vector).expect("fits").iter().zip(probabilities) {
            assert!((found - expected).abs() < 0.005 / 4.0, "{found} {expected}");
        }
    }
}

#[test]
fn a_machine_survives_its_tensors_and_equal_machines_give_equal_bytes() {
    let (_, svm) = golden();
    let bytes = svm.to_tensors().expect("bytes");
    let read = Svm::from_tensors(&bytes).expect("the same machine");
    assert_eq!(read, svm);
    assert_eq!(read.to_tensors().expect("bytes"), bytes);
}

/// The six machines of the golden one as those of six classes against the rest.
fn against_the_rest() -> Svm {
    Svm::of_scheme(golden().1.parts().clone(), Scheme::OneVsRest).expect("six classes")
}

#[test]
fn machines_against_the_rest_survive_their_tensors_and_say_so_in_them() {
    let svm = against_the_rest();
    assert_eq!(svm.n_classes(), 6);
    let bytes = svm.to_tensors().expect("bytes");
    assert_eq!(Svm::from_tensors(&bytes).expect("the same machine"), svm);
    assert_ne!(bytes, golden().1.to_tensors().expect("bytes"));
    let vector = &golden().0.vectors[0];
    let (decisions, p) = (svm.decision_function(vector).expect("fits"), svm.probabilities(vector).expect("fits"));
    let parts = svm.parts();
    let odds: Vec<f64> =
        (decisions.iter().zip(&parts.platt_a).zip(&parts.platt_b)).map(|((f, a), b)| (-(a * f + b)).exp()).collect();
    for (p, odds_of_class) in p.iter().zip(&odds) {
        assert!((p - odds_of_class / odds.iter().sum::<f64>()).abs() < 1e-12);
    }
}

#[test]
fn a_scheme_of_a_newer_program_is_refused() {
    for (bytes, shape, dtype, expected) in [
        (vec![0], vec![1], Dtype::U8, "is 0"),
        (vec![9], vec![1], Dtype::U8, "is 9"),
        (vec![1, 1], vec![2], Dtype::U8, "shape"),
        (vec![], vec![0], Dtype::U8, "shape"),
        (vec![1, 0, 0, 0], vec![1], Dtype::I32, "type"),
    ] {
        let refused = changed(|tensors| tensors.push(("scheme".into(), dtype, shape.clone(), bytes.clone())));
        let message = refused.expect_err("refused").to_string();
        assert!(message.contains("`scheme`") && message.contains(expected), "{message}");
    }
    let one = changed(|tensors| {
        tensors.push(("scheme".into(), Dtype::U8, vec![1], vec![1]));
        for index in [0, 2, 3, 4] {
            let data = &mut tensors[index].3;
            data.truncate(data.len() / 6);
            tensors[index].2[0] = 1;
        }
    });
    assert!(one.expect_err("refused").to_string().contains("`rho`"));
}

#[test]
fn vectors_that_do_not_fit_are_refused() {
    let (_, svm) = golden();
    assert!(svm.probabilities(&[0.0; 4]).expect_err("4 of 5").to_string().contains("4 dimensions"));
    let message = svm.probabilities(&[0.0, 0.0, f32::NAN, 0.0, 0.0]).expect_err("a NaN").to_string();
    assert!(message.contains("NaN") && message.contains("at 2"), "{message}");
    assert!(svm.decision_function(&[f32::INFINITY; 5]).is_err());
}

type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// The tensors of the golden machine after a change.
fn changed(change: impl Fn(&mut Vec<Tensor>)) -> Result<Svm, Error> {
    let bytes = golden().1.to_tensors().expect("bytes");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut tensors: Vec<Tensor> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    change(&mut tensors);
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), data).expect("a shape that fits"))
    });
    Svm::from_tensors(&safetensors::serialize(views, None).expect("bytes"))
}

#[test]
fn a_missing_surplus_or_misshapen_tensor_is_named() {
    assert!(changed(|_| {}).is_ok());
    let names = [
        "coefficients",
        "gamma",
        "platt.a",
        "platt.b",
        "rho",
        "scaler.inverse_deviation",
        "scaler.mean",
        "support_vectors",
        "temperature",
    ];
    for (index, name) in names.into_iter().enumerate() {
        let missing = changed(|tensors| drop(tensors.remove(index))).expect_err("refused").to_string();
        assert!(missing.contains(&format!("`{name}`")) && missing.contains("missing"), "{missing}");

        let renamed = changed(|tensors| tensors[index].0.push('2')).expect_err("refused").to_string();
        assert!(renamed.contains(&format!("`{name}2`")), "{renamed}");

        // The same bytes as whole numbers.
        let typed = changed(|tensors| {
            tensors[index].1 = if tensors[index].1 == Dtype::F64 { Dtype::I64 } else { Dtype::I32 };
        });
        let typed = typed.expect_err("refused").to_string();
        assert!(typed.contains(&format!("`{name}`")) && typed.contains("type"), "{typed}");

        let shaped = changed(|tensors| tensors[index].2.push(1)).expect_err("refused").to_string();
        assert!(shaped.contains(&format!("`{name}`")) && shaped.contains("shape"), "{shaped}");

        for value in [f64::NAN, f64::INFINITY, -1e300] {
            let bad = changed(|tensors| {
                let (_, dtype, _, data) = &mut tensors[index];
                match dtype {
                    Dtype::F64 => data[..8].copy_from_slice(&value.to_le_bytes()),
                    _ => data[..4].copy_from_slice(&(value as f32).to_le_bytes()),
                }
            });
            let bad = bad.expect_err("refused").to_string();
            assert!(bad.contains(&format!("`{name}`")) && bad.contains("value 0"), "{bad}");
        }
    }
    let empty = changed(|tensors| {
        tensors[7].2 = vec![0, 5];
        tensors[7].3.clear();
        let n_pairs = tensors[0].2[0];
        tensors[0].2 = vec![n_pairs, 0];
        tensors[0].3.clear();
    });
    assert!(empty.expect_err("refused").to_string().contains("`support_vectors`"));
    let five_pairs = changed(|tensors| {
        for index in [0, 2, 3, 4] {
            let data = &mut tensors[index].3;
            data.truncate(data.len() / 6 * 5);
            tensors[index].2[0] = 5;
        }
    });
    let five_pairs = five_pairs.expect_err("refused").to_string();
    assert!(five_pairs.contains("5 pairs"), "{five_pairs}");
}

#[test]
fn truncated_weights_are_refused_at_every_length() {
    let bytes = golden().1.to_tensors().expect("bytes");
    for length in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        assert!(Svm::from_tensors(&bytes[..length]).is_err(), "{length}");
    }
}

proptest! {
    /// Whatever a damaged file makes of the machine, it is refused or still gives probabilities.
    #[test]
    fn damage_never_makes_a_nan(offset in 0_usize..10_000, value: u8, vector in prop::collection::vec(-1e6_f32..1e6, 5)) {
        let mut bytes = golden().1.to_tensors().expect("bytes");
        let offset = offset % bytes.len();
        bytes[offset] = value;
        if let Ok(probabilities) = Svm::from_tensors(&bytes).and_then(|svm| svm.probabilities(&vector)) {
            prop_assert!(probabilities.iter().all(|p| p.is_finite() && *p >= 0.0));
            prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn damage_to_machines_against_the_rest_never_makes_a_nan(
        offset in 0_usize..10_000,
        value: u8,
        vector in prop::collection::vec(-1e6_f32..1e6, 5),
    ) {
        let mut bytes = against_the_rest().to_tensors().expect("bytes");
        let offset = offset % bytes.len();
        bytes[offset] = value;
        if let Ok(probabilities) = Svm::from_tensors(&bytes).and_then(|svm| svm.probabilities(&vector)) {
            prop_assert!(probabilities.iter().all(|p| p.is_finite() && *p >= 0.0));
            prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn any_finite_vector_has_probabilities(vector in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO, 5)) {
        let probabilities = golden().1.probabilities(&vector).expect("finite");
        prop_assert!(probabilities.iter().all(|p| p.is_finite() && *p > 0.0));
        prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
