//! Pop: four chords, a clear four, synthesisers, a bright voice with a tune that comes again.

use crate::synth::drums::Kit;
use crate::synth::effects::{chorus, compress};
use crate::synth::instruments::{Pluck, Singer, Synth, electric_piano, piano, strings, strum};
use crate::synth::notes::{
    Chord, IONIAN, Line, MAJOR, MAJOR_PENTATONIC, MINOR, Phrasing, Placed, chord, chord_at, lay_out, pattern,
};
use crate::synth::osc::{Envelope, Note, STRAIGHT, Vibrato};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (88.0, 130.0);

const PROGRESSIONS: [&[Chord]; 3] = [
    &[chord(0, MAJOR, 4), chord(7, MAJOR, 4), chord(9, MINOR, 4), chord(5, MAJOR, 4)],
    &[chord(9, MINOR, 4), chord(5, MAJOR, 4), chord(0, MAJOR, 4), chord(7, MAJOR, 4)],
    &[chord(0, MAJOR, 4), chord(9, MINOR, 4), chord(5, MAJOR, 4), chord(7, MAJOR, 4)],
];

pub(super) fn compose(song: &mut Song) {
    song.loose = 0.002;
    let which = song.chance("form").below(PROGRESSIONS.len());
    let chords = lay_out(PROGRESSIONS[which], song.tonic, song.beats() + 4.0);
    drums(song);
    bass(song, &chords);
    keys(song, &chords);
    guitar(song, &chords);
    voice(song, &chords);
}

fn drums(song: &mut Song) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 0.9, 1.2),
        ring: song.artist.taste("ring", 0.6, 1.2),
        bright: song.artist.taste("metal", 0.9, 1.2),
        click: song.artist.taste("click", 0.5, 1.0) as f32,
    };
    let (bars, mut track) = (song.bars(4.0), song.track());
    let kicks = ["X.......X.x.....", "X...X...X...X...", "X.....x.X......."][song.artist.habit("kicks", 3)];
    for (beat, strength) in pattern(kicks, 4.0, bars) {
        kit.kick(&mut track, song.about(beat, rng), strength, rng);
    }
    let clap = song.artist.habit("clap", 2) == 0;
    for (beat, _) in pattern(".X.X", 4.0, bars) {
        let at = song.about(beat, rng);
        kit.snare(&mut track, at, if clap { 0.4 } else { 0.9 }, rng);
        if clap {
            kit.clap(&mut track, at, 0.9, rng);
        }
    }
    let hats = ["xoxoxoxo", "xoooxoooxoooxooo", ".x.x.x.x"][song.artist.habit("hats", 3)];
    for (beat, strength) in pattern(hats, 4.0, bars) {
        kit.hat(&mut track, song.about(beat, rng), strength, rng);
    }
    if song.artist.habit("shaker", 2) == 0 {
        for (beat, strength) in pattern("oxoxoxoxoxoxoxox", 4.0, bars) {
            kit.shaker(&mut track, song.about(beat, rng), 0.6 * strength, rng);
        }
    }
    song.mix(&track, song.artist.taste("drums", -16.0, -13.0), -10.0);
}

fn bass(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bass");
    let synth = Synth {
        width: 0.0,
        detune: 0.004,
        cutoff: 220.0,
        sweep: 2.2,
        q: 0.9,
        envelope: Envelope::new(0.004, 0.8, 0.5, 0.06),
    };
    let finger = Pluck { attack: 0.3, ring: 0.45, decay: 1.8, position: 0.2, vibrato: STRAIGHT };
    let synthetic = song.artist.habit("synthetic", 3) > 0;
    let figure = ["xxxxxxxx", "X..X..X.", "X...X.x."][song.artist.habit("figure", 3)];
    let mut track = song.track();
    for (beat, strength) in pattern(figure, 4.0, song.bars(4.0)) {
        let Some(chord) = chord_at(chords, beat) else { continue };
        let note = Note::new(song.about(beat, rng), song.seconds(0.45), chord.bass(36), strength);
        if synthetic { synth.play(&mut track, &note, rng) } else { finger.play(&mut track, &note, rng) }
    }
    song.mix(&track, song.artist.taste("bass level", -19.0, -15.0), -40.0);
}

