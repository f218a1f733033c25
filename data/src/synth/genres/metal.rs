//! Metal: power chords through much gain, palm-muted gallops, two bass drums, a growl or a fast solo; no gaps.

use crate::synth::drums::Kit;
use crate::synth::effects::{Biquad, cabinet, compress, drive};
use crate::synth::instruments::{Pluck, Singer, strum};
use crate::synth::notes::{AEOLIAN, Line, PHRYGIAN, Phrasing, near, pattern};
use crate::synth::osc::{Note, STRAIGHT, Vibrato};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (118.0, 200.0);

/// Sixteenths of a bar: `X` an open power chord, `x` a muted string, `.` the chord before still sounds.
const RIFFS: [&str; 5] =
    ["X..xx.xxX..xx.xx", "x.xxx.xxx.xxX.X.", "xxxxX...xxxxX...", "X...X...X.x.X.x.", "xxxxxxxxxxxxXxXx"];

const STRING: Pluck = Pluck { attack: 0.9, ring: 0.9, decay: 5.0, position: 0.1, vibrato: STRAIGHT };

pub(super) fn compose(song: &mut Song) {
    song.loose = 0.003;
    let riff = song.chance("riff").below(RIFFS.len());
    let roots = roots(song);
    drums(song, riff);
    guitars(song, riff, &roots);
    bass(song, riff, &roots);
    if song.artist.habit("vocal", 3) > 0 {
        growl(song);
    } else {
        shred(song);
    }
}

/// Roots in semitones over the low string, one for each half bar of a riff of four bars.
fn roots(song: &Song) -> Vec<i32> {
    let rng = &mut song.chance("roots");
    (0..8).map(|i| if i % 2 == 0 && rng.chance(0.6) { 0 } else { PHRYGIAN[rng.below(PHRYGIAN.len())] }).collect()
}

fn drums(song: &mut Song, riff: usize) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 0.9, 1.1),
        ring: song.artist.taste("ring", 0.6, 0.9),
        bright: song.artist.taste("metal", 0.9, 1.15),
        click: song.artist.taste("click", 0.8, 1.6) as f32,
    };
    let (bars, mut track) = (song.bars(4.0), song.track());
    let kicks = ["XXXXXXXXXXXXXXXX", "X.XXX.XXX.XXX.XX", "X.X.X.X.X.X.X.X."][song.artist.habit("feet", 3)];
    let kicks = if song.bpm > 175.0 { "X.X.X.X.X.X.X.X." } else { kicks };
    for (beat, strength) in pattern(kicks, 4.0, bars) {
        kit.kick(&mut track, song.about(beat, rng), 0.8 * strength, rng);
    }
    let snares = if riff == 4 { ".X.X.X.X" } else { "..X...X." };
    for (beat, strength) in pattern(snares, 4.0, bars) {
        kit.snare(&mut track, song.about(beat, rng), strength, rng);
    }
    let crash = song.artist.habit("crash", 2) == 0;
    for (beat, strength) in pattern(if crash { "XxXx" } else { "XxXxXxXx" }, 4.0, bars) {
        let at = song.about(beat, rng);
        if crash { kit.crash(&mut track, at, 0.5 * strength, rng) } else { kit.open_hat(&mut track, at, strength, rng) }
    }
    for bar in (0..bars).step_by(4) {
        kit.crash(&mut track, song.at(bar as f64 * 4.0), 1.0, rng);
        for step in 0..8 {
            let beat = bar as f64 * 4.0 + 14.0 + 0.25 * step as f64;
            kit.tom(&mut track, song.about(beat, rng), 0.9, step / 3, rng);
        }
    }
    song.mix(&track, song.artist.taste("drums", -13.5, -10.5), -14.0);
}

