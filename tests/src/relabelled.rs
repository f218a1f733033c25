//! Models of any labels, without a training.

use std::path::Path;

use data::labels::LabelSet;
use models::{
    artifact::{self, Artifact, Draft},
    svm::{Svm, SvmParameters, pairs},
};

/// Writes an SVM with these labels into the folder `artifacts` and puts it in use. Its support vectors are those of the SVM in the
/// folder `from`, dealt to the labels in turn: its predictions mean nothing, but differ from clip to clip.
///
/// # Panics
/// When `from` holds no SVM, or one of fewer support vectors than labels, or the artifact cannot be written.
pub fn relabelled(from: &Path, labels: &[&str], artifacts: &Path) {
    let artifact = Artifact::open(&artifact::resolve(from, None).expect("a version")).expect("an artifact");
    let manifest = artifact.manifest();
    let svm = Svm::from_tensors(artifact.weights().expect("weights")).expect("an SVM");
    let (n, k) = (svm.n_support_vectors(), labels.len());
    assert!(n >= k, "{n} support vectors are too few for {k} labels");
    let coefficient = |vector: usize, (a, b): (usize, usize)| match vector % k {
        class if class == a => 1.0,
        class if class == b => -1.0,
        _ => 0.0,
    };
    let pairs: Vec<_> = pairs(k).collect();
    let svm = Svm::new(SvmParameters {
        coefficients: pairs.iter().flat_map(|&pair| (0..n).map(move |vector| coefficient(vector, pair))).collect(),
        rho: vec![0.0; pairs.len()],
        platt_a: vec![-4.0; pairs.len()],
        platt_b: vec![0.0; pairs.len()],
        temperature: 1.0,
        ..svm.parts().clone()
    });
    let file = |name: &str| artifact.file(name).expect("a file").to_vec();
    let draft = Draft {
        model: manifest.model.clone(),
        labels: LabelSet::from_names(labels).expect("labels"),
        spec: manifest.spec.clone(),
        training: manifest.training.clone(),
        data: manifest.data.clone(),
        metrics: manifest.metrics.clone(),
        weights: svm.and_then(|svm| svm.to_tensors()).expect("a machine of so many classes"),
        metrics_json: file(artifact::METRICS),
        report_html: file(artifact::REPORT),
    };
    let written = draft.write(artifacts).expect("written");
    artifact::set_current(&artifacts.join(&manifest.model), &written.version).expect("in use");
}
