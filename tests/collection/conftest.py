"""What the tests of a collection share: the real program, and files as FFmpeg's encoders make them."""

import fractions
import json
import os
import pathlib
import subprocess

import av
import numpy
import pytest

SERVE = os.environ["TONEARM_SERVE"]
ARTIFACTS = os.environ["TONEARM_ARTIFACTS"]

# Ending of the name: container, codec, options of the container.
FORMATS = {
    "mp3": ("mp3", "libmp3lame", {}),
    "no-xing.mp3": ("mp3", "libmp3lame", {"write_xing": "0"}),
    "flac": ("flac", "flac", {}),
    "ogg": ("ogg", "vorbis", {}),
    "opus": ("ogg", "libopus", {}),
    "m4a": ("ipod", "aac", {}),
    "faststart.m4a": ("ipod", "aac", {"movflags": "faststart"}),
    "alac.m4a": ("ipod", "alac", {}),
    "aac": ("adts", "aac", {}),
    "aiff": ("aiff", "pcm_s16be", {}),
    "wav": ("wav", "pcm_s16le", {}),
    "float.wav": ("wav", "pcm_f32le", {}),
}


def make(path, ending, seed=0, seconds=6.0):
    """Writes music of a kind: three tones with a beat, and noise."""
    container, codec, options = FORMATS[ending]
    rate = 48_000 if codec == "libopus" else 44_100
    rng = numpy.random.default_rng(seed)
    t = numpy.arange(int(rate * seconds)) / rate
    tones = sum(numpy.sin(2 * numpy.pi * hz * t) for hz in rng.uniform(80, 2000, 3))
    samples = 0.2 * tones * numpy.exp(-6 * (t % rng.uniform(0.2, 0.6))) + 0.05 * rng.standard_normal(len(t))
    both = numpy.stack([samples, numpy.roll(samples, 40)], axis=1).clip(-1, 1)
    frame = av.AudioFrame.from_ndarray((both * 32767).astype(numpy.int16).reshape(1, -1), format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, fractions.Fraction(1, rate)
    with av.open(str(path), "w", format=container, options=options) as out:
        stream = out.add_stream(codec, rate=rate, layout="stereo")
        if codec == "vorbis":
            stream.codec_context.options = {"strict": "-2"}
        resampler = av.AudioResampler(
            format=stream.format, layout="stereo", rate=rate, frame_size=stream.codec_context.frame_size or 1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))


def packets(path):
    """Every packet of a file with its times, as FFmpeg finds them: the audio without its tags."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        kept = (stream.codec_context.name, stream.codec_context.extradata, stream.rate, stream.duration)
        return kept, [(packet.pts, packet.duration, bytes(packet)) for packet in file.demux(stream)]


def classify(*args, **options):
    """Runs the program."""
    command = [SERVE, "classify", "--artifacts", ARTIFACTS, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    assert "panicked" not in done.stderr, done.stderr
    return done


def genres(folder):
    """What the program says of each file of a folder."""
    lines = [json.loads(line) for line in classify("--json", folder).stdout.splitlines()]
    return {pathlib.Path(line["file"]).name: line.get("predicted_genre") for line in lines}


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """A file of each format, without tags of ours."""
    folder = tmp_path_factory.mktemp("originals")
    for seed, ending in enumerate(FORMATS):
        make(folder / f"song.{ending}", ending, seed)
    return folder
