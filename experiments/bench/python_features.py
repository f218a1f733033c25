"""Log-mel and MFCC of 30 s from Python, one thread each, beside other libraries, all in one run.

    python experiments/bench/python_features.py [--audio FILE] [--rounds 21] [--json OUT]

Needs the wheel (python/README.md). Peers that are not installed are named and left out: `pip install librosa==0.11.0 audioflux essentia
kaldi-native-fbank torchaudio`. Frames of 2048 samples every 512 at 22 050 Hz, 128 mel bands, 20 coefficients, everywhere. Filter banks and
plans are made before, where a library lets one keep them; librosa and Tonearm keep them by themselves. Rounds go through all libraries in
turn, so that none has a quieter machine; the figure is the median. Without --audio, 30 s of tones, noise and beats are made.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import numpy as np  # noqa: E402

SR, N_FFT, HOP, N_MELS, N_MFCC = 22_050, 2048, 512, 128, 20


def audio(path):
    if path is not None:
        import tonearm

        y, _ = tonearm.load(path, sr=SR, duration=30.0)
        return y
    t = np.arange(30 * SR) / SR
    chord = sum(np.sin(2 * np.pi * f * t + np.sin(2 * np.pi * 5 * t)) for f in (196.0, 247.0, 294.0, 1_175.0))
    noise = np.random.default_rng(0).standard_normal(len(t))
    return (0.1 * chord + 0.2 * noise * np.exp(-8.0 * (t % 0.5)) + 0.003 * noise).astype(np.float32)


def by_tonearm(y):
    import tonearm

    def log_mel():
        return tonearm.power_to_db(tonearm.feature.melspectrogram(y=y, sr=SR))

    def both():
        decibels = log_mel()
        return decibels, tonearm.feature.mfcc(S=decibels, n_mfcc=N_MFCC)

    return log_mel, both


def by_librosa(y):
    import librosa

    def log_mel():
        return librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=SR))

    def both():
        decibels = log_mel()
        return decibels, librosa.feature.mfcc(S=decibels, n_mfcc=N_MFCC)

    return log_mel, both


def by_audioflux(y):
    import audioflux as af
    from audioflux.type import SpectralDataType, SpectralFilterBankNormalType, SpectralFilterBankScaleType

    bank = af.BFT(
        num=N_MELS, radix2_exp=11, samplate=SR, low_fre=0.0, high_fre=SR / 2, slide_length=HOP,
        scale_type=SpectralFilterBankScaleType.MEL, normal_type=SpectralFilterBankNormalType.AREA,
        data_type=SpectralDataType.POWER,
    )  # fmt: skip
    cepstrum = af.XXCC(num=N_MELS)
    cepstrum.set_time_length(time_length=bank.cal_time_length(len(y)))

    def power():
        return bank.bft(y, result_type=1)

    def log_mel():
        return af.utils.power_to_db(power())

    def both():
        mel = power()
        return af.utils.power_to_db(mel), cepstrum.xxcc(mel, cc_num=N_MFCC)

    return log_mel, both


def by_essentia(y):
    import essentia

    essentia.log.infoActive = essentia.log.warningActive = False
    import essentia.standard as es

    window = es.Windowing(type="hann", normalized=False, zeroPhase=False, size=N_FFT)
    spectrum = es.PowerSpectrum(size=N_FFT)
    bands = es.MelBands(
        inputSize=N_FFT // 2 + 1, numberBands=N_MELS, sampleRate=SR, lowFrequencyBound=0, highFrequencyBound=SR / 2,
        type="power", warpingFormula="slaneyMel", normalize="unit_tri",
    )  # fmt: skip
    dct = es.DCT(inputSize=N_MELS, outputSize=N_MFCC)

    def mel():
        frames = es.FrameGenerator(y, frameSize=N_FFT, hopSize=HOP, startFromZero=False)
        return np.array([bands(spectrum(window(frame))) for frame in frames])

    def log_mel():
        return 10 * np.log10(np.maximum(mel(), 1e-10))

    def both():
        decibels = log_mel()
        return decibels, np.array([dct(frame) for frame in decibels])

    return log_mel, both


def by_torchaudio(y):
    import torch
    import torchaudio.transforms as transforms

    torch.set_num_threads(1)
    x = torch.from_numpy(y)
    mel = transforms.MelSpectrogram(
        SR, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS, norm="slaney", mel_scale="slaney", pad_mode="constant"
    )
    decibels = transforms.AmplitudeToDB(stype="power", top_db=80.0)
    basis = torchaudio_basis(torch)

    def log_mel():
        with torch.inference_mode():
            return decibels(mel(x))

    def both():
        with torch.inference_mode():
            values = decibels(mel(x))
            return values, basis @ values

    return log_mel, both


def torchaudio_basis(torch):
    import torchaudio.functional

    return torchaudio.functional.create_dct(N_MFCC, N_MELS, norm="ortho").T.contiguous()


def by_kaldi_native_fbank(y):
    import kaldi_native_fbank as knf

    def options(kind):
        made = kind()
        frames = made.frame_opts
        frames.samp_freq, frames.dither, frames.preemph_coeff = SR, 0.0, 0.0
        frames.frame_length_ms, frames.frame_shift_ms = 1000.0 * N_FFT / SR, 1000.0 * HOP / SR
        frames.window_type, frames.remove_dc_offset, frames.snip_edges = "hann", False, False
        made.mel_opts.num_bins, made.mel_opts.low_freq, made.mel_opts.high_freq = N_MELS, 0.0, SR / 2
        return made

    fbank = options(knf.FbankOptions)
    mfcc = options(knf.MfccOptions)
    mfcc.num_ceps, mfcc.use_energy = N_MFCC, False

    def run(made):
        # It has no call for a whole signal: samples go in, frames come out one by one.
        made.accept_waveform(SR, y)
        made.input_finished()
        return np.array([made.get_frame(i) for i in range(made.num_frames_ready)])

    def log_mel():
        return run(knf.OnlineFbank(fbank))

    def both():
        # Its MFCC starts from the samples anew.
        return log_mel(), run(knf.OnlineMfcc(mfcc))

    return log_mel, both


LIBRARIES = {
    "tonearm": by_tonearm,
    "librosa": by_librosa,
    "audioflux": by_audioflux,
    "essentia": by_essentia,
    "torchaudio": by_torchaudio,
    "kaldi-native-fbank": by_kaldi_native_fbank,
}


def measure(steps, rounds):
    """Milliseconds of each step of each library, by the median of rounds that go through all of them."""
    times = {key: [] for key in steps}
    for key, step in steps.items():
        step()
    for _ in range(rounds):
        for key, step in steps.items():
            start = time.perf_counter()
            step()
            times[key].append((time.perf_counter() - start) * 1e3)
    return {key: {"median_ms": statistics.median(t), "fastest_ms": min(t)} for key, t in times.items()}


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        # On the path, but not installed.
        return getattr(sys.modules[name.replace("-", "_")], "__version__", "unknown")


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", help="a file, of which the first 30 s are used")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go")
    args = parser.parse_args()
    y = audio(args.audio)
    steps, versions = {}, {}
    for name, make in LIBRARIES.items():
        try:
            log_mel, both = make(y)
        except ImportError as error:
            print(f"{name} is not measured: {error}", file=sys.stderr)
            continue
        versions[name] = version(name)
        steps[name, "log-mel"], steps[name, "log-mel + MFCC"] = log_mel, both
    if "tonearm" not in versions:
        sys.exit("tonearm is not installed: pip install ./python")
    figures = measure(steps, max(args.rounds, 1))
    print(f"{processor()}; {len(y) / SR:.1f} s of audio; {args.rounds} rounds; one thread; median in ms (fastest)")
    print("| library | version | log-mel | log-mel + MFCC |\n|---|---|---|---|")
    for name, released in versions.items():
        cells = [figures[name, step] for step in ("log-mel", "log-mel + MFCC")]
        print(f"| {name} | {released} | " + " | ".join(f"{c['median_ms']:.2f} ({c['fastest_ms']:.2f})" for c in cells) + " |")
    report = {"processor": processor(), "versions": versions, "rounds": args.rounds, "ratios": {}}
    report["figures"] = {f"{name}, {step}": figure for (name, step), figure in figures.items()}
    for step in ("log-mel", "log-mel + MFCC"):
        peers = {name: figures[name, step]["median_ms"] for name in versions if name != "tonearm"}
        if peers:
            fastest = min(peers, key=peers.get)
            ratio = peers[fastest] / figures["tonearm", step]["median_ms"]
            report["ratios"][step] = {"fastest_peer": fastest, "ratio": ratio}
            print(f"{step}: {ratio:.1f} times the fastest peer, {fastest}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
