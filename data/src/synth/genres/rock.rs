//! Rock: straight eighths, guitars on the edge of distortion, live drums in a room, a pentatonic lead or a loud voice.

use crate::synth::drums::Kit;
use crate::synth::effects::{cabinet, drive};
use crate::synth::instruments::{Pluck, Singer, organ, strum};
use crate::synth::notes::{
    Chord, Line, MAJOR, MINOR, MINOR_PENTATONIC, Phrasing, Placed, chord, chord_at, lay_out, pattern,
};
use crate::synth::osc::{Note, STRAIGHT, Vibrato};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (98.0, 156.0);

const PROGRESSIONS: [&[Chord]; 4] = [
    &[chord(0, MAJOR, 4), chord(10, MAJOR, 4), chord(5, MAJOR, 4), chord(0, MAJOR, 4)],
    &[chord(0, MINOR, 4), chord(8, MAJOR, 4), chord(3, MAJOR, 4), chord(10, MAJOR, 4)],
    &[chord(0, MAJOR, 8), chord(5, MAJOR, 4), chord(7, MAJOR, 4)],
    &[chord(0, MAJOR, 2), chord(5, MAJOR, 2), chord(0, MAJOR, 2), chord(10, MAJOR, 2)],
];

const STRING: Pluck = Pluck { attack: 0.8, ring: 0.8, decay: 3.2, position: 0.15, vibrato: STRAIGHT };

pub(super) fn compose(song: &mut Song) {
    song.loose = 0.007;
    let which = song.chance("form").below(PROGRESSIONS.len());
    let chords = lay_out(PROGRESSIONS[which], song.tonic, song.beats() + 4.0);
    drums(song);
    bass(song, &chords);
    guitars(song, &chords);
    if song.artist.habit("organ", 4) == 0 {
        keys(song, &chords);
    }
    if song.artist.habit("sung", 4) > 0 {
        voice(song, &chords);
    }
    lead(song);
}

fn drums(song: &mut Song) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 0.95, 1.3),
        ring: song.artist.taste("ring", 0.9, 1.5),
        bright: song.artist.taste("metal", 0.8, 1.1),
        click: song.artist.taste("click", 0.3, 0.8) as f32,
    };
    let (bars, mut track) = (song.bars(4.0), song.track());
    let kicks = ["X...X...", "X..xX...", "X.x.Xx..", "X....xX."][song.artist.habit("kicks", 4)];
    for (beat, strength) in pattern(kicks, 4.0, bars) {
        kit.kick(&mut track, song.about(beat, rng), strength, rng);
    }
    for (beat, _) in pattern(".X.X", 4.0, bars) {
        kit.snare(&mut track, song.about(beat, rng), 1.0, rng);
    }
    let cymbal = song.artist.habit("cymbal", 3);
    for (beat, strength) in pattern("XxXxXxXx", 4.0, bars) {
        let at = song.about(beat, rng);
        let level = strength * rng.uniform(0.7, 1.0);
        match cymbal {
            0 => kit.hat(&mut track, at, level, rng),
            1 => kit.open_hat(&mut track, at, 0.6 * level, rng),
            _ => kit.ride(&mut track, at, level, rng),
        }
    }
    for bar in (0..bars).step_by(8) {
        kit.crash(&mut track, song.about(bar as f64 * 4.0, rng), 0.9, rng);
        for step in 0..8 {
            let beat = bar as f64 * 4.0 + 30.0 + 0.25 * step as f64;
            kit.tom(&mut track, song.about(beat, rng), 0.8, step / 3, rng);
        }
    }
    song.mix(&track, song.artist.taste("drums", -17.0, -13.0), -5.0);
}

