//! Disco: four on the floor, open hats between the beats, a bass in octaves, strings that fly, a scratching guitar.

use crate::synth::drums::Kit;
use crate::synth::effects::Biquad;
use crate::synth::instruments::{Pluck, SINGING, Singer, Synth, brass, electric_piano, strings, strum};
use crate::synth::notes::{
    AEOLIAN, Chord, Line, MAJOR, MAJOR_SEVENTH, MINOR, MINOR_SEVENTH, Phrasing, Placed, SEVENTH, chord, chord_at,
    lay_out, pattern,
};
use crate::synth::osc::{Envelope, Note, STRAIGHT};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (112.0, 128.0);

const PROGRESSIONS: [&[Chord]; 3] = [
    &[chord(0, MINOR_SEVENTH, 8), chord(5, MINOR_SEVENTH, 8)],
    &[chord(0, MINOR, 4), chord(8, MAJOR_SEVENTH, 4), chord(5, MINOR_SEVENTH, 4), chord(7, SEVENTH, 4)],
    &[chord(0, MINOR, 4), chord(10, MAJOR, 4), chord(8, MAJOR, 4), chord(7, MINOR_SEVENTH, 4)],
];

pub(super) fn compose(song: &mut Song) {
    song.loose = 0.004;
    let which = song.chance("form").below(PROGRESSIONS.len());
    let chords = lay_out(PROGRESSIONS[which], song.tonic, song.beats() + 4.0);
    drums(song);
    bass(song, &chords);
    guitar(song, &chords);
    pad(song, &chords);
    flights(song);
    if song.artist.habit("sung", 4) > 0 {
        voice(song, &chords);
    }
}

fn drums(song: &mut Song) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 0.9, 1.15),
        ring: song.artist.taste("ring", 0.6, 1.0),
        bright: song.artist.taste("metal", 0.9, 1.15),
        click: 0.7,
    };
    let (bars, mut track) = (song.bars(4.0), song.track());
    for (beat, _) in pattern("XXXX", 4.0, bars) {
        kit.kick(&mut track, song.about(beat, rng), 0.7, rng);
    }
    let hats = ["oXoXoXoX", "oxXooxXooxXooxXo"][song.artist.habit("hats", 2)];
    for (beat, strength) in pattern(hats, 4.0, bars) {
        let at = song.about(beat, rng);
        if strength > 0.9 {
            kit.open_hat(&mut track, at, 1.2, rng);
        } else {
            kit.hat(&mut track, at, strength, rng);
        }
    }
    let claps = song.artist.habit("claps", 2) == 0;
    for (beat, _) in pattern(".X.X", 4.0, bars) {
        let at = song.about(beat, rng);
        kit.snare(&mut track, at, 0.6, rng);
        if claps {
            kit.clap(&mut track, at, 0.5, rng);
        }
    }
    song.mix(&track, song.artist.taste("drums", -17.0, -13.0), -14.0);
}

fn bass(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bass");
    let finger = Pluck { attack: 0.3, ring: 0.5, decay: 1.2, position: 0.15, vibrato: STRAIGHT };
    let machine = Synth {
        width: 0.0,
        detune: 0.003,
        cutoff: 180.0,
        sweep: 3.0,
        q: 1.6,
        envelope: Envelope::new(0.003, 0.5, 0.2, 0.06),
    };
    let synthetic = song.artist.habit("synthetic", 2) == 0;
    let mut track = song.track();
    for chord in chords {
        for step in 0..(chord.beats as usize * 2) {
            let octave = if step % 2 == 0 { 0 } else { 12 };
            let approach = if step % 8 == 7 && rng.chance(0.4) { -2 } else { 0 };
            let at = song.about(chord.beat + 0.5 * step as f64, rng);
            let note = Note::new(at, song.seconds(0.36), chord.bass(35) + octave + approach, 0.9);
            if synthetic { machine.play(&mut track, &note, rng) } else { finger.play(&mut track, &note, rng) }
        }
    }
    song.mix(&track, song.artist.taste("bass level", -19.5, -16.0), -25.0);
}

fn guitar(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("guitar");
    let string = Pluck { attack: 0.8, ring: 0.8, decay: 0.8, position: 0.12, vibrato: STRAIGHT };
    let figure = ["x.xXo.xX.xXo.xX.", "..X..xX...X.xoX."][song.artist.habit("scratch", 2)];
    let hits = pattern(figure, 4.0, song.bars(4.0));
    let mut track = song.track();
    for (beat, strength) in hits {
        let Some(chord) = chord_at(chords, beat) else { continue };
        let length = if strength > 0.9 { 0.22 } else { 0.08 };
        let note = Note::new(song.about(beat, rng), song.seconds(length), 0, strength);
        strum(&mut track, &string, &chord.voicing(69), &note, 0.008, rng);
    }
    Biquad::high_pass(400.0, 0.7).apply(&mut track);
    song.mix(&track, song.artist.taste("guitar level", -25.0, -19.0), -12.0);
}

fn pad(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("pad");
    let keys = song.artist.habit("keys", 2) == 0;
    let mut track = song.track();
    for chord in chords {
        for pitch in chord.voicing(64) {
            if keys {
                for beat in [0.0, 1.5, 3.0] {
                    let note = Note::new(song.about(chord.beat + beat, rng), song.seconds(0.8), pitch, 0.5);
                    electric_piano(&mut track, &note, 0.6);
                }
            } else {
                let note = Note::new(song.at(chord.beat), song.seconds(chord.beats * 0.95), pitch, 0.5);
                strings(&mut track, &note, 0.15, 3_500.0, rng);
            }
        }
    }
    song.mix(&track, song.artist.taste("pad level", -23.0, -18.0), -4.0);
}

/// Violins in octaves, or a brass section, that answer every other phrase.
fn flights(song: &mut Song) {
    let rng = &mut song.chance("flights");
    let horns = song.artist.habit("horns", 3) == 0;
    let mut line = Line::new(song.tonic, AEOLIAN, if horns { 65 } else { 79 }, 6);
    let phrasing = Phrasing { grid: 0.25, density: 0.4, phrase: 8.0, rest: 0.35, period: 16.0, longest: 2.0 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.85), line.next(rng), 0.7);
        if horns {
            brass(&mut track, &note, 0.7, STRAIGHT, rng);
        } else {
            strings(&mut track, &note, 0.05, 6_000.0, rng);
            strings(&mut track, &Note { pitch: note.pitch - 12.0, ..note }, 0.05, 6_000.0, rng);
        }
    }
    song.mix(&track, song.artist.taste("flights level", -22.0, -17.0), -2.0);
}

fn voice(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("voice");
    let singer = Singer {
        throat: song.artist.taste("throat", 1.0, 1.22),
        bright: song.artist.taste("forward", 0.45, 0.8),
        breath: 0.05,
        grit: 0.0,
        vibrato: SINGING,
    };
    let mut line = Line::new(song.tonic, AEOLIAN, 67, 5);
    let phrasing = Phrasing { grid: 0.5, density: 0.45, phrase: 8.0, rest: 0.25, period: 16.0, longest: 2.0 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let pitch = line.over(chords, beat, beats >= 1.0, rng);
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.85), pitch, rng.uniform(0.7, 1.0));
        singer.sing(&mut track, &note, rng);
    }
    song.mix(&track, song.artist.taste("voice level", -18.0, -13.0), -4.0);
}
