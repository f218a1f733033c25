"""The log-mel that the models take (the preset `gtzan-store` of docs/features.md), by its definition, in numpy."""

import io
import wave

import numpy

SAMPLE_RATE = 22_050
N_FFT = 2048
HOP_LENGTH = 1920
N_MELS = 128
# Power below which all is silence.
AMIN = 1e-10


def hz(mel):
    """Slaney's scale: 200/3 Hz a mel up to 1000 Hz, from there 27 mel for each factor of 6.4."""
    return numpy.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def filters():
    """Triangles of equal area in Hz, evenly spaced in mel: [N_MELS, N_FFT / 2 + 1]."""
    highest = 15 + 27 * numpy.log(SAMPLE_RATE / 2 / 1000) / numpy.log(6.4)
    edges = hz(numpy.linspace(0, highest, N_MELS + 2))
    bins = numpy.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    low, middle, high = (edges[i : i + N_MELS, None] for i in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return numpy.maximum(0, numpy.minimum(rising, falling)) * 2 / (high - low)


def samples(audio):
    """Samples of a WAV file, full scale 1; None of one that would have to be mixed down or resampled first."""
    with wave.open(io.BytesIO(audio)) as track:
        if (track.getnchannels(), track.getsampwidth(), track.getframerate()) != (1, 2, SAMPLE_RATE):
            return None
        return numpy.frombuffer(track.readframes(track.getnframes()), "<i2") / 32768


def log_mel(signal):
    """[N_MELS, frames] in dB, f32."""
    frames = numpy.lib.stride_tricks.sliding_window_view(signal, N_FFT)[::HOP_LENGTH]
    window = 0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(N_FFT) / N_FFT)
    power = numpy.abs(numpy.fft.rfft(frames * window)) ** 2
    return (10 * numpy.log10(numpy.maximum(AMIN, filters() @ power.T))).astype(numpy.float32)
