//! Jazz: a ride that swings, a bass that walks, sevenths on a piano or a guitar, a horn or the piano improvising.

use crate::synth::drums::Kit;
use crate::synth::effects::Biquad;
use crate::synth::instruments::{Pluck, SINGING, brass, piano, reed, strum, vibes};
use crate::synth::notes::{
    Chord, HALF_DIMINISHED, IONIAN, Line, MAJOR_SEVENTH, MINOR_SEVENTH, NINTH, Phrasing, Placed, SEVENTH, chord,
    chord_at, lay_out, pattern, walking_bass,
};
use crate::synth::osc::{Note, STRAIGHT};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (92.0, 224.0);

const FORMS: [&[Chord]; 3] = [
    &[
        chord(2, MINOR_SEVENTH, 4),
        chord(7, SEVENTH, 4),
        chord(0, MAJOR_SEVENTH, 4),
        chord(9, SEVENTH, 4),
        chord(2, MINOR_SEVENTH, 4),
        chord(7, NINTH, 4),
        chord(4, MINOR_SEVENTH, 4),
        chord(9, SEVENTH, 4),
    ],
    &[
        chord(0, MINOR_SEVENTH, 4),
        chord(5, SEVENTH, 4),
        chord(10, MAJOR_SEVENTH, 4),
        chord(3, MAJOR_SEVENTH, 4),
        chord(9, HALF_DIMINISHED, 4),
        chord(2, SEVENTH, 4),
        chord(7, MINOR_SEVENTH, 8),
    ],
    // A blues with changes.
    &[
        chord(0, SEVENTH, 4),
        chord(5, SEVENTH, 4),
        chord(0, SEVENTH, 4),
        chord(7, MINOR_SEVENTH, 2),
        chord(0, SEVENTH, 2),
        chord(5, SEVENTH, 8),
        chord(0, SEVENTH, 4),
        chord(9, SEVENTH, 4),
        chord(2, MINOR_SEVENTH, 4),
        chord(7, SEVENTH, 4),
        chord(0, SEVENTH, 4),
        chord(7, SEVENTH, 4),
    ],
];

pub(super) fn compose(song: &mut Song) {
    // The faster, the straighter.
    song.swing = (0.70 - 0.0007 * (song.bpm - 92.0)).max(0.58);
    song.loose = 0.010;
    let which = song.chance("form").below(FORMS.len());
    let chords = lay_out(FORMS[which], song.tonic, song.beats() + 4.0);
    let trio = song.artist.habit("drummer", 6) > 0;
    if trio {
        drums(song);
    }
    bass(song, &chords);
    comp(song, &chords);
    solo(song, &chords);
}

fn drums(song: &mut Song) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 1.1, 1.5),
        ring: song.artist.taste("ring", 0.7, 1.3),
        bright: song.artist.taste("metal", 0.7, 1.05),
        click: 0.15,
    };
    let brushes = song.bpm < 150.0 && song.artist.habit("brushes", 3) == 0;
    let (bars, mut track) = (song.bars(4.0), song.track());
    if brushes {
        for (beat, strength) in pattern("xXxX", 4.0, bars) {
            kit.brush(&mut track, song.about(beat, rng), 0.6 * strength, song.seconds(0.55), rng);
        }
        for (beat, strength) in pattern("...X...X", 4.0, bars) {
            kit.hat(&mut track, song.about(beat, rng), 0.4 * strength, rng);
        }
    } else {
        for (beat, strength) in pattern("x.Xxx.Xx", 4.0, bars) {
            kit.ride(&mut track, song.about(beat, rng), strength * rng.uniform(0.8, 1.0), rng);
        }
        for (beat, _) in pattern(".X.X", 4.0, bars) {
            kit.hat(&mut track, song.about(beat, rng), 0.6, rng);
        }
        // The left hand and the right foot comment.
        let remarks = Phrasing { grid: 0.5, density: 0.2, phrase: 4.0, rest: 0.1, period: 0.0, longest: 1.0 };
        for (beat, _) in remarks.notes(song.beats(), rng) {
            let at = song.about(beat, rng);
            if rng.chance(0.65) {
                kit.snare(&mut track, at, rng.uniform(0.15, 0.5), rng);
            } else {
                kit.kick(&mut track, at, rng.uniform(0.3, 0.6), rng);
            }
        }
    }
    song.mix(&track, song.artist.taste("drums", -20.0, -16.0), -6.0);
}

