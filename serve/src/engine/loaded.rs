//! [`LoadedModels`]: the models that are in memory, so that none is there twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use super::{model::Model, pool::lock};
use crate::{Result, config::ModelName};

/// The models that somebody holds, by name and version: a slot, or an ensemble that has it as a member.
#[derive(Debug, Default)]
pub struct LoadedModels(Mutex<HashMap<(ModelName, String), Entry>>);

/// A model, or nothing once nobody holds it; locked while it is loaded.
type Entry = Arc<Mutex<Weak<Model>>>;

impl LoadedModels {
    /// That version of the model `name`, which `load` loads unless it is in memory. Blocks while another thread loads it.
    ///
    /// # Errors
    /// Those of `load`.
    pub(super) fn get(
        &self,
        name: &ModelName,
        version: &str,
        load: impl FnOnce() -> Result<Model>,
    ) -> Result<Arc<Model>> {
        let entry = {
            let mut entries = lock(&self.0);
            // What nobody holds, and nobody loads.
            entries.retain(|_, entry| Arc::strong_count(entry) > 1 || lock(entry).strong_count() > 0);
            Arc::clone(entries.entry((name.clone(), version.to_owned())).or_default())
        };
        let mut held = lock(&entry);
        if let Some(model) = held.upgrade() {
            return Ok(model);
        }
        let model = Arc::new(load()?);
        *held = Arc::downgrade(&model);
        Ok(model)
    }
}
