"""200 sounds that are no music, to measure what is flagged as not like music.

    python experiments/bench/sounds.py FOLDER [--seed 1]

Writes 16-bit WAV files of 22 050 Hz, mono, named after their kind: 70 of speech (espeak-ng, 24 voices), 25 of noise, 30 of tones, 15 of clicks,
15 of hum, 15 of sweeps, 15 like applause and 15 like rain. A seed gives the same files on every machine with the same numpy and espeak-ng;
another seed has other texts, voices, pitches, levels and lengths. Needs numpy and the program espeak-ng.
"""

import argparse
import pathlib
import subprocess
import tempfile
import wave

import numpy as np

RATE = 22_050
VOICES = ["en", "en-us", "en-gb-scotland", "de", "fr-fr", "es", "it", "pl", "ru", "cmn", "pt", "nl", "sv", "cs", "hi", "ja", "tr", "fi", "el", "hu", "ro", "da",
          "id", "sw"]
VARIANTS = ["", "+m1", "+m3", "+m7", "+f2", "+f4", "+f5"]
TEXTS = [
    "The committee met on Tuesday and put off its decision until the spring, because two of its members were ill.",
    "Please mind the gap between the train and the platform. The next train to the airport leaves from platform four in eleven minutes.",
    "Der Bericht wird morgen veröffentlicht. Bis dahin bleibt das Büro geschlossen, und Anrufe werden nicht beantwortet.",
    "Il a plu toute la semaine, et la rivière est montée de deux mètres. Les habitants du village ont quitté leurs maisons.",
    "El museo abre a las diez de la mañana y cierra a las seis. Los lunes la entrada es libre para todos los visitantes.",
    "One, two, three, four, five, six, seven, eight, nine, ten. This is a test of the recording, and it goes on for a little longer.",
    "La riunione comincia alle nove. Chi arriva in ritardo deve aspettare fuori, finché la prima parte non è finita.",
    "Good evening. Here is the news. The government has presented its budget, and the opposition has called for an election.",
]


def save(path, y, level):
    """Writes a signal whose largest value is `level` of full scale."""
    y = y / max(np.abs(y).max(), 1e-12) * level
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(y * 32767).astype("<i2").tobytes())


