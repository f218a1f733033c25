"""Makes audio files of random formats, some of them cut short, for `differential.rs`.

    python3 make.py FOLDER [--files 300] [--seed 1] [--source ../cases/clean.flac]

Needs ffmpeg; also uses sox, flac, lame, opusenc and oggenc where they are installed. `FOLDER/list.tsv` has a row for each file: its name, what made
it, and the part of it that was kept. The same seed makes the same choices.
"""

import argparse
import pathlib
import random
import shutil
import subprocess

HERE = pathlib.Path(__file__).parent

RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000]
MP3_RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000]
OPUS_RATES = [8000, 12000, 16000, 24000, 48000]
AAC_RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000]

# Ending, arguments of ffmpeg, rates, most channels.
PCM_LE = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"]
PCM_BE = ["pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be", "pcm_alaw", "pcm_mulaw"]
FFMPEG = (
    [("wav", ["-c:a", codec], RATES, 6) for codec in PCM_LE]
    + [("wav", ["-c:a", codec], RATES, 2) for codec in ["adpcm_ms", "adpcm_ima_wav"]]
    + [("wav", ["-c:a", "libmp3lame", "-b:a", "96k"], [32000, 44100, 48000], 2)]
    + [("wav", ["-c:a", "pcm_s16le", "-rf64", "always"], RATES, 2)]
    + [("w64", ["-c:a", codec], RATES, 6) for codec in ["pcm_s16le", "pcm_s24le", "pcm_f32le"]]
    + [("aiff", ["-c:a", codec], RATES, 6) for codec in PCM_BE + ["pcm_s8"]]
    + [("aiff", ["-c:a", "adpcm_ima_qt"], RATES, 2)]
    + [("au", ["-c:a", codec], RATES, 6) for codec in PCM_BE + ["pcm_s8"]]
    + [("caf", ["-c:a", codec], RATES, 6) for codec in ["pcm_s16le", "pcm_s16be", "pcm_s24be", "pcm_f32le", "pcm_mulaw"]]
    + [("caf", ["-c:a", codec], AAC_RATES, 2) for codec in ["alac", "aac", "adpcm_ima_qt"]]
    + [("voc", ["-c:a", codec], RATES[:8], 2) for codec in ["pcm_u8", "pcm_s16le"]]
    + [("flac", ["-c:a", "flac", "-sample_fmt", fmt], RATES, 6) for fmt in ["s16", "s32"]]
    + [("ogg", ["-c:a", codec], RATES[:8], 2) for codec in ["libvorbis", "flac"]]
    + [("ogg", ["-c:a", "libopus"], OPUS_RATES, 2)]
    + [("mp3", ["-c:a", "libmp3lame", *quality], MP3_RATES, 2) for quality in [["-q:a", "2"], ["-q:a", "7"], ["-b:a", "64k"]]]
    + [("mp3", ["-c:a", "libmp3lame", "-b:a", "48k", "-write_xing", "0"], MP3_RATES, 2)]
    + [("mp2", ["-c:a", "mp2", "-b:a", rate], [32000, 44100, 48000], 2) for rate in ["96k", "192k"]]
    + [("m4a", ["-c:a", codec], AAC_RATES, 2) for codec in ["aac", "alac"]]
    + [("m4a", ["-c:a", "aac", "-movflags", flags], AAC_RATES, 2) for flags in ["+faststart", "frag_keyframe+empty_moov", "cmaf"]]
    + [("mp4", ["-c:a", codec, "-strict", "-2"], [48000], 2) for codec in ["libopus", "flac", "libmp3lame"]]
    + [("mov", ["-c:a", codec], RATES[:8], 2) for codec in ["pcm_s16le", "pcm_s24be", "pcm_f32be", "pcm_u8", "alac", "aac", "adpcm_ima_qt", "pcm_alaw"]]
    + [("mkv", ["-c:a", codec], [32000, 44100, 48000], 2) for codec in ["aac", "libvorbis", "flac", "libmp3lame", "alac", "pcm_s16le", "pcm_f32le"]]
    + [("mkv", ["-c:a", "libopus"], OPUS_RATES, 2)]
    + [("webm", ["-c:a", "libopus"], OPUS_RATES, 2), ("webm", ["-c:a", "libvorbis"], [44100, 48000], 2)]
    + [("aac", ["-c:a", "aac", "-b:a", "64k"], AAC_RATES, 2)]
)