fn bass(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bass");
    let upright = Pluck { attack: 0.18, ring: 0.3, decay: 1.1, position: 0.35, vibrato: STRAIGHT };
    let mut track = song.track();
    for (beat, pitch) in walking_bass(chords, 36, rng) {
        let note = Note::new(song.about(beat, rng), song.seconds(0.92), pitch, rng.uniform(0.8, 1.0));
        upright.play(&mut track, &note, rng);
    }
    Biquad::peak(140.0, 1.0, 4.0).apply(&mut track);
    song.mix(&track, song.artist.taste("bass level", -18.0, -13.0), -12.0);
}

fn comp(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("comp");
    let guitar = Pluck { attack: 0.3, ring: 0.4, decay: 1.4, position: 0.25, vibrato: STRAIGHT };
    let strings = song.artist.habit("comp", 3) == 0;
    let mut track = song.track();
    for chord in chords {
        // Rootless: the bass has the root.
        let voicing: Vec<i32> =
            chord.voicing(60).into_iter().filter(|p| (p - chord.root).rem_euclid(12) != 0).collect();
        if strings {
            for beat in 0..chord.beats as usize {
                let at = song.about(chord.beat + beat as f64, rng);
                let level = if beat % 2 == 1 { 0.7 } else { 0.5 };
                strum(&mut track, &guitar, &voicing, &Note::new(at, song.seconds(0.6), 0, level), 0.01, rng);
            }
            continue;
        }
        let stabs: &[f64] = [&[0.0, 1.5][..], &[0.5, 2.0], &[1.5, 3.5], &[1.0], &[0.0, 2.5]][rng.below(5)];
        for &stab in stabs.iter().filter(|&&stab| stab < chord.beats) {
            let length = if rng.chance(0.5) { 0.35 } else { 1.1 };
            let at = song.about(chord.beat + stab, rng);
            for &pitch in &voicing {
                piano(&mut track, &Note::new(at, song.seconds(length), pitch, rng.uniform(0.4, 0.6)), 0.3, rng);
            }
        }
    }
    song.mix(&track, song.artist.taste("comp level", -22.0, -17.0), -6.0);
}

fn solo(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("solo");
    // Tenor, alto, trumpet, piano, vibraphone, guitar.
    let who = song.artist.habit("soloist", 6);
    let guitar = Pluck { attack: 0.3, ring: 0.45, decay: 1.8, position: 0.25, vibrato: STRAIGHT };
    let centre = [60, 67, 70, 72, 69, 64][who];
    // Above some tempo the eighths of a beginner: every second is left out.
    let density = if song.bpm > 190.0 { 0.5 } else { 0.68 };
    let phrasing = Phrasing { grid: 0.5, density, phrase: 8.0, rest: 0.08, period: 0.0, longest: 2.5 };
    let mut line = Line::new(song.tonic, IONIAN, centre, 8);
    line.leap = 0.3;
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let mut pitch = line.next(rng);
        let on_beat = (beat - beat.floor()).abs() < 1e-6;
        if let Some(chord) = chord_at(chords, beat) {
            if on_beat {
                pitch = line.settle(chord);
            } else if rng.chance(0.25) {
                pitch += 1;
            }
        }
        let level = rng.uniform(0.5, 1.0);
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.92), pitch, level);
        match who {
            0 => reed(&mut track, &note, 0.32, 620.0, 0.035, rng),
            1 => reed(&mut track, &note, 0.25, 900.0, 0.02, rng),
            2 => brass(&mut track, &note, 0.5, SINGING, rng),
            3 => piano(&mut track, &note, 0.5, rng),
            4 => vibes(&mut track, &note),
            _ => guitar.play(&mut track, &note, rng),
        }
    }
    song.mix(&track, song.artist.taste("solo level", -17.0, -14.0), -3.0);
}
