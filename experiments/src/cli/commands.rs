//! The commands of `experiments`.

use std::{collections::BTreeSet, fmt::Display, fs, io::IsTerminal as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use data::Split;
use serde_json::{Value, json};
use train::{
    console::output::{self, print_json, write_table},
    evaluation::{
        metrics::{Coverage, Faults, coverage_curve},
        projection::Projection,
        report::{self as page, Against, Provenance, Report},
        robustness::{LeftOut, Robustness, text},
    },
};

use super::{
    CompareArgs, ExportArgs, JobArgs, LeaderboardArgs, LeakageArgs, ReportArgs, ResultsArgs, RobustnessArgs,
    RunFilesArgs, SweepArgs,
};
use crate::{
    declarations::{self, DataConfig, Experiment},
    mlflow::{Client, Credentials, Exporter, Status},
    results::{
        compare::{self, Comparison, SeedComparison, paired, scored},
        leakage::{self, LeakageStudy},
        store::{Results, RunResult, StoredResult},
        summary::{self, Summary, aligned},
    },
    robustness::{self, Ffmpeg, HeldOutAudio, Measuring},
    runner::{Done, Job, RunContext, Runner, over_seeds},
};

/// Does every job of every file that was not done before.
pub(super) fn run(args: &RunFilesArgs) -> Result<()> {
    let mut experiments = read_all(&args.files)?;
    for Experiment { name, splits, seeds, .. } in &mut experiments {
        only(splits, &args.splits, name, "split")?;
        only(seeds, &args.seeds, name, "seed")?;
    }
    let done = do_all(&args.job, &experiments.iter().flat_map(Job::declared_by).collect::<Vec<_>>())?;
    let summaries = Summary::of_all(done.iter().map(|done| &done.stored))?;
    if args.job.output.json {
        return print_json(&json!({ "jobs": jobs_json(&done), "summaries": summaries }));
    }
    print_summaries(&summaries)
}

/// Does every point by every split and seed, and chooses by the first split.
pub(super) fn sweep(args: &SweepArgs) -> Result<()> {
    let points = declarations::read_sweep(&args.file)?;
    let done = do_all(&args.job, &points.iter().flat_map(|(point, _)| Job::declared_by(point)).collect::<Vec<_>>())?;
    let summaries = Summary::of_all(done.iter().map(|done| &done.stored))?;
    let by = points.first().and_then(|(first, _)| first.splits.first()).context("a sweep has a point")?.to_string();
    // They are sorted, the best of each split first.
    let best = summaries.iter().find(|summary| summary.split == by).context("every point was done")?;
    if let Some(path) = &args.best {
        let chosen = points.iter().find(|(experiment, _)| experiment.point == best.point);
        let (_, table) = chosen.context("what was chosen is a point")?;
        fs::write(path, toml::to_string(table)?).with_context(|| format!("failed to write {}", path.display()))?;
    }
    if args.job.output.json {
        let object = json!({ "jobs": jobs_json(&done), "summaries": summaries, "chosen_by": by, "chosen": best });
        return print_json(&object);
    }
    print_summaries(&summaries)?;
    output::line(format!(
        "\nChosen by {by} of {} points: {}\nIts figures by {by} flatter: of many points the best is also the luckiest.",
        points.len(),
        best.point
    ))
}

/// Prints a table for each split, the best first.
pub(super) fn leaderboard(args: &LeaderboardArgs) -> Result<()> {
    let mut summaries = Summary::of_all(&Results::new(&args.output.results).all()?)?;
    let asked = args.split.map(|split| split.to_string());
    summaries.retain(|summary| asked.as_ref().is_none_or(|asked| *asked == summary.split));
    if let Some(path) = &args.out {
        write_table(&mut summary::table(&summaries)?, path)?;
    }
    if args.output.json {
        return print_json(&summaries);
    }
    if summaries.is_empty() {
        return output::line(no_result(&args.output));
    }
    print_summaries(&summaries)
}

/// Evaluates every file on every level of leakage.
pub(super) fn leakage(args: &LeakageArgs) -> Result<()> {
    let mut experiments = read_all(&args.files)?;
    for experiment in &mut experiments {
        only(&mut experiment.seeds, &args.seeds, &experiment.name, "seed")?;
    }
    let jobs: Vec<_> = experiments.iter().map(|experiment| leakage_jobs(experiment, args.folds.into())).collect();
    let done = do_all(&args.job, &jobs.concat())?;
    let mut results = done.iter().map(|done| &done.stored);
    let study = |(experiment, jobs): (&Experiment, &Vec<Job>)| {
        let results: Vec<_> = results.by_ref().take(jobs.len()).collect();
        LeakageStudy::new(&experiment.name, experiment.seeds.len(), &results)
    };
    let studies = experiments.iter().zip(&jobs).map(study).collect::<Result<Vec<_>>>()?;
    if let Some(path) = &args.plot {
        fs::write(path, leakage::svg(&studies)).with_context(|| format!("failed to write {}", path.display()))?;
    }
    let summaries: Vec<Summary> = studies.iter().flat_map(|study| study.levels.clone()).collect();
    if let Some(path) = &args.out {
        write_table(&mut summary::table(&summaries)?, path)?;
    }
    if args.job.output.json {
        return print_json(&studies);
    }
    print_remarks(&summaries)?;
    for LeakageStudy { name, levels } in &studies {
        output::line(format!("\n{name}"))?;
        let begin = |summary: &Summary| {
            let whole = summary.of_whole_clips.map_or_else(|| "–".to_owned(), |accuracy| format!("{accuracy:.3}"));
            vec![summary.split.clone(), summary.evaluated_on(), whole]
        };
        output::write(&summary::figures(&["split", "evaluated on", "clips by their segments"], levels, begin))?;
    }
    Ok(())
}

/// Level by level, on each every seed of the experiment.
fn leakage_jobs(experiment: &Experiment, folds: usize) -> Vec<Job> {
    let levels = leakage::levels(folds, experiment.data.segments_per_clip).into_iter();
    let on = |level: leakage::Level| {
        let data = DataConfig { segments_per_clip: level.segments_per_clip, ..experiment.data.clone() };
        Job::declared_by(&Experiment { data, splits: vec![level.split], ..experiment.clone() })
    };
    levels.flat_map(on).collect()
}

/// Compares two experiments by the split that was asked for, or else by the first that both have.
pub(super) fn compare(args: &CompareArgs) -> Result<()> {
    let both = by_common_split(&args.output, &[&args.a, &args.b], args.split, args.seed)?;
    let comparison = compare::compare(&both[0], &both[1])?;
    if args.output.json {
        return print_json(&comparison);
    }
    output::write(&comparison_text(&comparison))
}

fn comparison_text(comparison: &Comparison) -> String {
    let Comparison { a, b, split, leaks, remarks, n, difference, ci95: [low, high], seeds, classes } = comparison;
    let mut text: String = remarks.iter().map(|remark| format!("{remark}\n\n")).collect();
    text += &format!(
        "{a} beside {b}, by {split} on {n} clips, {} seed(s)\nThis split leaks: {leaks}.\n\n\
         difference of accuracy {difference:+.3}, 95 % interval {low:+.3} to {high:+.3} (paired, by artist)\n\n",
        seeds.len()
    );
    let head = ["seed", a, b, "difference", "95 % by artist", "only the first right", "only the second", "McNemar's p"];
    let of_seed = |SeedComparison { seed, accuracy: [a, b], ci95: [low, high], only_a, only_b, p }: &SeedComparison| {
        vec![
            seed.to_string(),
            format!("{a:.3}"),
            format!("{b:.3}"),
            format!("{:+.3}", a - b),
            format!("{low:+.3} to {high:+.3}"),
            only_a.to_string(),
            only_b.to_string(),
            format!("{p:.3}"),
        ]
    };
    text += &aligned(1, &head, seeds.iter().map(of_seed));
    text += "McNemar's test takes clips as independent; those of one artist are not, so the interval by artist is the safer guide.\n\n\
             Recall of each class:\n";
    let of_class = |(name, of): (&String, &compare::ClassComparison)| {
        let [a, b] = of.recall;
        let clips = of.n / seeds.len().max(1);
        vec![name.clone(), clips.to_string(), format!("{a:.2}"), format!("{b:.2}"), format!("{:+.2}", a - b)]
    };
    text + &aligned(1, &["class", "clips", a, b, "difference"], classes.iter().map(of_class))
}

/// Writes the report of one seed of a result: the least, where none was asked for.
pub(super) fn report(args: &ReportArgs) -> Result<()> {
    let names: Vec<_> = std::iter::once(&args.name).chain(&args.against).map(String::as_str).collect();
    let mut all = by_common_split(&args.output, &names, args.split, args.seed)?;
    let seeds = |of: &[StoredResult]| -> BTreeSet<u64> { of.iter().map(|stored| stored.result.seed).collect() };
    let common = all.iter().map(|of| seeds(of)).reduce(|a, b| &a & &b).unwrap_or_default();
    let Some(&seed) = common.first() else { bail!("the two have no seed in common") };
    all.iter_mut().for_each(|of| of.retain(|stored| stored.result.seed == seed));
    let stored = &all[0][0];

    let RunResult { split, segments_per_clip, evaluation, leaks, remarks, data, .. } = &stored.result;
    let clips = scored(stored)?;
    let compared = all.get(1).map(|other| -> Result<_> {
        Ok((called(&other[0].result), paired(stored, &clips, &other[0], &scored(&other[0])?, seed)?))
    });
    let compared = compared.transpose()?;
    // Of several declarations the first by name.
    let measured = Results::new(&args.output.results).robustness_of(&stored.result.name, &stored.result.key)?;
    let robustness = measured.into_iter().next();
    let segments = segments_per_clip.map(|n| format!(" ({n} segments of each clip)")).unwrap_or_default();
    let on = format!("{split}{segments}");
    let html = page::html(&Report {
        model: &called(&stored.result),
        split: &on,
        leaks,
        warnings: remarks,
        evaluation,
        scored: &clips,
        against: compared.as_ref().map(|(model, paired)| Against { model, paired }),
        learning: None,
        conformal: None,
        robustness: robustness.as_ref().map(|result| &result.robustness),
        projection: Projection::of_probabilities(&clips, seed).as_ref(),
        curves: &[],
        provenance: Provenance {
            command: &format!("experiments run FILE --data DATASET --split {split} --seed {seed}"),
            data: &format!("{} of {}, as the split deals them", data.clips, data.description),
            digests: &[
                ("clips of all folds", data.digest.clone()),
                ("key: all that decides the result", stored.result.key.clone()),
            ],
            training: &json!({ "made_from": stored.result.made_from, "folds": stored.result.folds }),
        },
    });
    fs::write(&args.out, html).with_context(|| format!("failed to write {}", args.out.display()))?;
    if args.output.json {
        return print_json(&json!({
            "report": args.out,
            "name": stored.result.name,
            "point": stored.result.point,
            "split": split,
            "seed": seed,
            "key": stored.result.key,
            "evaluation": evaluation,
            "coverage": Coverage::new(&coverage_curve(&clips)),
            "known_faults": Faults::of(&clips),
            "robustness": robustness.map(|result| result.robustness),
            "against": compared.map(|(model, paired)| json!({ "model": model, "paired": paired })),
        }));
    }
    let more = match common.len() - 1 {
        0 => String::new(),
        more => format!("; {more} other seed(s) are stored, --seed chooses"),
    };
    output::line(format!("{} on {on}: {}{more}", called(&stored.result), args.out.display()))
}

/// Measures the experiments that a file declares, or artifacts, on bad and short recordings.
pub(super) fn robustness(args: &RobustnessArgs) -> Result<()> {
    let mut declaration = robustness::read(&args.file)?;
    only(&mut declaration.seeds, &args.seeds, &declaration.name, "seed")?;
    let recordings = args.recordings.iter().map(|folder| HeldOutAudio::open(std::slice::from_ref(folder)));
    let measuring = Measuring::new(
        &declaration,
        HeldOutAudio::open(&args.audio)?,
        recordings.collect::<Result<_>>()?,
        Ffmpeg::find(&args.ffmpeg),
        args.job.cache.clone(),
    );
    for LeftOut { name, reason } in measuring.left_out() {
        output::remark(&format!("{name} is left out: {reason}"));
    }
    let mut runner = runner(&args.job);
    let mut all = Vec::new();
    for dir in &args.artifacts {
        all.push(runner.robustness_of_artifact(dir, declaration.split, &measuring)?);
    }
    let mut jobs = Vec::new();
    if args.artifacts.is_empty() {
        let mut experiments = declaration.read_experiments(&args.file)?;
        let mut names: Vec<_> = experiments.iter().map(|experiment| experiment.name.clone()).collect();
        only(&mut names, &args.experiments, &declaration.name, "experiment")?;
        experiments.retain(|experiment| names.contains(&experiment.name));
        jobs = experiments.iter().map(Job::declared_by).collect();
    }
    jobs.iter().flatten().try_for_each(|job| runner.check_robustness(job, &measuring))?;
    let (mut folders, total) = (Vec::new(), jobs.iter().flatten().count());
    for of_experiment in &jobs {
        let mut results = Vec::new();
        for job in of_experiment {
            let Job { experiment, split, seed } = job;
            if std::io::stderr().is_terminal() {
                let number = folders.len() + 1;
                output::remark(&format!("[{number} of {total}] {} by {split}, seed {seed}", experiment.name));
            }
            let (stored, found) = runner.robustness(job, &declaration.name, &measuring)?;
            let Robustness { clean, over_degradations, .. } = &stored.result.robustness;
            let over = over_degradations.as_ref().map(|over| format!(", degraded {:.3}", over.accuracy));
            let line = format!(
                "{} by {split}, seed {seed}: accuracy {:.3}{}, {}",
                experiment.name,
                clean.accuracy,
                over.unwrap_or_default(),
                if found { "measured before" } else { "measured now" }
            );
            print_line(&args.job.output, line)?;
            folders.push(json!({ "folder": stored.dir, "measured_before": found, "key": stored.result.key }));
            results.push(stored);
        }
        all.push(over_seeds(&results)?);
    }
    if let Some(path) = &args.out {
        let mut text = serde_json::to_string_pretty(&all)?;
        text.push('\n');
        fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    if args.job.output.json {
        return print_json(&json!({ "robustness": all, "results": folders }));
    }
    all.iter().try_for_each(|one| output::write(&format!("\n{}", text(one))))
}

fn called(result: &RunResult) -> String {
    let (name, RunResult { point, seed, .. }) = (result.name_with_chain(), result);
    if point.is_empty() { format!("{name}, seed {seed}") } else { format!("{name} ({point}), seed {seed}") }
}

/// Sends the results that were asked for, and prints the status of each.
pub(super) fn export(args: &ExportArgs) -> Result<()> {
    let client = Client::new(&args.mlflow, Credentials::from_env()?)?;
    let server = client.base().to_owned();
    let results = to_export(args)?;
    let mut exporter = Exporter::new(client, &args.prefix);
    let (mut sent, mut remarks) = (Vec::new(), BTreeSet::new());
    for (number, stored) in results.iter().enumerate() {
        let RunResult { name, split, seed, key, .. } = &stored.result;
        let what = format!("{name} by {split}, seed {seed}");
        if std::io::stderr().is_terminal() {
            output::remark(&format!("[{} of {}] {what}", number + 1, results.len()));
        }
        let exported = exporter.send(stored).with_context(|| format!("failed to export {}", stored.dir.display()))?;
        let status = match exported.status {
            Status::SentNow => "sent now",
            Status::FinishedNow => "begun before, finished now",
            Status::ThereBefore => "there before",
        };
        print_line(&args.output, format!("{what}: {status}, {}", exported.url))?;
        if let Some(reason) = &exported.without_files {
            remarks.insert(format!("result.json and scores.parquet were not sent: {reason}"));
        }
        let mut object = serde_json::to_value(exported)?;
        object["folder"] = json!(stored.dir);
        object["key"] = json!(key);
        sent.push(object);
    }
    remarks.iter().for_each(|remark| output::remark(remark));
    if args.output.json {
        return print_json(&json!({ "server": server, "results": sent, "remarks": remarks }));
    }
    Ok(())
}

/// The results that the arguments name, each once.
fn to_export(args: &ExportArgs) -> Result<Vec<StoredResult>> {
    let results = Results::new(&args.output.results);
    let mut all = if args.names.is_empty() { results.all()? } else { Vec::new() };
    for name in &args.names {
        all.extend(results.named(name)?);
    }
    if all.is_empty() {
        bail!(no_result(&args.output));
    }
    let splits: Vec<_> = args.splits.iter().map(ToString::to_string).collect();
    let mut keys = BTreeSet::new();
    all.retain(|StoredResult { result, .. }| {
        (splits.is_empty() || splits.contains(&result.split))
            && (args.seeds.is_empty() || args.seeds.contains(&result.seed))
            && keys.insert((result.name.clone(), result.key.clone()))
    });
    if all.is_empty() {
        bail!("no result has a split and seed that was asked for; `experiments leaderboard` lists what there is");
    }
    Ok(all)
}

/// Reads declarations, whose results must not be mixed up.
fn read_all(files: &[PathBuf]) -> Result<Vec<Experiment>> {
    let experiments = files.iter().map(|file| declarations::read(file)).collect::<Result<Vec<_>>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = experiments.iter().find(|experiment| !names.insert(&experiment.name)) {
        bail!("two of the files have the name `{}`", twice.name);
    }
    Ok(experiments)
}

/// Of what is declared, retains what was asked for; all where nothing was.
fn only<T: PartialEq + Display>(declared: &mut Vec<T>, asked: &[T], name: &str, what: &str) -> Result<()> {
    if let Some(unknown) = asked.iter().find(|asked| !declared.contains(asked)) {
        bail!("{name} declares no {what} {unknown}");
    }
    declared.retain(|value| asked.is_empty() || asked.contains(value));
    Ok(())
}

/// The results of each of these experiments by the first split that all have, of those that were asked for.
fn by_common_split(
    args: &ResultsArgs,
    names: &[&str],
    split: Option<Split>,
    seed: Option<u64>,
) -> Result<Vec<Vec<StoredResult>>> {
    let results = Results::new(&args.results);
    let mut all = names.iter().map(|name| results.named(name)).collect::<Result<Vec<_>>>()?;
    let split = split.map(|split| split.to_string());
    let asked = |StoredResult { result, .. }: &StoredResult| {
        seed.is_none_or(|seed| seed == result.seed) && split.as_ref().is_none_or(|split| *split == result.split)
    };
    all.iter_mut().for_each(|of| of.retain(asked));
    let by = |stored: &StoredResult| (stored.result.split.clone(), stored.result.segments_per_clip);
    let in_all = |common: &_| all.iter().all(|of| of.iter().any(|stored| by(stored) == *common));
    let Some(common) = all.first().and_then(|first| first.iter().map(by).find(in_all)) else {
        bail!("{} have no split and seed that was asked for", names.join(" and "));
    };
    for of in &mut all {
        of.retain(|stored| by(stored) == common);
        if let Some(other) = of.iter().find(|other| other.result.configuration != of[0].result.configuration) {
            bail!(
                "`{}` has results of several configurations or points; name the folder of a result",
                other.result.name
            );
        }
    }
    Ok(all)
}

fn runner(args: &JobArgs) -> Runner {
    Runner::new(RunContext {
        datasets: args.datasets.clone(),
        results: Results::new(&args.output.results),
        weights: args.weights.clone(),
        cache: args.cache.clone(),
        threads: args.threads.into(),
    })
}

/// Does every job where the arguments say, and prints each when it is done. What cannot be done is refused before anything is.
fn do_all(args: &JobArgs, jobs: &[Job]) -> Result<Vec<Done>> {
    let mut runner = runner(args);
    jobs.iter().try_for_each(|job| runner.check(job))?;
    let mut all = Vec::new();
    for (number, job) in jobs.iter().enumerate() {
        let Job { experiment, split, seed } = job;
        // The stages of the work draw their bars below.
        if std::io::stderr().is_terminal() {
            output::remark(&format!("[{} of {}] {} by {split}, seed {seed}", number + 1, jobs.len(), experiment.name));
        }
        let done = runner.run(job)?;
        let RunResult { point, segments_per_clip, evaluation, .. } = &done.stored.result;
        let name = done.stored.result.name_with_chain();
        let [low, high] = evaluation.ci95;
        let point = if point.is_empty() { String::new() } else { format!(" ({point})") };
        let segments = segments_per_clip.map(|n| format!(", {n} segments")).unwrap_or_default();
        let line = format!(
            "{name}{point} by {split}{segments}, seed {seed}: accuracy {:.3} ({low:.3} to {high:.3}), log-loss {:.3}, {}",
            evaluation.accuracy,
            evaluation.log_loss,
            if done.found { "done before" } else { "done now" },
        );
        print_line(&args.output, line)?;
        all.push(done);
    }
    Ok(all)
}

/// Jobs as JSON.
fn jobs_json(done: &[Done]) -> Vec<Value> {
    let job =
        |Done { stored, found }: &Done| json!({ "folder": stored.dir, "done_before": found, "result": stored.result });
    done.iter().map(job).collect()
}

/// Summaries for people: a table for each split and kind of clips, with what the split leaks.
fn print_summaries(summaries: &[Summary]) -> Result<()> {
    print_remarks(summaries)?;
    for here in summaries.chunk_by(|a, b| (&a.split, a.segments_per_clip) == (&b.split, b.segments_per_clip)) {
        let first = &here[0];
        output::line(format!("\n{}, {}\nThis split leaks: {}.", first.split, first.evaluated_on(), first.leaks))?;
        let points = here.iter().any(|summary| !summary.point.is_empty());
        let labels: BTreeSet<_> = here.iter().map(|summary| (&summary.name, &summary.point)).collect();
        let columns = [("experiment", true), ("point", points), ("configuration", labels.len() < here.len())];
        let heads: Vec<_> = columns.iter().filter(|(_, shown)| *shown).map(|(head, _)| *head).collect();
        let table = summary::figures(&heads, here, |summary| {
            let (name, point) = (summary.name_with_chain(), summary.point.clone());
            let cells = [name, point, summary.configuration.get(..8).unwrap_or_default().to_owned()];
            cells.into_iter().zip(columns).filter(|(_, (_, shown))| *shown).map(|(cell, _)| cell).collect()
        });
        output::write(&table)?;
        if here.iter().any(|other| other.n != first.n) {
            output::line("They were not evaluated on equally many clips, and are not to be compared.")?;
        }
    }
    Ok(())
}

/// What a reader should know before the figures.
fn print_remarks(summaries: &[Summary]) -> Result<()> {
    summary::remarks(summaries).into_iter().try_for_each(|remark| output::line(format!("\n{remark}")))
}

/// A line for people; on stderr where stdout is for programs.
fn print_line(args: &ResultsArgs, line: String) -> Result<()> {
    if args.json {
        output::remark(&line);
        return Ok(());
    }
    output::line(line)
}

fn no_result(args: &ResultsArgs) -> String {
    format!("No result in {}; `experiments run FILE` makes some.", args.results.display())
}