/// Two guitars, each with chances of its own, play the same riff.
fn guitars(song: &mut Song, riff: usize, roots: &[i32]) {
    let tuning = near(song.tonic, 39);
    let gain_db = song.artist.taste("gain", 26.0, 40.0);
    let top = song.artist.taste("speaker", 4_600.0, 7_500.0);
    for side in ["left", "right"] {
        let rng = &mut song.chance(side);
        let mut track = song.track();
        let hits = pattern(RIFFS[riff], 4.0, song.bars(4.0));
        for (i, &(beat, strength)) in hits.iter().enumerate() {
            let root = tuning + roots[(beat / 2.0) as usize % roots.len()];
            let until = hits.get(i + 1).map_or(beat + 1.0, |next| next.0);
            let (start, length) = (song.about(beat, rng), song.seconds(until - beat));
            if strength > 0.9 {
                let note = Note::new(start, length * 0.97, 0, 0.9);
                strum(&mut track, &STRING, &[root, root + 7, root + 12], &note, 0.006, rng);
            } else {
                let muted = Pluck { ring: 0.3, decay: 0.16, position: 0.08, ..STRING };
                let note = Note::new(start, (length * 0.55).min(0.07), 0, 1.0);
                strum(&mut track, &muted, &[root, root + 7], &note, 0.002, rng);
            }
        }
        Biquad::high_pass(120.0, 0.8).apply(&mut track);
        drive(&mut track, gain_db, 0.05);
        cabinet(&mut track, top);
        Biquad::peak(700.0, 0.8, -5.0).apply(&mut track);
        compress(&mut track, -12.0, 3.0, 0.1);
        song.mix(&track, song.artist.taste("guitars", -17.0, -14.0), -20.0);
    }
}

fn bass(song: &mut Song, riff: usize, roots: &[i32]) {
    let rng = &mut song.chance("bass");
    let tuning = near(song.tonic, 30);
    let string = Pluck { attack: 0.7, ring: 0.7, decay: 2.0, position: 0.12, vibrato: STRAIGHT };
    let mut track = song.track();
    for (beat, _) in pattern(RIFFS[riff], 4.0, song.bars(4.0)) {
        let root = tuning + roots[(beat / 2.0) as usize % roots.len()];
        string.play(&mut track, &Note::new(song.about(beat, rng), song.seconds(0.3), root, 0.9), rng);
    }
    drive(&mut track, 9.0, 0.1);
    song.mix(&track, song.artist.taste("bass level", -19.0, -15.0), -40.0);
}

fn growl(song: &mut Song) {
    let rng = &mut song.chance("growl");
    let singer = Singer {
        throat: song.artist.taste("throat", 0.85, 1.1),
        bright: song.artist.taste("scream", 0.5, 1.0),
        breath: 0.3,
        grit: song.artist.taste("grit", 0.5, 1.0) as f32,
        vibrato: STRAIGHT,
    };
    let mut line = Line::new(song.tonic, AEOLIAN, song.artist.taste("register", 44.0, 64.0) as i32, 2);
    let phrasing = Phrasing { grid: 0.5, density: 0.5, phrase: 8.0, rest: 0.3, period: 0.0, longest: 2.0 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.85), line.next(rng), 0.9);
        singer.sing(&mut track, &note, rng);
    }
    song.mix(&track, song.artist.taste("voice level", -19.0, -14.0), -12.0);
}

fn shred(song: &mut Song) {
    let rng = &mut song.chance("shred");
    let vibrato = Vibrato { rate: 6.0, depth: 0.35, delay: 0.2 };
    let string = Pluck { vibrato, decay: 6.0, ..STRING };
    let mut line = Line::new(song.tonic, AEOLIAN, 76, 8);
    let phrasing = Phrasing { grid: 0.25, density: 0.7, phrase: 8.0, rest: 0.25, period: 0.0, longest: 2.0 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let note = Note::new(song.about(beat, rng), song.seconds(beats), line.next(rng), 0.9);
        string.play(&mut track, &note, rng);
    }
    drive(&mut track, 30.0, 0.1);
    cabinet(&mut track, 5_500.0);
    song.mix(&track, song.artist.taste("solo level", -18.0, -14.0), -6.0);
}
