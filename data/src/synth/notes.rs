//! Which notes are played and when: chords, scales and melodies; patterns on a grid, and phrases with breaths between them.

use crate::rng::Rng;

/// Chord tones in semitones above the root.
pub(super) type Quality = &'static [i32];

pub(super) const MAJOR: Quality = &[0, 4, 7];
pub(super) const MINOR: Quality = &[0, 3, 7];
pub(super) const DIMINISHED: Quality = &[0, 3, 6];
pub(super) const SEVENTH: Quality = &[0, 4, 7, 10];
pub(super) const NINTH: Quality = &[0, 4, 7, 10, 14];
pub(super) const MAJOR_SEVENTH: Quality = &[0, 4, 7, 11];
pub(super) const MINOR_SEVENTH: Quality = &[0, 3, 7, 10];
pub(super) const HALF_DIMINISHED: Quality = &[0, 3, 6, 10];

pub(super) const IONIAN: &[i32] = &[0, 2, 4, 5, 7, 9, 11];
pub(super) const AEOLIAN: &[i32] = &[0, 2, 3, 5, 7, 8, 10];
pub(super) const PHRYGIAN: &[i32] = &[0, 1, 3, 5, 7, 8, 10];
pub(super) const MIXOLYDIAN: &[i32] = &[0, 2, 4, 5, 7, 9, 10];
pub(super) const MAJOR_PENTATONIC: &[i32] = &[0, 2, 4, 7, 9];
pub(super) const MINOR_PENTATONIC: &[i32] = &[0, 3, 5, 7, 10];
pub(super) const BLUES: &[i32] = &[0, 3, 5, 6, 7, 10];

/// A chord of a progression: semitones of its root above the tonic, its quality, and its beats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chord {
    pub(super) root: i32,
    pub(super) quality: Quality,
    pub(super) beats: u32,
}

/// Shorthand for tables of progressions.
pub(super) const fn chord(root: i32, quality: Quality, beats: u32) -> Chord {
    Chord { root, quality, beats }
}

/// A chord at its place in a piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// Beat at which it starts.
    pub(super) beat: f64,
    /// Beats until the next.
    pub(super) beats: f64,
    /// Pitch class of the root, 0 to 11.
    pub(super) root: i32,
    pub(super) quality: Quality,
}

/// Repeats `progression` in the key of pitch class `tonic` until `beats` are full.
pub(super) fn lay_out(progression: &[Chord], tonic: i32, beats: f64) -> Vec<Placed> {
    let mut placed = Vec::new();
    let mut at = 0.0;
    for chord in progression.iter().cycle() {
        if at >= beats {
            break;
        }
        let length = f64::from(chord.beats.max(1));
        placed.push(Placed {
            beat: at,
            beats: length,
            root: (tonic + chord.root).rem_euclid(12),
            quality: chord.quality,
        });
        at += length;
    }
    placed
}

/// The octave of pitch class `class` that is nearest to the MIDI pitch `centre`.
pub(super) fn near(class: i32, centre: i32) -> i32 {
    let below = centre - 6;
    below + (class - below).rem_euclid(12)
}

impl Placed {
    /// The chord in close position around the MIDI pitch `centre`, low to high.
    pub(super) fn voicing(&self, centre: i32) -> Vec<i32> {
        let mut pitches: Vec<i32> = self.quality.iter().map(|tone| near(self.root + tone, centre)).collect();
        pitches.sort_unstable();
        pitches
    }

    /// A guitar's grip: root, fifth and third over two octaves from about `low`.
    pub(super) fn grip(&self, low: i32) -> Vec<i32> {
        let root = near(self.root, low + 6);
        let third = self.quality.get(1).copied().unwrap_or(4);
        let fifth = self.quality.get(2).copied().unwrap_or(7);
        let mut grip = vec![root, root + fifth, root + 12, root + 12 + third, root + 12 + fifth];
        if let Some(&seventh) = self.quality.get(3) {
            grip[2] = root + seventh;
        }
        grip
    }

    /// Root in the octave around `centre`.
    pub(super) fn bass(&self, centre: i32) -> i32 {
        near(self.root, centre)
    }

    /// A chord tone by number, around `centre`.
    pub(super) fn tone(&self, which: usize, centre: i32) -> i32 {
        let tone = self.quality[which % self.quality.len()];
        near(self.root + tone, centre)
    }
}

/// A melody that wanders over a scale: mostly steps, sometimes leaps, turned back at the ends of its range.
#[derive(Debug)]
pub(super) struct Line {
    tonic: i32,
    scale: &'static [i32],
    degree: i32,
    range: i32,
    /// Probability of a leap.
    pub(super) leap: f64,
}

impl Line {
    /// Around `centre`, `range` degrees to each side, in `scale` on the pitch class `tonic`.
    pub(super) fn new(tonic: i32, scale: &'static [i32], centre: i32, range: i32) -> Self {
        Self { tonic: near(tonic, centre), scale, degree: 0, range, leap: 0.2 }
    }

