//! The points of a `[grid]`.

use anyhow::{Result, bail};
use toml::{Table, Value};

/// Most points of one grid.
const MOST_POINTS: usize = 10_000;

/// One point: what is set, and the declaration with that set and without a grid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// Such as `model.search.c = [8.0]`; empty where there is no grid.
    pub(crate) label: String,
    pub(crate) table: Table,
}

/// Every combination of the values of the grid of `declaration`; the last field changes fastest. One point without a grid.
///
/// # Errors
/// For a grid that is no table of lists, is too large, or sets what is not within a table.
pub(crate) fn points(mut declaration: Table) -> Result<Vec<Point>> {
    let grid = match declaration.remove("grid") {
        None => Table::new(),
        Some(Value::Table(grid)) => grid,
        Some(_) => bail!("`grid` must be a table"),
    };
    let mut points = vec![Point { label: String::new(), table: declaration }];
    for (path, values) in &grid {
        let Value::Array(values) = values else { bail!("`grid.\"{path}\"` must be a list of values") };
        if values.is_empty() {
            bail!("`grid.\"{path}\"` is empty");
        }
        if points.len() * values.len() > MOST_POINTS {
            bail!("the grid has more than {MOST_POINTS} points");
        }
        points = points
            .iter()
            .flat_map(|point| values.iter().map(move |value| with(point, path, value)))
            .collect::<Result<_>>()?;
    }
    Ok(points)
}

fn with(point: &Point, path: &str, value: &Value) -> Result<Point> {
    let mut point = point.clone();
    let mut at = &mut point.table;
    let (folders, name) = path.rsplit_once('.').map_or((None, path), |(folders, name)| (Some(folders), name));
    for folder in folders.into_iter().flat_map(|folders| folders.split('.')) {
        let inner = at.entry(folder).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = inner else { bail!("`grid.\"{path}\"`: `{folder}` is no table") };
        at = inner;
    }
    if ["", "name", "seeds", "splits"].contains(&path) || name.is_empty() {
        bail!("`grid.\"{path}\"` cannot be searched");
    }
    at.insert(name.to_owned(), value.clone());
    if !point.label.is_empty() {
        point.label.push_str(", ");
    }
    point.label.push_str(&format!("{path} = {value}"));
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Point>> {
        points(text.parse().expect("TOML"))
    }

    #[test]
    fn every_combination_is_a_point() {
        let points = of("name = \"a\"\n[model.search]\nfolds = 3\n[grid]\n\"model.search.c\" = [[1.0], [2.0]]\n\
                         \"features.n_mfcc\" = [13, 20, 40]")
        .expect("a grid");
        let labels: Vec<_> = points.iter().map(|point| point.label.as_str()).collect();
        assert_eq!(labels.len(), 6);
        assert_eq!(labels[1], "features.n_mfcc = 13, model.search.c = [2.0]");
        let last = &points[5].table;
        assert_eq!(last["model"]["search"]["folds"].as_integer(), Some(3));
        assert_eq!(last["features"]["n_mfcc"].as_integer(), Some(40));
        assert!(!last.contains_key("grid"));
        assert_eq!(of("name = \"a\"").expect("no grid").len(), 1);
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        for (text, words) in [
            ("grid = 3", "must be a table"),
            ("[grid]\n\"a.b\" = 3", "`grid.\"a.b\"` must be a list"),
            ("[grid]\n\"a.b\" = []", "is empty"),
            ("a = 1\n[grid]\n\"a.b\" = [1]", "`a` is no table"),
            ("[grid]\nseeds = [[1], [2]]", "cannot be searched"),
        ] {
            let error = of(text).expect_err("refused").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