fn keys(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("keys");
    let pad = Synth {
        width: song.artist.taste("width", 0.0, 0.5) as f32,
        detune: 0.006,
        cutoff: song.artist.taste("cutoff", 700.0, 1_600.0),
        sweep: 1.5,
        q: 0.8,
        envelope: Envelope::new(0.12, 1.5, 0.8, 0.3),
    };
    let arpeggio = Synth { cutoff: 900.0, sweep: 2.2, envelope: Envelope::new(0.003, 0.35, 0.1, 0.1), ..pad };
    // Pad and arpeggio, piano, electric piano, strings.
    let what = song.artist.habit("keys", 4);
    let mut track = song.track();
    for chord in chords {
        let tones = chord.voicing(65);
        let held = Note::new(song.at(chord.beat), song.seconds(chord.beats * 0.97), 0, 0.5);
        for &pitch in &tones {
            let note = Note { pitch: f64::from(pitch), ..held };
            match what {
                0 => pad.play(&mut track, &note, rng),
                1 => {
                    for beat in 0..chord.beats as usize {
                        let at = song.about(chord.beat + beat as f64, rng);
                        piano(&mut track, &Note { start: at, seconds: song.seconds(0.9), ..note }, 0.8, rng);
                    }
                }
                2 => electric_piano(&mut track, &note, 0.5),
                _ => strings(&mut track, &note, 0.2, 3_800.0, rng),
            }
        }
        if what != 1 {
            for step in 0..(chord.beats as usize * 4) {
                let pitch = tones[[0, 1, 2, 1][step % 4] % tones.len()] + 12;
                let at = song.about(chord.beat + 0.25 * step as f64, rng);
                arpeggio.play(&mut track, &Note::new(at, song.seconds(0.2), pitch, 0.35), rng);
            }
        }
    }
    chorus(&mut track, 0.7, 0.5);
    song.mix(&track, song.artist.taste("keys level", -20.0, -15.0), -6.0);
}

fn guitar(song: &mut Song, chords: &[Placed]) {
    if song.artist.habit("guitar", 2) == 0 {
        return;
    }
    let rng = &mut song.chance("guitar");
    let string = Pluck { attack: 0.9, ring: 0.85, decay: 1.6, position: 0.12, vibrato: STRAIGHT };
    let mut track = song.track();
    for (beat, strength) in pattern("x.xxX.xx", 4.0, song.bars(4.0)) {
        let Some(chord) = chord_at(chords, beat) else { continue };
        let note = Note::new(song.about(beat, rng), song.seconds(0.4), 0, strength);
        strum(&mut track, &string, &chord.grip(48), &note, 0.015, rng);
    }
    song.mix(&track, song.artist.taste("guitar level", -24.0, -18.0), -12.0);
}

fn voice(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("voice");
    let singer = Singer {
        throat: song.artist.taste("throat", 0.98, 1.25),
        bright: song.artist.taste("forward", 0.6, 1.0),
        breath: 0.08,
        grit: 0.0,
        vibrato: Vibrato { rate: 5.6, depth: 0.15, delay: 0.5 },
    };
    let centre = if singer.throat > 1.08 { 69 } else { 60 };
    let scale = if song.artist.habit("scale", 2) == 0 { IONIAN } else { MAJOR_PENTATONIC };
    let mut line = Line::new(song.tonic, scale, centre, 5);
    let phrasing = Phrasing { grid: 0.5, density: 0.55, phrase: 8.0, rest: 0.05, period: 16.0, longest: 2.5 };
    let mut lead = song.track();
    let mut choir = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let pitch = line.over(chords, beat, beats >= 1.0, rng);
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.9), pitch, rng.uniform(0.75, 1.0));
        singer.sing(&mut lead, &note, rng);
        // In the second half of every eight bars others sing along, a third above.
        if (beat / 16.0) as usize % 2 == 1 {
            let third = Note { pitch: note.pitch + if rng.chance(0.5) { 3.0 } else { 4.0 }, ..note };
            singer.sing(&mut choir, &third, rng);
        }
    }
    compress(&mut lead, -22.0, 3.0, 0.1);
    song.mix(&lead, song.artist.taste("voice level", -15.5, -12.5), -5.0);
    song.mix(&choir, -22.0, -2.0);
}