fn bass(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bass");
    let string = Pluck { attack: 0.5, ring: 0.55, decay: 2.2, position: 0.15, vibrato: STRAIGHT };
    let mut track = song.track();
    for chord in chords {
        for step in 0..(chord.beats as usize * 2) {
            let pitch = chord.bass(34) + if step % 8 == 7 && rng.chance(0.4) { 7 } else { 0 };
            let at = song.about(chord.beat + 0.5 * step as f64, rng);
            string.play(&mut track, &Note::new(at, song.seconds(0.46), pitch, 0.9), rng);
        }
    }
    drive(&mut track, song.artist.taste("bass drive", 0.0, 9.0), 0.1);
    song.mix(&track, song.artist.taste("bass level", -19.0, -15.0), -30.0);
}

fn guitars(song: &mut Song, chords: &[Placed]) {
    let crunch = song.artist.taste("crunch", 6.0, 25.0);
    let top = song.artist.taste("speaker", 3_800.0, 6_000.0);
    let figure = ["xxxxxxxx", "X.xX.xX.", "X..xx.xX", "X.x.X.x."][song.artist.habit("figure", 4)];
    let open = song.artist.habit("open chords", 3) == 0;
    for side in ["left", "right"] {
        let rng = &mut song.chance(side);
        let mut track = song.track();
        for (beat, strength) in pattern(figure, 4.0, song.bars(4.0)) {
            let Some(chord) = chord_at(chords, beat) else { continue };
            let root = chord.bass(44);
            let grip = if open { chord.grip(40) } else { vec![root, root + 7, root + 12] };
            let note = Note::new(song.about(beat, rng), song.seconds(0.48), 0, strength);
            strum(&mut track, &STRING, &grip, &note, 0.014, rng);
        }
        drive(&mut track, crunch, 0.15);
        cabinet(&mut track, top);
        song.mix(&track, song.artist.taste("guitars", -18.0, -14.0), -12.0);
    }
}

fn keys(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("keys");
    let mut track = song.track();
    for chord in chords {
        for pitch in chord.voicing(64) {
            let note = Note::new(song.at(chord.beat), song.seconds(chord.beats * 0.97), pitch, 0.5);
            organ(&mut track, &note, [0.6, 1.0, 0.8, 0.7, 0.3, 0.3, 0.2], 0.1, rng);
        }
    }
    drive(&mut track, 6.0, 0.1);
    song.mix(&track, -21.0, -8.0);
}

fn voice(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("voice");
    let singer = Singer {
        throat: song.artist.taste("throat", 0.95, 1.18),
        bright: song.artist.taste("forward", 0.45, 0.9),
        breath: 0.08,
        grit: song.artist.taste("grit", 0.0, 0.4) as f32,
        vibrato: Vibrato { rate: 5.5, depth: 0.15, delay: 0.4 },
    };
    let mut line = Line::new(song.tonic, MINOR_PENTATONIC, 62, 5);
    let phrasing = Phrasing { grid: 0.5, density: 0.5, phrase: 8.0, rest: 0.25, period: 16.0, longest: 2.5 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let pitch = line.over(chords, beat, beats >= 1.0, rng);
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.88), pitch, rng.uniform(0.7, 1.0));
        singer.sing(&mut track, &note, rng);
    }
    song.mix(&track, song.artist.taste("voice level", -18.0, -13.0), -6.0);
}

fn lead(song: &mut Song) {
    let rng = &mut song.chance("lead");
    let vibrato = Vibrato { rate: 5.6, depth: 0.3, delay: 0.2 };
    let string = Pluck { vibrato, decay: 4.0, ..STRING };
    let mut line = Line::new(song.tonic, MINOR_PENTATONIC, 69, 6);
    let rest = song.artist.taste("reticence", 0.2, 0.8);
    let phrasing = Phrasing { grid: 0.5, density: 0.6, phrase: 16.0, rest, period: 0.0, longest: 2.5 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.95), line.next(rng), 0.9);
        let note = if rng.chance(0.3) { note.bent(-2.0, 0.15) } else { note };
        string.play(&mut track, &note, rng);
    }
    drive(&mut track, song.artist.taste("lead drive", 14.0, 26.0), 0.15);
    cabinet(&mut track, 4_500.0);
    song.mix(&track, song.artist.taste("lead level", -20.0, -15.0), -5.0);
}
