//! Hip-hop: boom-bap that swings its sixteenths, a bass below everything, two chords of a dusty record, a rapper.

use crate::synth::drums::Kit;
use crate::synth::effects::Biquad;
use crate::synth::instruments::{Singer, electric_piano, piano, strings, sub_bass, vibes};
use crate::synth::notes::{
    Chord, Line, MAJOR_SEVENTH, MINOR, MINOR_PENTATONIC, MINOR_SEVENTH, Placed, SEVENTH, chord, chord_at, lay_out,
    pattern,
};
use crate::synth::osc::{Note, STRAIGHT, noise};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (82.0, 98.0);

const LOOPS: [&[Chord]; 3] = [
    &[chord(0, MINOR_SEVENTH, 4), chord(8, MAJOR_SEVENTH, 4)],
    &[chord(0, MINOR, 8)],
    &[chord(0, MINOR_SEVENTH, 4), chord(5, SEVENTH, 4)],
];

pub(super) fn compose(song: &mut Song) {
    song.loose = 0.003;
    let which = song.chance("loop").below(LOOPS.len());
    let chords = lay_out(LOOPS[which], song.tonic, song.beats() + 4.0);
    drums(song);
    bass(song, &chords);
    sample(song, &chords);
    rap(song);
    record(song);
}

/// A sixteenth as this artist's machine swings it.
fn swung(song: &Song, beat: f64) -> f64 {
    let sixteenth = (beat * 4.0).round();
    let odd = sixteenth as i64 % 2 == 1;
    beat + if odd { 0.25 * song.artist.taste("swing", 0.05, 0.3) } else { 0.0 }
}

fn drums(song: &mut Song) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 0.75, 1.05),
        ring: song.artist.taste("ring", 0.8, 1.7),
        bright: song.artist.taste("metal", 0.75, 1.1),
        click: song.artist.taste("click", 0.3, 0.9) as f32,
    };
    let (bars, mut track) = (song.bars(4.0), song.track());
    let kicks = ["X..x..X...X..x..", "X......XX.x.....", "X.x....x..X....o"][song.artist.habit("kicks", 3)];
    for (beat, strength) in pattern(kicks, 4.0, bars) {
        kit.kick(&mut track, song.about(swung(song, beat), rng), 0.6 * strength, rng);
    }
    let clap = song.artist.habit("clap", 3) == 0;
    for (beat, _) in pattern("....X.......X...", 4.0, bars) {
        let at = song.about(beat, rng);
        kit.snare(&mut track, at, 1.3, rng);
        if clap {
            kit.clap(&mut track, at, 0.7, rng);
        }
    }
    let hats = ["x.o.x.o.x.o.x.oo", "xoxoxoxoxoxoxoxx", "x...x...x...x.x."][song.artist.habit("hats", 3)];
    for (beat, strength) in pattern(hats, 4.0, bars) {
        kit.hat(&mut track, song.about(swung(song, beat), rng), 1.4 * strength, rng);
    }
    song.mix(&track, song.artist.taste("drums", -14.0, -11.0), -18.0);
}

fn bass(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bass");
    let warmth = song.artist.taste("warmth", 0.0, 1.0) as f32;
    let figure = ["X.....x.X.......", "X..x......x..x..", "X.............x."][song.artist.habit("figure", 3)];
    let mut track = song.track();
    for (beat, strength) in pattern(figure, 4.0, song.bars(4.0)) {
        let Some(chord) = chord_at(chords, beat) else { continue };
        let pitch = chord.bass(33) + if strength < 0.9 && rng.chance(0.4) { 7 } else { 0 };
        let at = song.about(swung(song, beat), rng);
        let note = Note::new(at, song.seconds(if strength > 0.9 { 1.6 } else { 0.5 }), pitch, strength);
        sub_bass(&mut track, &note, warmth);
    }
    song.mix(&track, song.artist.taste("bass level", -17.0, -13.5), -40.0);
}

