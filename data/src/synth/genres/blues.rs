//! Blues: twelve bars, a shuffle or a slow 12/8, a walking or boogie bass, a guitar or a harp that answers itself.

use crate::synth::drums::Kit;
use crate::synth::effects::{cabinet, chorus, drive, tremolo};
use crate::synth::instruments::{Pluck, organ, piano, reed, strum};
use crate::synth::notes::{
    BLUES, Chord, Line, NINTH, Phrasing, Placed, SEVENTH, chord, lay_out, pattern, walking_bass,
};
use crate::synth::osc::{Note, Vibrato};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (62.0, 132.0);

const TWELVE_BARS: &[Chord] = &[
    chord(0, SEVENTH, 4),
    chord(5, SEVENTH, 4),
    chord(0, SEVENTH, 8),
    chord(5, NINTH, 8),
    chord(0, SEVENTH, 8),
    chord(7, SEVENTH, 4),
    chord(5, SEVENTH, 4),
    chord(0, SEVENTH, 4),
    chord(7, SEVENTH, 4),
];

const STRING: Pluck = Pluck {
    attack: 0.55,
    ring: 0.55,
    decay: 2.6,
    position: 0.2,
    vibrato: Vibrato { rate: 5.2, depth: 0.2, delay: 0.25 },
};

pub(super) fn compose(song: &mut Song) {
    song.swing = 0.64 + 0.04 * song.artist.taste("shuffle", 0.0, 1.0);
    song.loose = 0.011;
    // The excerpt begins anywhere in the form.
    let turn = song.chance("form").below(12) as f64 * 4.0;
    let mut chords = lay_out(TWELVE_BARS, song.tonic, song.beats() + turn + 4.0);
    for chord in &mut chords {
        chord.beat -= turn;
    }
    let acoustic = song.artist.habit("electric", 9) == 0;
    if !acoustic {
        drums(song);
        bass(song, &chords);
    }
    rhythm(song, &chords, acoustic);
    lead(song, &chords, acoustic);
}

fn drums(song: &mut Song) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 0.9, 1.2),
        ring: song.artist.taste("ring", 0.8, 1.3),
        bright: song.artist.taste("metal", 0.8, 1.1),
        click: 0.4,
    };
    let (bars, mut track) = (song.bars(4.0), song.track());
    let cymbal = if song.artist.habit("cymbal", 2) == 0 { "X.xxX.xx" } else { "XxXxXxXx" };
    let ride = song.artist.habit("ride", 2) == 0;
    for (beat, strength) in pattern(cymbal, 4.0, bars) {
        let at = song.about(beat, rng);
        let level = strength * rng.uniform(0.6, 0.9);
        if ride { kit.ride(&mut track, at, level, rng) } else { kit.hat(&mut track, at, level, rng) }
    }
    for (beat, strength) in pattern("X...x..o", 4.0, bars) {
        kit.kick(&mut track, song.about(beat, rng), strength * 0.9, rng);
    }
    for (beat, strength) in pattern("..X...X.", 4.0, bars) {
        kit.snare(&mut track, song.about(beat, rng), strength * 0.7, rng);
    }
    song.mix(&track, song.artist.taste("drums", -18.0, -14.5), -8.0);
}

fn bass(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bass");
    let string = Pluck { attack: 0.12, ring: 0.35, decay: 1.6, position: 0.3, ..STRING };
    let mut track = song.track();
    if song.artist.habit("bass", 2) == 0 {
        for (beat, pitch) in walking_bass(chords, 36, rng) {
            let note = Note::new(song.about(beat, rng), song.seconds(0.9), pitch, 0.9);
            string.play(&mut track, &note, rng);
        }
    } else {
        // Boogie: root, third, fifth, sixth and seventh, up and down.
        for chord in chords {
            for step in 0..chord.beats as usize {
                let up = [0, 4, 7, 9, 10, 9, 7, 4][(step + 4 * (chord.beat as usize / 4 % 2)) % 8];
                let at = song.about(chord.beat + step as f64, rng);
                string.play(&mut track, &Note::new(at, song.seconds(0.85), chord.bass(35) + up, 0.9), rng);
            }
        }
    }
    song.mix(&track, song.artist.taste("bass level", -19.0, -14.0), -18.0);
}

fn rhythm(song: &mut Song, chords: &[Placed], acoustic: bool) {
    let rng = &mut song.chance("rhythm");
    let mut track = song.track();
    let way = if acoustic { 0 } else { song.artist.habit("comp", 3) };
    for chord in chords {
        match way {
            // The shuffle of two strings: fifth and sixth in turn over the root.
            0 => {
                let root = chord.bass(43);
                for step in 0..(chord.beats as usize * 2) {
                    let top = if (step / 2) % 2 == 0 { 7 } else { 9 };
                    let at = song.about(chord.beat + step as f64 * 0.5, rng);
                    let level = if step % 2 == 0 { 0.7 } else { 0.45 };
                    let note = Note::new(at, song.seconds(0.35), 0, level);
                    strum(&mut track, &STRING, &[root, root + top], &note, 0.006, rng);
                }
            }
            // Organ that holds, or piano that chops on the off-beats.
            1 => {
                for pitch in chord.voicing(62) {
                    let note = Note::new(song.at(chord.beat), song.seconds(chord.beats * 0.95), pitch, 0.5);
                    organ(&mut track, &note, [0.7, 1.0, 0.6, 0.5, 0.0, 0.1, 0.0], 0.15, rng);
                }
            }
            _ => {
                for step in 0..chord.beats as usize {
                    let at = song.about(chord.beat + step as f64 + 0.5, rng);
                    for pitch in chord.voicing(64) {
                        piano(&mut track, &Note::new(at, song.seconds(0.3), pitch, 0.5), 0.6, rng);
                    }
                }
            }
        }
    }
    match way {
        0 if !acoustic => {
            drive(&mut track, song.artist.taste("crunch", 2.0, 10.0), 0.15);
            cabinet(&mut track, 3_800.0);
        }
        1 => chorus(&mut track, 6.2, 0.6),
        _ => {}
    }
    let db = if acoustic { -16.0 } else { song.artist.taste("comp level", -23.0, -17.0) };
    song.mix(&track, db, -10.0);
}

fn lead(song: &mut Song, chords: &[Placed], acoustic: bool) {
    let rng = &mut song.chance("lead");
    let harp = song.artist.habit("harp", 4) == 0;
    let mut line = Line::new(song.tonic, BLUES, if harp { 72 } else { 67 }, 7);
    let phrasing = Phrasing { grid: 0.5, density: 0.55, phrase: 8.0, rest: 0.12, period: 0.0, longest: 2.0 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let pitch = line.over(chords, beat, beats > 0.9, rng);
        let mut note = Note::new(song.about(beat, rng), song.seconds(beats * 0.9), pitch, rng.uniform(0.6, 1.0));
        if rng.chance(0.35) {
            note = note.bent(if rng.chance(0.7) { -1.0 } else { -2.0 }, rng.uniform(0.08, 0.25));
        }
        if harp {
            reed(&mut track, &note, 0.3, 1_150.0, 0.02, rng);
        } else {
            STRING.play(&mut track, &note, rng);
        }
    }
    if !acoustic {
        drive(&mut track, song.artist.taste("lead drive", 4.0, 18.0), 0.2);
        cabinet(&mut track, song.artist.taste("speaker", 3_000.0, 4_800.0));
    } else if song.artist.habit("tremolo", 2) == 0 {
        tremolo(&mut track, 5.0, 0.3);
    }
    song.mix(&track, song.artist.taste("lead level", -17.5, -14.0), -6.0);
}
