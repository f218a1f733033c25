use data::rng::Rng;

use super::*;

/// `per_class` clips of each class around its own centre, each artist with two clips and an accent of its own.
fn blobs(n_classes: usize, per_class: usize, spread: f64, segments: usize, seed: u64) -> TrainingSet {
    let dim = 6;
    let mut rng = Rng::new(seed);
    let mut set =
        TrainingSet { names: (0..dim).map(|i| format!("block{}.{i}", i % 2)).collect(), ..TrainingSet::default() };
    for class in 0..n_classes {
        for clip in 0..per_class {
            let accent: Vec<f64> = (0..dim).map(|_| rng.normal() * 0.2).collect();
            for _ in 0..segments {
                let vector = (0..dim).map(|i| {
                    let centre = if i == class % dim { 2.0 } else { 0.0 };
                    (centre + accent[i] + spread * rng.normal()) as f32
                });
                set.vectors.push(vector.collect());
                set.clip.push(set.labels.len());
                set.evaluated.push(true);
            }
            set.labels.push(class);
            set.groups.push(format!("artist {class} {}", clip / 2));
        }
    }
    set
}

fn small() -> Search {
    Search { c: vec![1.0, 10.0], gamma: vec![0.3, 1.0], folds: 3, ..Search::default() }
}

fn fitted(set: &TrainingSet, search: &Search) -> FittedSvm {
    fit(set, search, 7, 2, &|_, _| {}).expect("fits")
}

#[test]
fn clips_of_new_artists_are_recognised() {
    let fit = fitted(&blobs(4, 20, 0.5, 1, 1), &small());
    let new = blobs(4, 20, 0.5, 1, 2);
    let right = new.vectors.iter().zip(&new.labels).filter(|(vector, label)| {
        let probabilities = fit.svm.probabilities(vector).expect("fits");
        models::most_probable(&probabilities) == **label
    });
    let accuracy = right.count() as f64 / new.labels.len() as f64;
    assert!(accuracy > 0.9, "{accuracy}");
    assert!(fit.report.cross_validated.accuracy > 0.85, "{:?}", fit.report.cross_validated);
    assert_eq!(fit.report.grid.len(), 4);
}

#[test]
fn what_cannot_be_told_apart_gets_no_confidence() {
    // Every class is the same cloud.
    let mut set = blobs(3, 24, 0.5, 1, 3);
    let mut rng = Rng::new(5);
    set.vectors.iter_mut().flatten().for_each(|value| *value = rng.normal() as f32);
    let fit = fitted(&set, &small());
    for vector in &set.vectors {
        let largest = fit.svm.probabilities(vector).expect("fits").into_iter().fold(0.0, f64::max);
        assert!(largest < 0.7, "{largest}");
    }
    assert!(fit.report.cross_validated.log_loss < 1.3, "chance is ln 3 = 1.10: {:?}", fit.report.cross_validated);
}

#[test]
fn a_rare_class_is_found_and_its_weight_can_be_raised() {
    let mut set = blobs(2, 60, 0.6, 1, 4);
    // 60 of class 0, 8 of class 1.
    let keep = 68;
    set.vectors.truncate(keep);
    set.clip.truncate(keep);
    set.evaluated.truncate(keep);
    set.labels.truncate(keep);
    set.groups.truncate(keep);
    let new = blobs(2, 50, 0.6, 1, 9);
    let recall = |class_weight| {
        let search = Search { class_weight, c: vec![1.0], ..small() };
        let fit = fitted(&set, &search);
        let rare = new.vectors.iter().zip(&new.labels).filter(|(_, label)| **label == 1);
        let decided = rare.clone().filter(|(vector, _)| fit.svm.decision_function(vector).expect("fits")[0] < 0.0);
        decided.count() as f64 / rare.count() as f64
    };
    let (equal, balanced) = (recall(ClassWeight::Equal), recall(ClassWeight::Balanced));
    assert!(equal > 0.5 && balanced >= equal, "{equal} {balanced}");
}

