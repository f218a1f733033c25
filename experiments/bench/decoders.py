"""Times decoding of 30 s of stereo beside FFmpeg's libraries (PyAV) and libsndfile (soundfile), one thread each, in turns, in one run.

    cargo bench -q --workspace --bench decoders --no-run
    python experiments/bench/decoders.py --ours target/release/deps/decoders-* [--clip FILE] [--rounds 7] [--turns 5]

The files are made by FFmpeg's encoders, that of Vorbis by libsndfile's, from the first 30 s of FILE, or from tones and noise, at 44.1 kHz (Opus 48 kHz), and are read from
memory. Each decoder gives floats: ours the mean of the channels, with silence, damage and metadata looked for, the others the channels.
libsndfile reads no AAC. A row is the least of all medians, for whatever else runs only adds.
"""

import argparse
import io
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import av
import numpy as np
import soundfile

SECONDS = 30
# Name, container of FFmpeg, encoder, bits a second, sample rate.
KINDS = [
    ("MP3 128 kbit/s", "mp3", "libmp3lame", 128_000, 44_100),
    ("MP3 320 kbit/s", "mp3", "libmp3lame", 320_000, 44_100),
    ("MP2 192 kbit/s", "mp2", "mp2", 192_000, 44_100),
    ("FLAC 16 bits", "flac", "flac", None, 44_100),
    ("Opus 96 kbit/s", "ogg", "libopus", 96_000, 48_000),
    ("AAC 128 kbit/s", "mp4", "aac", 128_000, 44_100),
    ("AAC 128 kbit/s, ADTS", "adts", "aac", 128_000, 44_100),
    ("Vorbis 128 kbit/s", "ogg", "libsndfile", None, 44_100),
]


def music(path):
    if path:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        samples = np.repeat(samples, 2, axis=1)[:, :2] if samples.shape[1] == 1 else samples[:, :2]
        at = np.arange(SECONDS * 44_100) * rate / 44_100
        index = np.arange(len(samples))
        return np.stack([np.interp(at, index, channel) for channel in samples.T]).astype(np.float32)
    seconds = np.arange(SECONDS * 44_100) / 44_100
    rng = np.random.default_rng(1)
    chord = sum(np.sin(2 * np.pi * f * seconds) for f in [110, 220.5, 329.6, 440, 659.3, 1318.5, 2637]) / 12
    bursts = rng.standard_normal((2, len(seconds))) * 0.2 * (np.exp(-8 * (seconds % 0.5)))
    return (chord * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * seconds)) + bursts).astype(np.float32)


def encode(path, container, codec, bit_rate, rate, samples):
    if codec == "libsndfile":
        # PyAV's FFmpeg comes without libvorbis. The default quality is about 128 kbit/s.
        soundfile.write(path, samples.T, rate, format="OGG", subtype="VORBIS")
        return
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="stereo")
        if bit_rate:
            stream.bit_rate = bit_rate
        wanted = stream.codec_context.format.name if stream.codec_context.format else None
        wanted = wanted or {"flac": "s16", "libopus": "flt", "libmp3lame": "fltp", "mp2": "s16"}.get(codec, "fltp")
        resampler = av.AudioResampler(format=wanted, layout="stereo", rate=rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        fifo = av.AudioFifo()
        for resampled in resampler.resample(frame) + resampler.resample(None):
            resampled.pts = None
            fifo.write(resampled)
        size = stream.codec_context.frame_size or 4096
        while chunk := fifo.read(size, partial=True):
            output.mux(stream.encode(chunk))
        output.mux(stream.encode(None))


def by_ffmpeg(data):
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.audio[0]
        stream.codec_context.thread_count = 1
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(stream)])


def by_libsndfile(data):
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


def median_ms(decode, data, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        decode(data)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True, type=pathlib.Path)
    parser.add_argument("--clip")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    samples = music(options.clip)
    with tempfile.TemporaryDirectory() as scratch:
        files = {}
        for name, container, codec, bit_rate, rate in KINDS:
            path = pathlib.Path(scratch) / f"{len(files)}.{container}"
            encode(path, container, codec, bit_rate, rate, samples)
            files[name] = path
        best = {name: {} for name in files}
        for _ in range(options.turns):
            command = [options.ours, str(options.rounds), *files.values()]
            ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for name, path in files.items():
                data = path.read_bytes()
                times = {"ours": ours[str(path)]["median_ms"], "ffmpeg": median_ms(by_ffmpeg, data, options.rounds)}
                try:
                    times["libsndfile"] = median_ms(by_libsndfile, data, options.rounds)
                except soundfile.LibsndfileError:
                    pass
                for decoder, value in times.items():
                    best[name][decoder] = min(value, best[name].get(decoder, np.inf))
    print(f"PyAV {av.__version__}, soundfile {soundfile.__version__} with {soundfile.__libsndfile_version__}\n")
    print("| 30 s of stereo | Tonearm, ms | FFmpeg, ms | libsndfile, ms | beside the faster |")
    print("|---|---:|---:|---:|---:|")
    for name, times in best.items():
        peers = [times[peer] for peer in ("ffmpeg", "libsndfile") if peer in times]
        sndfile = f"{times['libsndfile']:.1f}" if "libsndfile" in times else "–"
        print(
            f"| {name} | {times['ours']:.1f} | {times['ffmpeg']:.1f} | {sndfile} | {times['ours'] / min(peers):.2f} |"
        )


main()