# Program, ending, arguments to choose from; the input is a WAV, the output follows.
OTHERS = [
    ("sox", "aiff", [[], ["-b", "24"], ["-e", "float", "-b", "32"]]),
    ("sox", "au", [[], ["-e", "mu-law"], ["-e", "a-law"], ["-b", "24"]]),
    ("sox", "wav", [[], ["-b", "24"], ["-e", "ima-adpcm"], ["-e", "ms-adpcm"], ["-e", "float"]]),
    ("sox", "voc", [[], ["-b", "8"]]),
    ("sox", "caf", [[], ["-b", "24"]]),
    ("sox", "w64", [[], ["-b", "24"]]),
    ("flac", "flac", [["-0"], ["-5"], ["-8"], ["-b", "576"], ["-b", "192", "--lax"], ["--no-padding", "--no-seektable"]]),
    ("lame", "mp3", [["-V0"], ["-V6"], ["-b", "128"], ["--abr", "100"], ["-m", "m", "-b", "48"], ["-t", "-b", "96"], ["-p", "-b", "128"]]),
    ("opusenc", "opus", [["--bitrate", "96"], ["--bitrate", "24"], ["--framesize", "60"], ["--framesize", "5"], ["--bitrate", "12", "--downmix-mono"]]),
    ("oggenc", "ogg", [["-q", "1"], ["-q", "6"], ["--managed", "-b", "96"]]),
]


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ffmpeg(*command):
    run("ffmpeg", "-v", "error", "-nostdin", "-y", *command)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", type=pathlib.Path, default=HERE.parent / "cases" / "clean.flac")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    choose = random.Random(args.seed)
    others = [other for other in OTHERS if shutil.which(other[0])]
    rows, source = [], args.folder / "source.wav"
    while len(rows) < args.files:
        index = len(rows)
        seconds, start = choose.uniform(2.5, 6.0), choose.uniform(0.0, 3.0)
        kept = choose.uniform(0.5, 0.95) if choose.random() < 0.3 else 1.0
        if choose.random() < 0.3 and others:
            program, ending, ways = choose.choice(others)
            extra, rates, most = choose.choice(ways), [16000, 22050, 32000, 44100, 48000], 2
        else:
            program, (ending, extra, rates, most) = "ffmpeg", choose.choice(FFMPEG)
        rate, channels = choose.choice(rates), choose.choice([n for n in [1, 2, 2, 6] if n <= most])
        # Each channel is another mix of the music and its echo.
        mixes = "|".join(f"c{c}={1 - 0.1 * c:.1f}*c0+{0.3 * (c % 2):.1f}*c1" for c in range(channels))
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
        echo = f"aformat=channel_layouts=mono,asplit[a][b];[b]adelay=37[c];[a][c]join=inputs=2:channel_layout=stereo,pan={layout}|{mixes}"
        ffmpeg("-ss", f"{start:.3f}", "-t", f"{seconds:.3f}", "-i", args.source, "-filter_complex", echo, "-ar", rate, source)
        name = f"{index:03}.{ending}"
        path = args.folder / name
        try:
            if program == "ffmpeg":
                ffmpeg("-i", source, "-bitexact", *extra, path)
            elif program == "sox":
                run("sox", "-R", source, *extra, path)
            elif program == "flac":
                run("flac", "-s", "-f", *extra, "-o", path, source)
            elif program == "oggenc":
                run("oggenc", "-Q", *extra, "-o", path, source)
            else:
                run(program, "--quiet", *extra, source, path)
        except subprocess.CalledProcessError:
            # Not every program takes every rate and number of channels.
            continue
        if kept < 1.0:
            data = path.read_bytes()
            path.write_bytes(data[: int(len(data) * kept)])
        rows.append([name, " ".join([program, *extra]), str(rate), str(channels), f"{kept:.3f}"])
    source.unlink()
    header = ["file", "made_by", "rate", "channels", "kept"]
    (args.folder / "list.tsv").write_text("".join("\t".join(row) + "\n" for row in [header, *rows]))


main()
