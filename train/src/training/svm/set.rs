//! [`TrainingSet`]: what a machine is fitted on.

use std::collections::BTreeSet;

use super::{Error, Result};

/// Feature vectors of clips, with their genres and artists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingSet {
    /// One vector for each segment; all of one size, finite.
    pub vectors: Vec<Vec<f32>>,
    /// For each segment, the index of its clip in `labels` and `groups`.
    pub clip: Vec<usize>,
    /// For each segment, whether clips are evaluated by it (a passage), or it is only fitted on (a window of one).
    pub evaluated: Vec<bool>,
    /// For each clip, its class, 0 to k − 1; every class has clips.
    pub labels: Vec<usize>,
    /// For each clip, what must not be on both sides of a fold: its artist, or its id where no artist is known.
    pub groups: Vec<String>,
    /// For each dimension of a vector, its name, such as `mfcc.3.mean`.
    pub names: Vec<String>,
}

impl TrainingSet {
    /// Classes: one more than the largest label.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |largest| largest + 1)
    }

    /// Some of the clips, in this order, with their segments.
    ///
    /// # Panics
    /// When one is not below the number of clips.
    #[must_use]
    pub fn some(&self, clips: &[usize]) -> Self {
        let mut segments = vec![Vec::new(); self.labels.len()];
        self.clip.iter().enumerate().for_each(|(segment, &clip)| segments[clip].push(segment));
        let mut some = Self { names: self.names.clone(), ..Self::default() };
        for (number, &clip) in clips.iter().enumerate() {
            some.labels.push(self.labels[clip]);
            some.groups.push(self.groups[clip].clone());
            for &segment in &segments[clip] {
                some.vectors.push(self.vectors[segment].clone());
                some.clip.push(number);
                some.evaluated.push(self.evaluated[segment]);
            }
        }
        some
    }

    /// Class of each segment.
    pub(super) fn segment_labels(&self) -> Vec<usize> {
        self.clip.iter().map(|&clip| self.labels[clip]).collect()
    }

    /// Refuses parts that do not fit together, and classes that cannot be evaluated.
    ///
    /// # Errors
    /// [`Error::Set`], [`Error::TooFewGroups`].
    pub fn validate(&self) -> Result<()> {
        let set = |problem: String| Err(Error::Set(problem));
        let (n_clips, n_segments, dim) = (self.labels.len(), self.vectors.len(), self.names.len());
        if self.groups.len() != n_clips {
            return set(format!("{n_clips} labels of clips, {} artists", self.groups.len()));
        }
        if self.clip.len() != n_segments {
            return set(format!("{n_segments} vectors, {} indices of their clips", self.clip.len()));
        }
        if self.evaluated.len() != n_segments {
            return set(format!("{n_segments} vectors, {} flags of which are evaluated", self.evaluated.len()));
        }
        if dim == 0 {
            return set("the vectors have no dimension".into());
        }
        let mut heard = vec![false; n_clips];
        for (index, (vector, &clip)) in self.vectors.iter().zip(&self.clip).enumerate() {
            if vector.len() != dim {
                return set(format!("vector {index} has {} dimensions, {dim} are named", vector.len()));
            }
            if let Some(position) = vector.iter().position(|value| !value.is_finite()) {
                return set(format!("vector {index}: `{}` is {}", self.names[position], vector[position]));
            }
            match heard.get_mut(clip) {
                Some(heard) => *heard |= self.evaluated[index],
                None => return set(format!("vector {index} is of clip {clip}, and there are {n_clips}")),
            }
        }
        if let Some(clip) = heard.iter().position(|heard| !heard) {
            return set(format!("clip {clip} has no vector that it is evaluated by"));
        }
        // More labels than clips cannot all have clips; and a table of them might not fit in memory.
        if self.n_classes() > n_clips {
            return set(format!("a label is {}, and there are {n_clips} clips", self.n_classes() - 1));
        }
        if self.n_classes() < 2 {
            return set(format!("{} class(es), at least 2 are needed", self.n_classes()));
        }
        for class in 0..self.n_classes() {
            let of_class = self.labels.iter().zip(&self.groups).filter(|(label, _)| **label == class);
            let groups: BTreeSet<_> = of_class.clone().map(|(_, group)| group).collect();
            if groups.len() < 2 {
                return Err(Error::TooFewGroups { class, clips: of_class.count(), groups: groups.len() });
            }
        }
        Ok(())
    }
}
