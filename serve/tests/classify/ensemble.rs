//! Which model predicts where none is named: the ensemble, as long as its members are there.

use std::fs;

use models::artifact::Written;

use crate::{Workdir, model};

/// The ensemble of the models of a folder, in use.
fn join(workdir: &Workdir) -> [Written; 3] {
    let root = workdir.path("artifacts");
    let [svm, vgg19] = serve::config::ModelKind::MEMBERS.map(|kind| model::write(&root, kind));
    let draft = model::ensemble(&[("svm", &svm.version, 0.5), ("vgg19", &vgg19.version, 0.5)]);
    let ensemble = model::write_as(&root, "ensemble", &draft);
    [svm, vgg19, ensemble]
}

/// The names of the models that predicted.
fn models(workdir: &Workdir, args: &[&str]) -> Vec<String> {
    let ran = workdir.run(&[&["--json", "tracks/a.wav"], args].concat());
    ran.assert(0, &[]);
    ran.json().iter().map(|row| row["model"]["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn the_ensemble_predicts_where_no_model_is_named() {
    let workdir = Workdir::with_tracks();
    assert_eq!(models(&workdir, &[]), ["svm"], "there is no ensemble yet");
    let ran = workdir.run(&["--model", "ensemble", "tracks/a.wav"]);
    ran.assert(2, &["no ensemble artifact", "there are: svm, vgg19"]);

    let [svm, vgg19, ensemble] = join(&workdir);
    assert_eq!(models(&workdir, &[]), ["ensemble"]);
    for named in ["ensemble", "svm", "vgg19"] {
        assert_eq!(models(&workdir, &["--model", named]), [named]);
    }
    assert_eq!(models(&workdir, &["--model", "both"]), ["svm", "vgg19"]);
    assert_eq!(models(&workdir, &["--model", "both,ensemble"]), ["svm", "vgg19", "ensemble"]);
    // It says which models it joins.
    let ran = workdir.run(&["tracks/a.wav"]);
    let joins = format!(
        "ensemble {} from artifacts: 3 labels, trained on 12 clips (three seeded sounds), joins ",
        ensemble.version
    );
    ran.assert(0, &[&joins, &format!("svm {} (weight 0.500)", svm.version), &format!("vgg19 {}", vgg19.version)]);
    // One genre for each file, so tags and playlists can be written.
    workdir.run(&["--m3u", "lists", "tracks/a.wav"]).assert(0, &[]);
}

#[test]
fn an_ensemble_without_a_member_is_left_out_and_said_to_be() {
    let workdir = Workdir::with_tracks();
    let [_, vgg19, ensemble] = join(&workdir);
    fs::remove_dir_all(&vgg19.dir).expect("removes");
    let ran = workdir.run(&["--json", "tracks/a.wav"]);
    ran.assert(0, &["ensemble is left out: it joins vgg19", &vgg19.version]);
    assert_eq!(ran.json()[0]["model"]["name"], "svm");
    workdir.run(&["--model", "ensemble", "tracks/a.wav"]).assert(2, &[&vgg19.version, "train the ensemble again"]);
    // One that is damaged is no other than one that is not whole.
    fs::write(ensemble.dir.join("weights.safetensors"), b"damage").expect("writes");
    let ran = workdir.run(&["--json", "tracks/a.wav"]);
    ran.assert(0, &["ensemble is left out", "weights.safetensors is damaged"]);
}
