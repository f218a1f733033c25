//! Reggae: chords on the off-beat, a drum that leaves the one empty, a bass that sings, echoes of a dub.

use crate::synth::drums::Kit;
use crate::synth::effects::{Biquad, chorus, echo};
use crate::synth::instruments::{Pluck, Singer, Synth, brass, organ, piano, strum};
use crate::synth::notes::{Chord, IONIAN, Line, MAJOR, MINOR, MIXOLYDIAN, Phrasing, Placed, chord, lay_out, pattern};
use crate::synth::osc::{Envelope, Note, STRAIGHT, Vibrato};
use crate::synth::song::Song;

pub(super) const TEMPO: (f64, f64) = (66.0, 84.0);

const PROGRESSIONS: [&[Chord]; 4] = [
    &[chord(0, MAJOR, 4), chord(5, MAJOR, 4)],
    &[chord(0, MINOR, 4), chord(7, MINOR, 4)],
    &[chord(0, MAJOR, 4), chord(2, MINOR, 4), chord(5, MAJOR, 4), chord(0, MAJOR, 4)],
    &[chord(0, MINOR, 4), chord(5, MINOR, 4), chord(10, MAJOR, 4), chord(0, MINOR, 4)],
];

/// Bass lines as eighths of a bar: semitones over the root, or silence.
const BASS: [[Option<i32>; 8]; 3] = [
    [Some(0), None, Some(0), Some(7), None, Some(7), Some(5), None],
    [None, None, Some(0), Some(0), Some(7), None, Some(10), Some(7)],
    [Some(0), Some(0), None, Some(5), Some(7), None, None, Some(12)],
];

pub(super) fn compose(song: &mut Song) {
    song.swing = song.artist.taste("swing", 0.52, 0.62);
    song.loose = 0.008;
    let which = song.chance("form").below(PROGRESSIONS.len());
    let chords = lay_out(PROGRESSIONS[which], song.tonic, song.beats() + 4.0);
    drums(song);
    bass(song, &chords);
    skank(song, &chords);
    bubble(song, &chords);
    if song.artist.habit("sung", 4) > 0 {
        voice(song, &chords);
    } else {
        horns(song);
    }
}

fn drums(song: &mut Song) {
    let rng = &mut song.chance("drums");
    let kit = Kit {
        tune: song.artist.taste("tune", 0.95, 1.3),
        ring: song.artist.taste("ring", 0.6, 1.0),
        bright: song.artist.taste("metal", 0.8, 1.1),
        click: 0.3,
    };
    let (bars, mut track, mut rims) = (song.bars(4.0), song.track(), song.track());
    let hats = ["xoxoxoxo", "oXoXoXoX"][song.artist.habit("hats", 2)];
    for (beat, strength) in pattern(hats, 4.0, bars) {
        kit.hat(&mut track, song.about(beat, rng), 0.8 * strength, rng);
    }
    // One drop, or steppers.
    let steppers = song.artist.habit("steppers", 3) == 0;
    for (beat, _) in pattern(if steppers { "XXXX" } else { "..X." }, 4.0, bars) {
        kit.kick(&mut track, song.about(beat, rng), 1.0, rng);
    }
    for (beat, _) in pattern("..X.", 4.0, bars) {
        let at = song.about(beat, rng);
        kit.rim(&mut rims, at, 1.0, rng);
        if rng.chance(0.3) {
            kit.snare(&mut rims, song.about(beat + 1.5, rng), 0.5, rng);
        }
    }
    for bar in (3..bars).step_by(4) {
        for step in 0..3 {
            let at = song.about(bar as f64 * 4.0 + 3.0 + f64::from(step) / 3.0, rng);
            kit.tom(&mut rims, at, 0.8, step as usize, rng);
        }
    }
    if song.artist.habit("dub", 2) == 0 {
        echo(&mut rims, song.seconds(0.75), 0.5, 0.5);
    }
    song.mix(&track, song.artist.taste("drums", -20.0, -16.0), -12.0);
    song.mix(&rims, song.artist.taste("rims", -24.0, -19.0), -2.0);
}

fn bass(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bass");
    let figure = BASS[song.chance("line").below(BASS.len())];
    let string = Pluck { attack: 0.06, ring: 0.2, decay: 1.6, position: 0.4, vibrato: STRAIGHT };
    let mut track = song.track();
    for chord in chords {
        for (i, step) in figure.iter().enumerate() {
            let Some(over) = step else { continue };
            let over = if *over == 10 && chord.quality == MAJOR { 9 } else { *over };
            let at = song.about(chord.beat + 0.5 * i as f64, rng);
            string.play(&mut track, &Note::new(at, song.seconds(0.55), chord.bass(33) + over, 1.0), rng);
        }
    }
    Biquad::low_pass(song.artist.taste("dark", 350.0, 1_200.0), 0.7).apply(&mut track);
    song.mix(&track, song.artist.taste("bass level", -13.5, -10.0), -40.0);
}