#[test]
fn threads_and_repetition_change_no_bit() {
    let set = blobs(4, 10, 0.7, 2, 6);
    let search = Search { balance: vec![0.0, 0.5], repeats: 2, ..small() };
    let bytes = |threads| {
        let fit = fit(&set, &search, 1, threads, &|_, _| {}).expect("fits");
        let report = serde_json::to_string(&fit.report).expect("numbers");
        (fit.svm.to_tensors().expect("bytes"), report)
    };
    let one = bytes(1);
    assert!(one == bytes(2) && one == bytes(1));
    let other = fit(&set, &search, 2, 2, &|_, _| {}).expect("fits").svm.to_tensors().expect("bytes");
    assert_ne!(one.0, other, "the seed deals the folds");
}

#[test]
fn segments_of_a_clip_are_scored_together() {
    let fit = fitted(&blobs(3, 12, 1.2, 5, 8), &small());
    assert_eq!(fit.report.counts.segments, 3 * 12 * 5);
    let single = fitted(&blobs(3, 12, 1.2, 1, 8), &small());
    assert!(fit.report.cross_validated.accuracy > single.report.cross_validated.accuracy);
}

#[test]
fn what_cross_validation_says_of_clips_is_kept() {
    let set = blobs(3, 12, 0.8, 3, 16);
    let fit = fitted(&set, &small());
    let right =
        (fit.cross_validated.iter().zip(&set.labels)).filter(|(said, label)| models::most_probable(said) == **label);
    assert_eq!(right.count() as f64 / set.labels.len() as f64, fit.report.cross_validated.accuracy);
    let twice = fitted(&set, &Search { repeats: 2, ..small() });
    assert!(twice.cross_validated.iter().all(|said| said.len() == 3 && (said.iter().sum::<f64>() - 1.0).abs() < 1e-12));
}

#[test]
fn some_clips_keep_their_segments() {
    let set = blobs(2, 4, 0.5, 3, 17);
    let some = set.some(&[5, 0]);
    assert_eq!((some.labels.as_slice(), some.clip.as_slice()), (&[1, 0][..], &[0, 0, 0, 1, 1, 1][..]));
    assert_eq!(some.groups, [set.groups[5].clone(), set.groups[0].clone()]);
    assert_eq!(some.vectors, [&set.vectors[15..18], &set.vectors[0..3]].concat());
    let all: Vec<usize> = (0..set.labels.len()).collect();
    assert_eq!(set.some(&all), set);
}

#[test]
fn the_machine_decides_as_its_parts_say() {
    let set = blobs(3, 12, 0.8, 1, 10);
    let fit = fitted(&set, &small());
    let parts = fit.svm.parts();
    let n_sv = fit.svm.n_support_vectors();
    // In plain sums, as far as rounding allows.
    let vector = &set.vectors[3];
    let z = models::svm::standardise(vector, &parts.mean, &parts.inverse_deviation);
    let decisions = fit.svm.decision_function(vector).expect("fits");
    for (pair, decision) in decisions.iter().enumerate() {
        let sum: f64 = (0..n_sv)
            .map(|i| {
                let support = &parts.support_vectors[i * 6..(i + 1) * 6];
                let support = models::svm::standardise(support, &parts.mean, &parts.inverse_deviation);
                let distance: f64 = z.iter().zip(&support).map(|(a, b)| (a - b) * (a - b)).sum();
                parts.coefficients[pair * n_sv + i] * libm::exp(-parts.gamma * distance)
            })
            .sum();
        assert!((sum - parts.rho[pair] - decision).abs() < 1e-10);
    }
}

#[test]
fn progress_ends_at_its_total() {
    let largest = std::sync::atomic::AtomicUsize::new(0);
    let total = std::sync::atomic::AtomicUsize::new(0);
    let progress = |done: usize, of: usize| {
        largest.fetch_max(done, std::sync::atomic::Ordering::Relaxed);
        total.store(of, std::sync::atomic::Ordering::Relaxed);
    };
    fit(&blobs(3, 8, 0.5, 1, 11), &small(), 0, 2, &progress).expect("fits");
    assert_eq!(largest.into_inner(), total.into_inner());
}

