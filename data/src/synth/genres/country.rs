//! Country: boom and chick, a strummed guitar, major keys, a pedal steel or a fiddle that slides, a voice with twang.

use crate::synth::drums::Kit;
use crate::synth::instruments::{Pluck, SINGING, Singer, bowed, pedal_steel, strum};
use crate::synth::notes::{
    Chord, IONIAN, Line, MAJOR, MAJOR_PENTATONIC, Phrasing, Placed, SEVENTH, chord, lay_out, pattern,
};
use crate::synth::osc::{Note, STRAIGHT, Vibrato};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (84.0, 138.0);

const PROGRESSIONS: [&[Chord]; 3] = [
    &[chord(0, MAJOR, 8), chord(5, MAJOR, 4), chord(0, MAJOR, 4), chord(7, SEVENTH, 8), chord(0, MAJOR, 8)],
    &[chord(0, MAJOR, 4), chord(5, MAJOR, 4), chord(7, MAJOR, 4), chord(0, MAJOR, 4)],
    &[chord(5, MAJOR, 4), chord(0, MAJOR, 4), chord(2, SEVENTH, 4), chord(7, SEVENTH, 4), chord(0, MAJOR, 8)],
];

const STEEL: Pluck = Pluck { attack: 0.85, ring: 0.85, decay: 2.4, position: 0.18, vibrato: STRAIGHT };

pub(super) fn compose(song: &mut Song) {
    song.swing = song.artist.taste("swing", 0.5, 0.6);
    song.loose = 0.008;
    let which = song.chance("form").below(PROGRESSIONS.len());
    let chords = lay_out(PROGRESSIONS[which], song.tonic, song.beats() + 4.0);
    drums(song);
    bass(song, &chords);
    guitar(song, &chords);
    solo(song, &chords);
    if song.artist.habit("sung", 3) > 0 {
        voice(song, &chords);
    }
}

fn drums(song: &mut Song) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 0.9, 1.2),
        ring: song.artist.taste("ring", 0.6, 1.0),
        bright: song.artist.taste("metal", 0.85, 1.15),
        click: 0.3,
    };
    let (bars, mut track) = (song.bars(4.0), song.track());
    for (beat, strength) in pattern("X...X...", 4.0, bars) {
        kit.kick(&mut track, song.about(beat, rng), 0.7 * strength, rng);
    }
    // The train beat of brushes, or a rim with hats.
    let train = song.artist.habit("train", 2) == 0;
    let hits = if train { "oxooXooxooxoXoox" } else { "..X...X." };
    for (beat, strength) in pattern(hits, 4.0, bars) {
        let at = song.about(beat, rng);
        if train {
            kit.brush(&mut track, at, strength, 0.07, rng);
        } else {
            kit.rim(&mut track, at, 0.6 * strength, rng);
            kit.snare(&mut track, at, 0.35 * strength, rng);
        }
    }
    if !train {
        for (beat, strength) in pattern("xoxoxoxo", 4.0, bars) {
            kit.hat(&mut track, song.about(beat, rng), strength * 0.7, rng);
        }
    }
    song.mix(&track, song.artist.taste("drums", -24.0, -17.0), -9.0);
}

fn bass(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bass");
    let string = Pluck { attack: 0.15, ring: 0.35, decay: 1.4, position: 0.3, ..STEEL };
    let mut track = song.track();
    for chord in chords {
        for half in 0..(chord.beats as usize / 2) {
            let fifth = if half % 2 == 0 { 0 } else { -5 };
            let at = song.about(chord.beat + 2.0 * half as f64, rng);
            string.play(&mut track, &Note::new(at, song.seconds(1.3), chord.bass(37) + fifth, 0.9), rng);
        }
    }
    song.mix(&track, song.artist.taste("bass level", -19.0, -15.0), -20.0);
}

fn guitar(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("guitar");
    let mut track = song.track();
    let picked = song.artist.habit("picked", 3) == 0;
    for chord in chords {
        let grip = chord.grip(43);
        for beat in 0..chord.beats as usize {
            let start = chord.beat + beat as f64;
            if picked {
                // Banjo or Travis picking: a roll of eighths and sixteenths over the grip.
                for (i, string) in [0, 3, 2, 4].into_iter().enumerate() {
                    let at = song.about(start + 0.25 * i as f64, rng);
                    let pitch = grip[(string + beat) % grip.len()] + 12;
                    STEEL.play(&mut track, &Note::new(at, song.seconds(0.5), pitch, rng.uniform(0.5, 0.8)), rng);
                }
            } else if beat % 2 == 1 {
                let note = Note::new(song.about(start, rng), song.seconds(0.45), 0, 0.9);
                strum(&mut track, &STEEL, &grip, &note, 0.02, rng);
                let upper: Vec<i32> = grip.iter().rev().take(3).copied().collect();
                let note = Note::new(song.about(start + 0.5, rng), song.seconds(0.3), 0, 0.5);
                strum(&mut track, &STEEL, &upper, &note, 0.012, rng);
            } else {
                let note = Note::new(song.about(start, rng), song.seconds(0.8), grip[0], 0.6);
                STEEL.play(&mut track, &note, rng);
            }
        }
    }
    song.mix(&track, song.artist.taste("guitar level", -16.5, -13.0), -12.0);
}

fn solo(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("solo");
    let fiddle = song.artist.habit("fiddle", 3) == 0;
    let mut track = song.track();
    if fiddle {
        let mut line = Line::new(song.tonic, MAJOR_PENTATONIC, 74, 6);
        let phrasing = Phrasing { grid: 0.5, density: 0.6, phrase: 8.0, rest: 0.3, period: 0.0, longest: 2.0 };
        for (beat, beats) in phrasing.notes(song.beats(), rng) {
            let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.95), line.next(rng), 0.8);
            let note = if rng.chance(0.4) { note.bent(-1.0, 0.09) } else { note };
            bowed(&mut track, &note, 0.03, SINGING, rng);
        }
    } else {
        for chord in chords {
            let tones = chord.voicing(67);
            let mut beat = chord.beat;
            while beat < chord.beat + chord.beats {
                let beats = if rng.chance(0.5) { 2.0 } else { 4.0 };
                let from = if rng.chance(0.75) { -2.0 } else { 3.0 };
                for pitch in tones.iter().skip(rng.below(2)) {
                    let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.9), *pitch, 0.6);
                    pedal_steel(&mut track, &note.bent(from, rng.uniform(0.15, 0.4)));
                }
                beat += beats;
            }
        }
    }
    song.mix(&track, song.artist.taste("solo level", -20.0, -15.0), -3.0);
}

fn voice(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("voice");
    let singer = Singer {
        throat: song.artist.taste("throat", 0.95, 1.2),
        bright: song.artist.taste("twang", 0.5, 0.9),
        breath: 0.03,
        grit: 0.0,
        vibrato: Vibrato { rate: 5.5, depth: 0.2, delay: 0.4 },
    };
    let centre = if singer.throat > 1.07 { 67 } else { 57 };
    let mut line = Line::new(song.tonic, IONIAN, centre, 5);
    let phrasing = Phrasing { grid: 0.5, density: 0.45, phrase: 8.0, rest: 0.15, period: 16.0, longest: 2.5 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let pitch = line.over(chords, beat, beats >= 1.0, rng);
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.9), pitch, rng.uniform(0.7, 1.0));
        let note = if rng.chance(0.45) { note.bent(-1.5, 0.14) } else { note };
        singer.sing(&mut track, &note, rng);
    }
    song.mix(&track, song.artist.taste("voice level", -17.5, -14.5), -5.0);
}