fn skank(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("skank");
    let string = Pluck { attack: 0.8, ring: 0.7, decay: 0.5, position: 0.12, vibrato: STRAIGHT };
    let keys = song.artist.habit("skank", 3) == 0;
    let double = song.artist.habit("double", 4) == 0;
    let mut track = song.track();
    for chord in chords {
        for beat in 0..chord.beats as usize {
            let hits: &[f64] = if double { &[0.5, 0.75] } else { &[0.5] };
            for &off in hits {
                let at = song.about(chord.beat + beat as f64 + off, rng);
                let note = Note::new(at, song.seconds(0.12), 0, 0.9);
                if keys {
                    for pitch in chord.voicing(66) {
                        piano(&mut track, &Note { pitch: f64::from(pitch), level: 0.6, ..note }, 0.6, rng);
                    }
                } else {
                    strum(&mut track, &string, &chord.voicing(67), &note, 0.01, rng);
                }
            }
        }
    }
    Biquad::high_pass(280.0, 0.7).apply(&mut track);
    if song.artist.habit("tape", 2) == 0 {
        echo(&mut track, song.seconds(0.75), 0.45, song.artist.taste("tape level", 0.2, 0.5) as f32);
    }
    song.mix(&track, song.artist.taste("skank level", -19.0, -14.0), -6.0);
}

/// The organ's left and right hand in turn, in sixteenths around the off-beat.
fn bubble(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("bubble");
    let mut track = song.track();
    for chord in chords {
        for beat in 0..chord.beats as usize {
            for (off, centre) in [(0.25, 53), (0.5, 65), (0.75, 53)] {
                let at = song.about(chord.beat + beat as f64 + off, rng);
                for pitch in chord.voicing(centre) {
                    let note = Note::new(at, song.seconds(0.14), pitch, 0.5);
                    organ(&mut track, &note, [0.8, 1.0, 0.4, 0.6, 0.2, 0.0, 0.0], 0.1, rng);
                }
            }
        }
    }
    chorus(&mut track, 5.5, 0.5);
    song.mix(&track, song.artist.taste("bubble level", -27.0, -21.0), -8.0);
}

fn voice(song: &mut Song, chords: &[Placed]) {
    let rng = &mut song.chance("voice");
    let singer = Singer {
        throat: song.artist.taste("throat", 0.95, 1.15),
        bright: song.artist.taste("forward", 0.35, 0.75),
        breath: 0.06,
        grit: 0.0,
        vibrato: Vibrato { rate: 5.2, depth: 0.2, delay: 0.4 },
    };
    let mut line = Line::new(song.tonic, IONIAN, 60, 5);
    let phrasing = Phrasing { grid: 0.25, density: 0.35, phrase: 8.0, rest: 0.3, period: 16.0, longest: 1.5 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let pitch = line.over(chords, beat, beats >= 0.75, rng);
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.9), pitch, rng.uniform(0.7, 1.0));
        singer.sing(&mut track, &note, rng);
    }
    if song.artist.habit("tape", 2) == 0 {
        echo(&mut track, song.seconds(0.75), 0.35, 0.25);
    }
    song.mix(&track, song.artist.taste("voice level", -17.0, -13.0), -4.0);
}

fn horns(song: &mut Song) {
    let rng = &mut song.chance("horns");
    let melodica = Synth {
        width: 0.3,
        detune: 0.002,
        cutoff: 1_400.0,
        sweep: 1.0,
        q: 0.8,
        envelope: Envelope::new(0.04, 1.0, 0.8, 0.1),
    };
    let reeds = song.artist.habit("melodica", 2) == 0;
    let mut line = Line::new(song.tonic, MIXOLYDIAN, 67, 5);
    let phrasing = Phrasing { grid: 0.5, density: 0.5, phrase: 8.0, rest: 0.3, period: 16.0, longest: 2.0 };
    let mut track = song.track();
    for (beat, beats) in phrasing.notes(song.beats(), rng) {
        let note = Note::new(song.about(beat, rng), song.seconds(beats * 0.85), line.next(rng), 0.8);
        if reeds { melodica.play(&mut track, &note, rng) } else { brass(&mut track, &note, 0.45, STRAIGHT, rng) }
    }
    echo(&mut track, song.seconds(0.75), 0.45, 0.4);
    song.mix(&track, song.artist.taste("horns level", -18.0, -14.0), -3.0);
}
