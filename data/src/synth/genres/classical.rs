//! Classical: no drums; strings, a piano, a harpsichord or a wind trio, slow harmony, wide dynamics and rubato.

use crate::rng::Rng;
use crate::synth::instruments::{Pluck, SINGING, bowed, brass, flute, piano, strings};
use crate::synth::notes::{
    AEOLIAN, Chord, DIMINISHED, IONIAN, Line, MAJOR, MAJOR_SEVENTH, MINOR, Phrasing, Placed, SEVENTH, chord, lay_out,
};
use crate::synth::osc::{Note, STRAIGHT};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (52.0, 104.0);

const MAJOR_KEY: &[Chord] = &[
    chord(0, MAJOR, 4),
    chord(9, MINOR, 4),
    chord(5, MAJOR, 4),
    chord(2, MINOR, 2),
    chord(7, SEVENTH, 2),
    chord(0, MAJOR, 4),
    chord(4, MINOR, 4),
    chord(5, MAJOR_SEVENTH, 4),
    chord(7, SEVENTH, 4),
];

const MINOR_KEY: &[Chord] = &[
    chord(0, MINOR, 4),
    chord(5, MINOR, 4),
    chord(10, MAJOR, 4),
    chord(3, MAJOR, 4),
    chord(8, MAJOR, 4),
    chord(2, DIMINISHED, 4),
    chord(7, SEVENTH, 4),
    chord(0, MINOR, 4),
];

pub(super) fn compose(song: &mut Song) {
    song.rubato = (0.35, 13.0);
    song.loose = 0.012;
    let minor = song.chance("mode").chance(0.45);
    let chords = lay_out(if minor { MINOR_KEY } else { MAJOR_KEY }, song.tonic, song.beats() + 4.0);
    let scale = if minor { AEOLIAN } else { IONIAN };
    // Strings, piano alone, piano and strings, harpsichord and strings, winds and strings.
    let ensemble = song.artist.habit("ensemble", 5);
    let swell = Swell { period: song.artist.taste("swell", 14.0, 30.0), phase: song.chance("swell").unit() };
    if ensemble != 1 {
        accompany(song, &chords, &swell);
    }
    if ensemble != 0 {
        arpeggios(song, &chords, &swell, ensemble);
    }
    melody(song, &chords, scale, &swell, ensemble);
    let hall = (song.artist.taste("hall seconds", 1.2, 2.8), 1.3, song.artist.taste("hall level", -2.0, 5.0));
    song.move_to(hall);
}

/// Crescendo and diminuendo over some bars.
struct Swell {
    period: f64,
    phase: f64,
}

impl Swell {
    /// Level at `beat`, 0.15 to 1.
    fn at(&self, beat: f64) -> f64 {
        let x = beat / self.period + self.phase;
        let x = x - x.floor();
        let rise = if x < 0.7 { x / 0.7 } else { (1.0 - x) / 0.3 };
        0.15 + 0.85 * rise * rise
    }
}

fn accompany(song: &mut Song, chords: &[Placed], swell: &Swell) {
    let rng = &mut song.chance("strings");
    let top = song.artist.taste("bow", 1_600.0, 4_200.0);
    let mut track = song.track();
    for chord in chords {
        let level = swell.at(chord.beat);
        let mut parts = chord.voicing(62);
        parts.push(chord.bass(43));
        parts.push(chord.bass(43) - 12);
        for pitch in parts {
            let at = song.about(chord.beat, rng);
            let note = Note::new(at, song.seconds(chord.beats * 0.97), pitch, level * rng.uniform(0.4, 0.6));
            strings(&mut track, &note, 0.28, top * (0.6 + 0.6 * level), rng);
        }
    }
    song.mix(&track, song.artist.taste("strings level", -18.0, -14.0), 0.0);
}

fn arpeggios(song: &mut Song, chords: &[Placed], swell: &Swell, ensemble: usize) {
    let rng = &mut song.chance("arpeggios");
    let quill = Pluck { attack: 0.95, ring: 0.9, decay: 2.0, position: 0.12, vibrato: STRAIGHT };
    let step = if song.artist.habit("figure", 2) == 0 { 0.5 } else { 1.0 / 3.0 };
    let hard = song.artist.taste("touch", 0.1, 0.5);
    let mut track = song.track();
    for chord in chords {
        let tones = chord.voicing(60);
        let steps = (chord.beats / step).round() as usize;
        for i in 0..steps {
            let turn = i % (2 * tones.len() - 2).max(1);
            let which = if turn < tones.len() { turn } else { 2 * tones.len() - 2 - turn };
            let pitch = if i == 0 { chord.bass(41) } else { tones[which] };
            let beat = chord.beat + i as f64 * step;
            let level = swell.at(beat) * rng.uniform(0.45, 0.65);
            let note = Note::new(song.about(beat, rng), song.seconds(step * 2.2), pitch, level);
            match ensemble {
                3 => quill.play(&mut track, &note, rng),
                4 => flute_or_horn(&mut track, &note, chord, rng),
                _ => piano(&mut track, &note, hard, rng),
            }
        }
    }
    song.mix(&track, song.artist.taste("keys level", -18.0, -13.0), -3.0);
}

/// The winds share an accompaniment: the horn has the long low tones, the flute the rest.
fn flute_or_horn(track: &mut [f32], note: &Note, chord: &Placed, rng: &mut Rng) {
    if note.pitch <= f64::from(chord.bass(41)) {
        let held = Note { seconds: note.seconds * 3.0, level: note.level * 0.8, ..*note };
        brass(track, &held, 0.2, STRAIGHT, rng);
    } else {
        flute(track, &Note { pitch: note.pitch + 12.0, level: note.level * 0.6, ..*note }, rng);
    }
}

fn melody(song: &mut Song, chords: &[Placed], scale: &'static [i32], swell: &Swell, ensemble: usize) {
    let rng = &mut song.chance("melody");
    let phrasing = Phrasing { grid: 0.5, density: 0.35, phrase: 8.0, rest: 0.15, period: 16.0, longest: 3.0 };
    let mut line = Line::new(song.tonic, scale, 74, 7);
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let pitch = line.over(chords, beat, beats >= 1.0, rng);
        let level = swell.at(beat) * rng.uniform(0.7, 1.0);
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.98), pitch, level);
        match ensemble {
            1 | 2 => piano(&mut track, &note, 0.35, rng),
            4 => flute(&mut track, &note, rng),
            _ => bowed(&mut track, &note, 0.09, SINGING, rng),
        }
    }
    song.mix(&track, song.artist.taste("melody level", -17.0, -13.0), -1.0);
}
