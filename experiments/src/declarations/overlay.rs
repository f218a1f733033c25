//! Fields of a file laid over a value that has them all.

use anyhow::{Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use toml::Table;

/// `base` with the fields of `fields` in the place of its own; `at` is where they stand in the file, for errors.
///
/// # Errors
/// Names the field that `base` does not have, or that cannot hold what the file says.
pub(crate) fn overlay<T: Serialize + DeserializeOwned>(base: &T, fields: &Table, at: &str) -> Result<T> {
    let mut value = serde_json::to_value(base)?;
    lay::<T>(&mut value, &mut Vec::new(), fields, at)?;
    Ok(serde_json::from_value(value)?)
}

/// Lays `fields` over the object at `path` of `whole`, one by one, so that the one which does not fit is known.
fn lay<T: DeserializeOwned>(whole: &mut Value, path: &mut Vec<String>, fields: &Table, at: &str) -> Result<()> {
    for (name, field) in fields {
        let at = format!("{at}.{name}");
        let object = path.iter().fold(&mut *whole, |value, name| &mut value[name.as_str()]);
        let Some(known) = object.as_object_mut() else { bail!("`{at}` cannot be set: there is nothing to set it in") };
        let Some(old) = known.get_mut(name) else {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            bail!("`{at}` is no field; there are {}", names.join(", "));
        };
        match field {
            toml::Value::Table(inner) if old.is_object() => {
                path.push(name.clone());
                lay::<T>(whole, path, inner, &at)?;
                path.pop();
            }
            toml::Value::Table(_) if old.is_null() => {
                bail!("`{at}` is not part of this choice, so nothing in it can be set")
            }
            other => {
                *old = serde_json::to_value(other)?;
                if let Err(error) = serde_json::from_value::<T>(whole.clone()) {
                    bail!("`{at}` = {other}: {error}");
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use train::training::vgg19::TrainingConfig;

    fn recipe(text: &str) -> Result<TrainingConfig> {
        overlay(&TrainingConfig::frozen(1), &text.parse::<Table>().expect("TOML"), "model.recipe")
    }

    #[test]
    fn fields_are_replaced_and_the_rest_stays() {
        let laid = recipe("pooled_blocks = [1, 2]\n[head]\nsteps = 7").expect("they fit");
        let expected = TrainingConfig { pooled_blocks: vec![1, 2], ..TrainingConfig::frozen(1) };
        assert_eq!(laid.head.steps, 7);
        assert_eq!(TrainingConfig { head: expected.head.clone(), ..laid }, expected);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, words) in [
            ("[head]\nstep = 7", "`model.recipe.head.step` is no field"),
            ("[head]\nsteps = \"many\"", "`model.recipe.head.steps` = \"many\""),
            ("channels = \"stereo\"", "`model.recipe.channels`"),
            ("head = 3", "`model.recipe.head` = 3"),
            ("[finetune]\nthaw = 3", "`model.recipe.finetune` is not part"),
        ] {
            let error = recipe(text).expect_err("refused").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
