use std::collections::BTreeMap;

use data::rng::Rng;
use serde_json::json;

use super::*;
use crate::evaluation::{
    comparison::Paired,
    learning::{LearningPoint, SkippedShare},
    ranking,
};

/// Sixty clips of three classes by thirty artists, one of whom has a name to be careful with.
fn clips(seed: u64) -> Vec<Scored> {
    let mut rng = Rng::new(seed);
    let clip = |i: usize| {
        let truth = i % 3;
        let mut probabilities: Vec<f64> =
            (0..3).map(|class| 0.2 + rng.unit() + f64::from(u8::from(class == truth))).collect();
        let sum: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|p| *p /= sum);
        Scored {
            clip_id: format!("mine.{i:05}"),
            metadata: format!("AC<DC> & \"Friends' {i}"),
            group: (i / 2).to_string(),
            truth,
            probabilities,
        }
    };
    (0..60).map(clip).collect()
}

fn labels() -> Vec<String> {
    ["blues", "disco", "rock"].map(String::from).to_vec()
}

/// A page with every part.
fn page() -> String {
    let (scored, other) = (clips(1), clips(2));
    let evaluation = Evaluation::new(&labels(), &scored, 1);
    let paired = Paired::new(&labels(), &scored, &other, 1).unwrap();
    let point = |share: f64, accuracy: f64| LearningPoint {
        share,
        artists: (20.0 * share) as usize,
        clips: (100.0 * share) as usize,
        accuracy,
        ci95: [accuracy - 0.1, accuracy + 0.1],
        macro_f1: accuracy,
    };
    let learning = LearningCurve {
        points: vec![point(0.5, 0.5), point(1.0, 0.7)],
        skipped: vec![SkippedShare { share: 0.25, label: "disco".into(), artists: 1 }],
        left_out: None,
    };
    let projection = Projection::of_probabilities(&scored, 1);
    html(&Report {
        model: "svm <1>",
        split: "everything",
        leaks: "nothing & all",
        warnings: &["Careful: <b>".to_owned()],
        evaluation: &evaluation,
        scored: &scored,
        against: Some(Against { model: "vgg19 'x'", paired: &paired }),
        learning: Some(&learning),
        conformal: None,
        robustness: Some(&crate::evaluation::robustness::tests::robustness()),
        projection: projection.as_ref(),
        curves: &[Curve { title: "Loss", name: "held out", points: vec![(1.0, 2.0), (2.0, 1.0)] }],
        provenance: Provenance {
            command: "train evaluate --split everything",
            data: "100 clips",
            digests: &[("training data", "0123abcd".to_owned())],
            training: &json!({ "note": "</pre><script>alert(1)</script>" }),
        },
    })
}

#[test]
fn every_part_is_there_once_and_the_same_bytes_again() {
    let page = page();
    for heading in [
        "Classes",
        "Confusion matrix",
        "Reliability",
        "Confidence against coverage",
        "Compared with vgg19 &#39;x&#39;",
        "Learning curve",
        "Bad and short recordings",
        "Accuracy by length",
        "Similar clips",
        "Most confident mistakes",
        "How the training went",
        "How it was made",
    ] {
        assert_eq!(page.matches(&format!("<h2>{heading}</h2>")).count(), 1, "{heading}");
    }
    for words in
        ["0123abcd", "Of disco that is one artist", "McNemar", "Over 2 degradations", "Left out: mp3 &lt;1&gt;"]
    {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(self::page(), page);
}

/// Asserts that every element that is opened is closed, and counts them.
fn is_well_formed(page: &str) -> BTreeMap<&str, usize> {
    let mut open: Vec<&str> = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for tag in page.split('<').skip(1) {
        let name = tag.split([' ', '>', '/', '\n']).next().unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            let closed = closed.split('>').next().unwrap_or_default();
            assert_eq!(open.pop(), Some(closed), "at <{tag}");
        } else if !["!doctype", "meta"].contains(&name) && !tag.split('>').next().unwrap_or_default().ends_with('/') {
            open.push(name);
            *counts.entry(name).or_default() += 1;
        }
    }
    assert!(open.is_empty(), "{open:?}");
    counts
}

/// A page about `k` labels with odd names, six clips of each.
fn page_of(k: usize) -> String {
    let (names, scored) = (ranking::tests::labels(k), ranking::tests::clips(k, 6));
    let evaluation = Evaluation::new(&names, &scored, 1);
    let other: Vec<Scored> =
        scored.iter().cloned().map(|clip| Scored { probabilities: vec![1.0; k], ..clip }).collect();
    let paired = Paired::new(&names, &scored, &other, 1).expect("the same clips");
    // No t-SNE: where the clips lie is not what is tested.
    let place = |i: usize| [(i % 50) as f64, (i / 50) as f64];
    let clips: Vec<usize> = (0..scored.len().min(1_000)).collect();
    let projection = Projection {
        similarity: "a test",
        points: clips.iter().map(|&i| place(i)).collect(),
        clips,
        total: scored.len(),
        perplexity: 30.0,
    };
    html(&Report {
        model: "svm",
        split: "everything",
        leaks: "nothing",
        warnings: &[],
        evaluation: &evaluation,
        scored: &scored,
        against: Some(Against { model: "vgg19", paired: &paired }),
        learning: None,
        conformal: None,
        robustness: None,
        projection: Some(&projection),
        curves: &[],
        provenance: Provenance { command: "", data: "", digests: &[], training: &json!(null) },
    })
}