/// A change, and what the refusal must say.
type Case<T> = (fn(&mut T), &'static str);

#[test]
fn sets_that_cannot_be_fitted_are_refused_with_the_reason() {
    let refused = |change: fn(&mut TrainingSet)| {
        let mut set = blobs(3, 8, 0.5, 1, 12);
        change(&mut set);
        fit(&set, &small(), 0, 1, &|_, _| {}).expect_err("refused").to_string()
    };
    let cases: [Case<TrainingSet>; 9] = [
        (|set| set.groups.truncate(2), "artists"),
        (|set| set.clip.truncate(2), "indices of their clips"),
        (|set| set.clip[3] = 1000, "of clip 1000"),
        (|set| set.clip[3] = 4, "clip 3 has no vector"),
        (|set| set.vectors[5] = vec![0.0; 2], "2 dimensions"),
        (|set| set.vectors[5][1] = f32::NAN, "`block1.1` is NaN"),
        (|set| set.labels[0] = usize::MAX - 1, "there are 24 clips"),
        (|set| set.labels.iter_mut().for_each(|label| *label = 0), "at least 2"),
        // One clip, so one artist, is left of class 2.
        (|set| set.labels[17..].iter_mut().for_each(|label| *label = 1), "class 2 has 1 clip(s) of 1 artist(s)"),
    ];
    for (change, expected) in cases {
        let message = refused(change);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn searches_that_cannot_be_done_are_refused_with_the_field() {
    let set = blobs(2, 8, 0.5, 1, 13);
    let cases: [Case<Search>; 8] = [
        (|search| search.c.clear(), "`c`"),
        (|search| search.c[0] = -1.0, "`c`"),
        (|search| search.gamma[0] = f64::NAN, "`gamma`"),
        (|search| search.balance[0] = 2.0, "`balance`"),
        (|search| search.folds = 1, "`folds`"),
        (|search| search.repeats = 0, "`repeats`"),
        (|search| search.tolerance = 0.0, "`tolerance`"),
        (|search| search.landmarks = 15, "`landmarks`"),
    ];
    for (change, expected) in cases {
        let mut search = small();
        change(&mut search);
        let message = fit(&set, &search, 0, 1, &|_, _| {}).expect_err("refused").to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn equal_clips_and_constant_dimensions_do_no_harm() {
    let mut set = blobs(2, 10, 0.5, 1, 14);
    for vector in &mut set.vectors {
        vector[5] = 3.25;
    }
    let copy = set.vectors[0].clone();
    set.vectors[1..6].iter_mut().for_each(|vector| vector.clone_from(&copy));
    let fit = fitted(&set, &small());
    assert_eq!(fit.report.counts.constant_dimensions, 1);
    let mut far = copy;
    far[5] = 1e30;
    let probabilities = fit.svm.probabilities(&far).expect("fits");
    assert!(probabilities.iter().all(|p| p.is_finite()) && (probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn a_class_that_a_fold_cannot_fit_is_survived() {
    // Class 2 has two artists, who also are those of every clip of class 1: all may end in one fold.
    let mut set = blobs(3, 8, 0.5, 1, 15);
    for clip in 8..24 {
        set.groups[clip] = format!("artist {}", clip % 2);
    }
    let fit = fitted(&set, &Search { folds: 2, ..small() });
    assert!(fit.report.cross_validated.log_loss.is_finite());
}

#[test]
fn a_choice_at_the_edge_of_the_grid_is_told() {
    let search = Search { c: vec![1.0, 2.0, 4.0], gamma: vec![1.0], ..Search::default() };
    let at = |c| search.edge_warnings(&Hyperparameters { c, gamma: 1.0, balance: 0.0 }).len();
    assert_eq!([at(1.0), at(2.0), at(4.0)], [1, 0, 1]);
}

/// The fit of a search by a low-rank map.
fn low_rank(landmarks: usize, search: Search) -> Search {
    Search { solver: Solver::LowRank, landmarks, ..search }
}

#[test]
fn a_low_rank_map_of_every_vector_decides_as_exact_machines() {
    let set = blobs(4, 20, 0.8, 1, 21);
    let search = Search { tolerance: 1e-4, ..small() };
    let exact = fitted(&set, &search);
    let search = Search { c: vec![exact.report.chosen.hyperparameters.c], ..search };
    let search = Search { gamma: vec![exact.report.chosen.hyperparameters.gamma], ..search };
    let (exact, near) = (fitted(&set, &search), fitted(&set, &low_rank(8192, search)));
    assert_eq!(exact.report.low_rank, None);
    let report = near.report.low_rank.clone().expect("low-rank");
    assert_eq!((report.landmarks, report.scheme, report.machines), (80, "one_vs_one", 6));
    let new = blobs(4, 20, 0.8, 1, 22);
    for vector in &new.vectors {
        let decisions = |fit: &FittedSvm| fit.svm.decision_function(vector).expect("fits");
        for (exact, near) in decisions(&exact).iter().zip(decisions(&near)) {
            // The offset has a small penalty.
            assert!((exact - near).abs() < 0.05, "{exact} {near}");
        }
    }
    assert!((exact.report.cross_validated.log_loss - near.report.cross_validated.log_loss).abs() < 0.02);
}

#[test]
fn few_landmarks_recognise_clips_of_new_artists() {
    let fit = fitted(&blobs(4, 40, 0.5, 2, 23), &low_rank(32, small()));
    assert_eq!(fit.svm.n_support_vectors(), 32);
    let new = blobs(4, 20, 0.5, 1, 24);
    let right = new
        .vectors
        .iter()
        .zip(&new.labels)
        .filter(|(vector, label)| models::most_probable(&fit.svm.probabilities(vector).expect("fits")) == **label);
    let accuracy = right.count() as f64 / new.labels.len() as f64;
    assert!(accuracy > 0.9 && fit.report.cross_validated.accuracy > 0.85, "{accuracy} {:?}", fit.report);
}

/// Labels around places of their own, each of three artists with two clips.
fn many_labels(n_classes: usize, seed: u64) -> TrainingSet {
    let mut set = TrainingSet { names: (0..8).map(|i| format!("d.{i}")).collect(), ..TrainingSet::default() };
    for label in 0..n_classes {
        // The same places for every seed.
        let mut rng = Rng::stream(99, label as u64);
        let centre: Vec<f64> = (0..8).map(|_| 3.0 * rng.normal()).collect();
        let mut rng = Rng::stream(seed, label as u64);
        for clip in 0..6 {
            set.vectors.push(centre.iter().map(|centre| (centre + 0.5 * rng.normal()) as f32).collect());
            set.clip.push(set.labels.len());
            set.evaluated.push(true);
            set.labels.push(label);
            set.groups.push(format!("artist {label} {}", clip / 2));
        }
    }
    set
}

#[test]
fn many_labels_have_a_machine_each_against_the_rest() {
    for calibration in [Calibration::SharedSlope, Calibration::EachPair] {
        let search = Search { calibration, ..small() };
        let fit = fitted(&many_labels(60, 1), &search);
        let report = fit.report.low_rank.as_ref().expect("too many labels for pairs");
        assert_eq!((report.scheme, report.machines), ("one_vs_rest", 60));
        assert_eq!(fit.svm.n_classes(), 60);
        let bytes = fit.svm.to_tensors().expect("bytes");
        assert_eq!(Svm::from_tensors(&bytes).expect("the same machine"), fit.svm);
        let new = many_labels(60, 2);
        let (mut right, mut loss) = (0.0, 0.0);
        for (vector, &label) in new.vectors.iter().zip(&new.labels) {
            let probabilities = fit.svm.probabilities(vector).expect("fits");
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            right += f64::from(u8::from(models::most_probable(&probabilities) == label));
            loss -= probabilities[label].max(1e-15).ln();
        }
        let n = new.labels.len() as f64;
        // Chance is 1/60, and ln 60 = 4.09.
        assert!(right / n > 0.9 && loss / n < 0.6, "{calibration:?}: {} {}", right / n, loss / n);
        let crossed = fit.report.cross_validated;
        assert!(crossed.accuracy > 0.85 && crossed.log_loss < 0.8, "{calibration:?}: {crossed:?}");
    }
}

#[test]
fn labels_that_say_nothing_get_no_confidence_against_the_rest() {
    let mut set = many_labels(40, 3);
    let mut rng = Rng::new(4);
    set.vectors.iter_mut().flatten().for_each(|value| *value = rng.normal() as f32);
    let fit = fitted(&set, &small());
    let loss = fit.report.cross_validated.log_loss;
    assert!(loss < 4.0, "chance is ln 40 = 3.69: {loss}");
}

#[test]
fn a_fold_may_lack_a_label_of_a_low_rank_fit() {
    for n_classes in [4, 40] {
        let mut set = many_labels(n_classes, 5);
        // Two artists have all clips of the first two labels: whichever folds they are in, others lack both.
        for clip in 0..12 {
            set.groups[clip] = format!("artist {}", clip % 2);
        }
        let fit = fitted(&set, &low_rank(64, Search { folds: 2, ..small() }));
        assert!(fit.report.cross_validated.log_loss.is_finite());
    }
}

#[test]
fn threads_change_no_bit_of_a_low_rank_fit() {
    for (set, n_machines) in [(blobs(3, 60, 0.9, 2, 25), 3), (many_labels(40, 6), 40)] {
        let search = low_rank(100, Search { balance: vec![0.0, 0.5], repeats: 2, ..small() });
        let bytes = |threads, seed| {
            let fit = fit(&set, &search, seed, threads, &|_, _| {}).expect("fits");
            assert_eq!(fit.svm.parts().rho.len(), n_machines);
            (fit.svm.to_tensors().expect("bytes"), serde_json::to_string(&fit.report).expect("numbers"))
        };
        let one = bytes(1, 1);
        assert!(one == bytes(2, 1) && one == bytes(3, 1) && one == bytes(1, 1));
        assert_ne!(one.0, bytes(2, 2).0, "the seed draws the landmarks");
    }
}

#[test]
fn a_rarer_label_may_count_more_in_a_low_rank_fit() {
    let mut set = blobs(2, 60, 0.8, 1, 26);
    for values in [&mut set.labels, &mut set.clip] {
        values.truncate(68);
    }
    set.vectors.truncate(68);
    set.evaluated.truncate(68);
    set.groups.truncate(68);
    let new = blobs(2, 50, 0.8, 1, 27);
    let found = |class_weight| {
        let fit = fitted(&set, &low_rank(64, Search { class_weight, c: vec![1.0], ..small() }));
        let rare = new.vectors.iter().zip(&new.labels).filter(|(_, label)| **label == 1);
        rare.filter(|(vector, _)| fit.svm.decision_function(vector).expect("fits")[0] < 0.0).count()
    };
    let (equal, balanced) = (found(ClassWeight::Equal), found(ClassWeight::Balanced));
    assert!(balanced > equal, "{equal} {balanced}");
}

#[test]
fn a_search_that_leaves_the_solver_to_the_size_is_written_as_before() {
    let fields = serde_json::to_value(Search::default()).expect("numbers");
    assert!(fields.get("solver").is_none() && fields.get("landmarks").is_none());
    assert_eq!(serde_json::from_value::<Search>(fields).expect("a search"), Search::default());
    let fields = serde_json::to_value(low_rank(512, Search::default())).expect("numbers");
    assert_eq!((fields["solver"].as_str(), fields["landmarks"].as_u64()), (Some("low_rank"), Some(512)));
    assert_eq!(serde_json::from_value::<Search>(fields).expect("a search"), low_rank(512, Search::default()));
    let report = serde_json::to_value(fitted(&blobs(2, 8, 0.5, 1, 28), &small()).report).expect("numbers");
    assert!(report.get("low_rank").is_none());
}