    /// The next pitch.
    pub(super) fn next(&mut self, rng: &mut Rng) -> i32 {
        let size = if rng.chance(self.leap) { 2 + rng.below(3) as i32 } else { 1 };
        let towards_middle = 0.5 + 0.5 * f64::from(self.degree) / f64::from(self.range.max(1));
        let step = if rng.chance(towards_middle) { -size } else { size };
        self.degree = (self.degree + step).clamp(-self.range, self.range);
        self.pitch()
    }

    /// The pitch at which it is.
    pub(super) fn pitch(&self) -> i32 {
        let size = self.scale.len() as i32;
        let tone = self.scale[self.degree.rem_euclid(size) as usize];
        self.tonic + 12 * self.degree.div_euclid(size) + tone
    }

    /// The next pitch, or, for a note that is `held`, the nearest tone of the chord that sounds at `beat`.
    pub(super) fn over(&mut self, chords: &[Placed], beat: f64, held: bool, rng: &mut Rng) -> i32 {
        let next = self.next(rng);
        match chord_at(chords, beat) {
            Some(chord) if held => self.settle(chord),
            _ => next,
        }
    }

    /// Moves to the tone of `chord` nearest to where it is, as a line does on a strong beat.
    pub(super) fn settle(&self, chord: &Placed) -> i32 {
        let here = self.pitch();
        let mut best = near(chord.root, here);
        for &tone in chord.quality {
            let candidate = near(chord.root + tone, here);
            if (candidate - here).abs() < (best - here).abs() {
                best = candidate;
            }
        }
        best
    }
}

/// The chord that sounds at a beat: the last to have begun.
pub(super) fn chord_at(chords: &[Placed], beat: f64) -> Option<&Placed> {
    chords.iter().rfind(|chord| chord.beat <= beat)
}

/// A walking bass: four quarters a bar that lead from root to root, by chord tones and a chromatic approach.
pub(super) fn walking_bass(chords: &[Placed], centre: i32, rng: &mut Rng) -> Vec<(f64, i32)> {
    let mut line = Vec::new();
    for (i, chord) in chords.iter().enumerate() {
        let root = chord.bass(centre);
        let target = chords.get(i + 1).map_or(root, |next| next.bass(centre));
        let beats = chord.beats as usize;
        for beat in 0..beats {
            let pitch = if beat == 0 {
                root
            } else if beat + 1 == beats {
                target + if rng.chance(0.5) { 1 } else { -1 }
            } else {
                chord.tone(1 + rng.below(chord.quality.len() - 1), root + 4)
            };
            line.push((chord.beat + beat as f64, pitch));
        }
    }
    line
}

/// Beats at which `pattern` has a hit, in bars of `meter` beats, with the strength of the hit (`x` 0.6, `X` 1, `o` 0.3).
///
/// The pattern is one bar long, however fine its grid: `"x.x.X.x."` is eighths of a bar of four.
pub(super) fn pattern(pattern: &str, meter: f64, bars: usize) -> Vec<(f64, f64)> {
    let steps: Vec<f64> = pattern
        .bytes()
        .map(|step| match step {
            b'X' => 1.0,
            b'x' => 0.6,
            b'o' => 0.3,
            _ => 0.0,
        })
        .collect();
    let step_beats = meter / steps.len().max(1) as f64;
    let mut hits = Vec::new();
    for bar in 0..bars {
        for (i, &strength) in steps.iter().enumerate() {
            if strength > 0.0 {
                hits.push((bar as f64 * meter + i as f64 * step_beats, strength));
            }
        }
    }
    hits
}

/// How a melody is dealt out in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phrasing {
    /// Beats between two places where a note may start.
    pub(super) grid: f64,
    /// Probability that one starts there; on the beat it is higher.
    pub(super) density: f64,
    /// Beats in a phrase.
    pub(super) phrase: f64,
    /// Probability that a phrase is left to others.
    pub(super) rest: f64,
    /// Beats after which the rhythm comes again; 0 if it never does.
    pub(super) period: f64,
    /// Longest note in beats.
    pub(super) longest: f64,
}

impl Phrasing {
    /// Starts and lengths in beats of the notes of a melody of `beats`.
    pub(super) fn notes(&self, beats: f64, rng: &mut Rng) -> Vec<(f64, f64)> {
        let period = if self.period > 0.0 { self.period.min(beats) } else { beats };
        let mut motif = Vec::new();
        let mut from = 0.0;
        while from < period {
            let end = (from + self.phrase).min(period);
            if !rng.chance(self.rest) {
                // The last quarter of a phrase is for breathing.
                let sung = from + 0.75 * (end - from);
                let mut at = from;
                while at < sung {
                    let on_beat = (at - at.floor()).abs() < 1e-6;
                    if rng.chance(if on_beat { (self.density * 1.35).min(0.95) } else { self.density }) {
                        motif.push(at);
                    }
                    at += self.grid;
                }
            }
            from = end;
        }
        let mut starts = Vec::new();
        let mut offset = 0.0;
        while offset < beats {
            starts.extend(motif.iter().map(|at| at + offset).filter(|&at| at < beats));
            offset += period;
        }
        let lengths = starts.iter().skip(1).copied().chain([beats]);
        starts.iter().zip(lengths).map(|(&at, next)| (at, (next - at).clamp(self.grid * 0.5, self.longest))).collect()
    }
}