/// Two bars of something older, cut from a record: narrow, the same each time.
fn sample(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("sample");
    let what = song.artist.habit("sample", 4);
    let mut motif = song.chance("motif");
    let riff: Vec<(f64, usize)> = (0..6).map(|_| (0.25 * motif.below(16) as f64, motif.below(5))).collect();
    let mut track = song.track();
    for chord in chords {
        for bar in 0..(chord.beats as usize / 4).max(1) {
            let start = chord.beat + 4.0 * bar as f64;
            let tones = chord.voicing(64);
            for &pitch in &tones {
                let note = Note::new(song.at(start), song.seconds(2.4), pitch, 0.5);
                match what {
                    0 => electric_piano(&mut track, &note, 0.5),
                    1 => strings(&mut track, &note, 0.05, 2_500.0, rng),
                    2 => piano(&mut track, &note, 0.5, rng),
                    _ => {}
                }
            }
            for &(beat, tone) in &riff {
                let pitch = tones[tone % tones.len()] + 12;
                let note = Note::new(song.at(swung(song, start + beat)), song.seconds(0.5), pitch, 0.6);
                match what {
                    0 | 3 => vibes(&mut track, &note),
                    1 => strings(&mut track, &note, 0.03, 4_000.0, rng),
                    _ => piano(&mut track, &note, 0.7, rng),
                }
            }
        }
    }
    Biquad::low_pass(song.artist.taste("dust", 1_500.0, 5_000.0), 0.9).apply(&mut track);
    Biquad::high_pass(220.0, 0.7).apply(&mut track);
    song.mix(&track, song.artist.taste("sample level", -22.0, -16.0), -12.0);
}

fn rap(song: &mut Song) {
    let rng = &mut song.chance("rap");
    let rapper = Singer {
        throat: song.artist.taste("throat", 0.9, 1.15),
        bright: song.artist.taste("edge", 0.5, 0.9),
        breath: 0.12,
        grit: song.artist.taste("grit", 0.0, 0.25) as f32,
        vibrato: STRAIGHT,
    };
    let mut line = Line::new(song.tonic, MINOR_PENTATONIC, if rapper.throat > 1.06 { 56 } else { 47 }, 2);
    let density = song.artist.taste("flow", 0.6, 0.85);
    let bars = song.bars(4.0);
    let mut track = song.track();
    for bar in 0..bars {
        for step in 0..15 {
            let beat = bar as f64 * 4.0 + 0.25 * f64::from(step);
            if !rng.chance(density) || (bar % 4 == 3 && step > 10) {
                continue;
            }
            // Speech falls within a syllable, and a line ends lower than it began.
            let pitch = f64::from(line.next(rng)) + rng.normal() * 0.7 - 0.12 * f64::from(step);
            let note = Note::new(song.about(swung(song, beat), rng), song.seconds(0.19), pitch, rng.uniform(0.6, 1.0));
            rapper.sing(&mut track, &note.bent(rng.uniform(0.5, 3.0), 0.12), rng);
        }
    }
    song.mix(&track, song.artist.taste("voice level", -15.0, -11.0), -20.0);
}

/// Crackle of the record, and the hand on it at the ends of phrases.
fn record(song: &mut Song) {
    let rng = &mut song.chance("record");
    let kit = Kit { tune: 1.0, ring: 1.0, bright: 1.0, click: 0.0 };
    if song.artist.habit("turntable", 2) == 0 {
        let mut track = song.track();
        for bar in (3..song.bars(4.0)).step_by(4) {
            for step in 0..6 {
                let at = song.at(bar as f64 * 4.0 + 2.5 + 0.25 * f64::from(step));
                kit.scratch(&mut track, at, 0.8, song.seconds(0.22), rng);
            }
        }
        song.mix(&track, -25.0, -15.0);
    }
    let mut track = song.track();
    let length = track.len();
    for _ in 0..(length / 3_000) {
        let at = rng.below(length);
        for (i, sample) in track.iter_mut().skip(at).take(12).enumerate() {
            *sample += noise(rng) / (1.0 + i as f32);
        }
    }
    song.mix(&track, song.artist.taste("crackle", -50.0, -34.0), -60.0);
}