def coloured(rng, n, power):
    """Noise whose power falls by frequency to the power of `power`."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / RATE)
    f[0] = f[1]
    return np.fft.irfft(spectrum * np.maximum(f, 20) ** (-power / 2), n)


def band(y, low, high):
    spectrum, f = np.fft.rfft(y), np.fft.rfftfreq(len(y), 1 / RATE)
    return np.fft.irfft(spectrum * ((f >= low) & (f <= high)), len(y))


def speech(rng, folder, number):
    voice = VOICES[(number + rng.integers(3)) % len(VOICES)] + VARIANTS[rng.integers(len(VARIANTS))]
    text = " ".join(TEXTS[i] for i in rng.permutation(len(TEXTS))[: rng.integers(1, 5)])
    path = folder / "speech.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(rng.integers(110, 200)), "-p", str(rng.integers(20, 80)), "-w", path, text], check=True)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
        y = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    y = y[: int(rng.choice([3, 6, 10, 30]) * RATE)]
    kind = rng.integers(4)
    if kind == 1:  # in a room
        n = int(rng.uniform(0.2, 0.6) * RATE)
        h = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
        h *= 0.5 / np.sqrt(np.sum(h**2))
        h[0] = 1
        m = 1 << (len(y) + n).bit_length()
        y = np.fft.irfft(np.fft.rfft(y, m) * np.fft.rfft(h, m), m)[: len(y)]
    elif kind == 2:  # with a noise behind it
        noise = coloured(rng, len(y), 1)
        y = y + noise / np.std(noise) * np.std(y) * 10 ** (-rng.uniform(20, 35) / 20)
    elif kind == 3:  # over the telephone
        y = band(y, 300, 3400)
    return y


def noise(rng, t):
    y = coloured(rng, len(t), rng.choice([-2, -1, 0, 0, 1, 1, 2]))
    if rng.random() < 0.3:
        low = 10 ** rng.uniform(1.7, 3.3)
        y = band(y, low, low * rng.uniform(2, 8))
    return y


def tone(rng, t):
    f = 10 ** rng.uniform(np.log10(60), np.log10(6000))
    phase = 2 * np.pi * f * t
    kind = rng.integers(6)
    if kind == 0:
        return np.sin(phase)
    if kind == 1:
        return np.sign(np.sin(phase))
    if kind == 2:
        return 2 * ((f * t) % 1) - 1
    if kind == 3:  # two tones, as a telephone has them
        return np.sin(phase) + np.sin(phase * rng.uniform(1.1, 1.9))
    if kind == 4:  # beeps
        return np.sin(phase) * ((t * rng.uniform(0.5, 4)) % 1 < rng.uniform(0.2, 0.8))
    return np.sin(phase) * (1 + 0.5 * np.sin(2 * np.pi * rng.uniform(1, 12) * t))


def clicks(rng, t):
    y = np.zeros(len(t))
    every = int(RATE / rng.uniform(1, 12))
    shape = np.exp(-np.arange(60) / rng.uniform(1, 15))
    jitter = rng.choice([0.0, 0.2])
    for at in range(0, len(t) - 4000, every):
        at += int(jitter * every * rng.random())
        y[at : at + 60] += shape * rng.uniform(0.6, 1)
    return y


def hum(rng, t):
    f = rng.choice([50, 60]) * rng.uniform(0.995, 1.005)
    y = sum(np.sin(2 * np.pi * f * k * t + k) * rng.uniform(0, 1) / k for k in range(1, rng.integers(3, 12)))
    return y / np.std(y) + coloured(rng, len(t), 1) * 10 ** (-rng.uniform(20, 60) / 20) * 10


def sweep(rng, t):
    low, high, seconds = 10 ** rng.uniform(1.3, 2.5), 10 ** rng.uniform(3.3, 4.0), len(t) / RATE
    if rng.random() < 0.5:
        seconds /= rng.integers(1, 5)
    u = (t % seconds) / seconds
    if rng.random() < 0.3:
        u = 1 - u
    if rng.random() < 0.6:
        f = low * (high / low) ** u
    else:
        f = low + (high - low) * u
    return np.sin(2 * np.pi * np.cumsum(f) / RATE)


def applause(rng, t):
    y, n = np.zeros(len(t)), len(t)
    for at in rng.integers(0, n - 700, int(len(t) / RATE * 10 ** rng.uniform(1.2, 2.7))):
        length = rng.integers(120, 600)
        clap = rng.standard_normal(length) * np.exp(-np.arange(length) / (length / 5)) * rng.uniform(0.2, 1)
        y[at : at + length] += clap
    return band(y, rng.uniform(100, 700), rng.uniform(5000, 11000)) + 0.002 * rng.standard_normal(n)


def rain(rng, t):
    n = len(t)
    y = 0.1 * band(coloured(rng, n, rng.uniform(-0.5, 1)), 200, 11000)
    y /= np.std(y) / 0.05
    for at in rng.integers(0, n - 400, int(len(t) / RATE * 10 ** rng.uniform(0.8, 2.3))):
        length = rng.integers(40, 300)
        drop = np.sin(2 * np.pi * rng.uniform(1500, 7000) * np.arange(length) / RATE) * np.exp(-np.arange(length) / (length / 4))
        y[at : at + length] += drop * rng.uniform(0.02, 0.4)
    return y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    kinds = {"noise": (noise, 25), "tone": (tone, 30), "clicks": (clicks, 15), "hum": (hum, 15), "sweep": (sweep, 15), "applause": (applause, 15), "rain": (rain, 15)}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(70):
            rng = np.random.default_rng([arguments.seed, 0, number])
            save(arguments.folder / f"speech_{number:02}.wav", speech(rng, pathlib.Path(scratch), number), 10 ** rng.uniform(-1, -0.02))
    for index, (kind, (make, n)) in enumerate(kinds.items(), 1):
        for number in range(n):
            rng = np.random.default_rng([arguments.seed, index, number])
            t = np.arange(int(rng.choice([3, 6, 10, 30]) * RATE)) / RATE
            save(arguments.folder / f"{kind}_{number:02}.wav", make(rng, t), 10 ** rng.uniform(-1, -0.02))


main()
