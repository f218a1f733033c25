//! Which of the judged clips have faults that are known.

use data::{KnownFault, catalogue, known_faults};
use serde::Serialize;

use super::Scored;

/// A judged clip with something against it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultyClip {
    /// Its id.
    pub clip_id: String,
    /// Whether it was named rightly.
    pub right: bool,
    /// What is known against it; at least one thing.
    pub faults: Vec<KnownFault>,
}

/// How many clips have a fault of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultCount {
    /// Of the clips that were judged.
    pub clips: usize,
    /// Of those that were named wrongly.
    pub mistakes: usize,
}

/// What GTZAN's catalogue knows against the clips that were judged; see [`KnownFault`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Faults {
    /// Judged clips that are in the catalogue. Nothing is known of others.
    pub in_catalogue: usize,
    /// Repeats and faults that Kereliuk, Sturm and Larsen left out.
    pub excluded: FaultCount,
    /// Clips of which an artist is in another part of the split too.
    pub shared_artist: FaultCount,
    /// Each of them, in the order of the ids.
    pub clips: Vec<FaultyClip>,
}

impl Faults {
    /// Looks every clip up. A piece of a clip (`blues.00000.3`) is looked up as the clip.
    #[must_use]
    pub fn of(scored: &[Scored]) -> Self {
        let mut found = Self::default();
        for clip in scored {
            let id = whole(&clip.clip_id);
            found.in_catalogue += usize::from(catalogue().get(id).is_some());
            let faults = known_faults(id);
            if faults.is_empty() {
                continue;
            }
            let right = clip.right() == 1.0;
            for fault in faults {
                let count = match fault {
                    KnownFault::Excluded { .. } => &mut found.excluded,
                    KnownFault::SharedArtist { .. } => &mut found.shared_artist,
                };
                count.clips += 1;
                count.mistakes += usize::from(!right);
            }
            found.clips.push(FaultyClip { clip_id: clip.clip_id.clone(), right, faults: faults.to_vec() });
        }
        found.clips.sort_by(|a, b| a.clip_id.cmp(&b.clip_id));
        found
    }

    /// What is known against a judged clip.
    #[must_use]
    pub fn against(&self, clip_id: &str) -> &[KnownFault] {
        let place = self.clips.binary_search_by(|clip| clip.clip_id.as_str().cmp(clip_id));
        place.map_or(&[], |place| self.clips[place].faults.as_slice())
    }
}

/// The id of the clip that this is a piece of, or itself.
fn whole(clip_id: &str) -> &str {
    let piece = clip_id.rsplit_once('.').filter(|(whole, _)| catalogue().get(whole).is_some());
    piece.map_or(clip_id, |(whole, _)| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(clip_id: &str, right: bool) -> Scored {
        let (credit, group) = Default::default();
        let truth = usize::from(!right);
        Scored { clip_id: clip_id.into(), credit, group, truth, probabilities: vec![0.9, 0.1] }
    }

    #[test]
    fn faults_are_counted_among_clips_and_among_mistakes() {
        let excluded = catalogue().entries().iter().find(|entry| entry.split == data::FaultFiltered::Excluded);
        let excluded = excluded.expect("one of seventy").clip_id.as_str();
        let piece = format!("{excluded}.2");
        let clips = [
            clip("disco.00013", false),
            clip(excluded, false),
            clip(&piece, true),
            clip("blues.00000", false),
            clip("mine", false),
        ];
        let faults = Faults::of(&clips);
        assert_eq!(faults.in_catalogue, 4);
        assert_eq!(faults.excluded, FaultCount { clips: 2, mistakes: 1 });
        assert_eq!(faults.shared_artist, FaultCount { clips: 1, mistakes: 1 });
        assert_eq!(faults.against("disco.00013").len(), 1);
        assert!(faults.against(&piece)[0].name() == "excluded" && faults.against("mine").is_empty());
    }
}