/// Rows of the table after a heading.
fn rows(page: &str, heading: &str) -> usize {
    let part = page.split_once(&format!("<h2>{heading}</h2>")).expect("a heading").1;
    let table = part.split_once("</thead>").and_then(|(_, rest)| rest.split_once("</table>")).expect("a table").0;
    table.matches("<tr>").count()
}

#[test]
fn a_page_is_made_for_any_number_of_labels() {
    // Labels; rows of the tables of classes, confusions and a comparison; bytes at most.
    for (k, classes, confused, compared, bytes) in [
        (2, 2, None, 3, 60_000),
        (10, 10, None, 11, 150_000),
        (12, 12, None, 13, 180_000),
        (13, 13, Some(13), 14, 200_000),
        (50, 50, Some(30), 51, 400_000),
        (51, 41, Some(30), 31, 400_000),
        (500, 41, Some(30), 31, 500_000),
        (1_000, 41, Some(30), 31, 500_000),
    ] {
        let page = page_of(k);
        assert!(page.len() < bytes, "{k}: {} bytes", page.len());
        assert_eq!(rows(&page, "Classes"), classes, "{k}");
        assert_eq!(rows(&page, "Compared with vgg19"), compared, "{k}");
        let matrix = page.split_once("<h2>Confusion matrix</h2>").and_then(|(_, rest)| rest.split_once("<h2>"));
        let matrix = matrix.expect("a part").0;
        assert_eq!(matrix.contains("class=\"count\""), k <= 12, "{k}: numbers in cells");
        assert_eq!(matrix.contains("aria-label=\"confusion matrix\""), k <= 50, "{k}: a matrix");
        assert_eq!(matrix.contains("aria-label=\"recall of each label"), k > 50, "{k}: recalls");
        if let Some(confused) = confused {
            assert_eq!(rows(&page, "Confusion matrix"), confused, "{k}");
        }
        let legend = page.rsplit_once("</g>").expect("marks").1;
        let named = legend.split_once("named wrongly").expect("a legend").0.matches("<text").count() - 1;
        assert_eq!(named, if k > 12 { 11 } else { k }, "{k}: entries of the legend");
        is_well_formed(&page);
        assert!(!page.contains("<b>rock") && !page.contains('\u{202e}'));
        assert!(page.contains("演歌") && page.contains("\u{2068}موسيقى شعبية\u{2069}") || k == 2);
    }
}

#[test]
fn what_concerns_many_labels_is_not_on_a_page_of_few() {
    let of_few = [page(), page_of(12)];
    assert!(of_few.iter().all(|page| !page.contains("wide many") && !page.contains(".many")));
    assert!(page_of(13).contains("wide many") && page_of(13).contains(".many{"));
}

#[test]
fn nothing_comes_from_elsewhere_and_names_are_only_text() {
    let page = page();
    assert!(!page.contains("<script") && !page.contains("://") && !page.contains("AC<DC>") && !page.contains("href"));
    assert!(page.contains("AC&lt;DC&gt; &amp; &quot;Friends&#39;"));
    assert!(page.contains("svm &lt;1&gt;") && page.contains("Careful: &lt;b&gt;"));
    let counts = is_well_formed(&page);
    assert!(counts["svg"] >= 6 && counts["table"] >= 6, "{counts:?}");
}

#[test]
fn a_report_of_nothing_and_of_what_is_always_right_can_be_drawn() {
    for scored in [
        Vec::new(),
        clips(1)
            .into_iter()
            .map(|clip| Scored {
                probabilities: (0..3).map(|i| f64::from(u8::from(i == clip.truth))).collect(),
                ..clip
            })
            .collect(),
    ] {
        let evaluation = Evaluation::new(&labels(), &scored, 1);
        let page = html(&Report {
            model: "svm",
            split: "everything",
            leaks: "nothing",
            warnings: &[],
            evaluation: &evaluation,
            scored: &scored,
            against: None,
            learning: Some(&LearningCurve { left_out: Some("it was tuned"), ..LearningCurve::default() }),
            conformal: None,
            robustness: None,
            projection: None,
            curves: &[],
            provenance: Provenance { command: "", data: "", digests: &[], training: &json!(null) },
        });
        assert!(page.contains("There is none: it was tuned.") && page.contains("There is no mistake."));
        assert!(!page.contains("NaN") && !page.contains("Similar clips") && !page.contains("Compared with"));
    }
}
