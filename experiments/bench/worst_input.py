"""Makes files of 1 MiB that are as slow to decode as can be, or take as much memory, and prints what each costs.

    cargo bench -q --workspace --bench decoders --no-run
    python experiments/bench/worst_input.py --ours target/release/deps/decoders-*

They are made by hand: packets of one byte, silence that a codec packs tightly, tables and pages without end, sync words that lead nowhere,
noise. The limits are those of the server: 15 minutes, 64 MiB.
"""

import argparse
import json
import pathlib
import random
import struct
import subprocess
import tempfile
import zlib

MIB = 1 << 20


def ogg_crc(data):
    table = []
    for i in range(256):
        r = i << 24
        for _ in range(8):
            r = (r << 1 ^ (0x04C11DB7 if r & 1 << 31 else 0)) & 0xFFFFFFFF
        table.append(r)
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24 ^ byte]
    return crc


def page(kind, granule, number, packets):
    lacing = b"".join(bytes([255] * (len(packet) // 255) + [len(packet) % 255]) for packet in packets)
    head = b"OggS\0" + struct.pack("<BqIII", kind, granule, 1, number, 0) + bytes([len(lacing)]) + lacing
    body = b"".join(packets)
    return head[:22] + struct.pack("<I", ogg_crc(head + body)) + head[26:] + body


def opus_of_one_byte(code):
    head = b"OpusHead\x01\x02" + struct.pack("<HIhB", 0, 48_000, 0, 0)
    pages = [page(2, 0, 0, [head]), page(0, 0, 1, [b"OpusTags" + struct.pack("<II", 0, 0)])]
    number, size = 2, 0
    while size < MIB:
        pages.append(page(0, 960 * 255 * (number - 1), number, [bytes([code])] * 255))
        size += len(pages[-1])
        number += 1
    return b"".join(pages)


def crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x8005) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc


def silent_flac(channels):
    info = struct.pack(">HH", 65_535, 65_535) + bytes(6) + ((44_100 << 44) | ((channels - 1) << 41) | (15 << 36)).to_bytes(8, "big") + bytes(16)
    out = [b"fLaC\x80\0\0\x22" + info]
    size, number = 0, 0
    while size < MIB:
        utf8 = chr(number).encode("utf-8", "surrogatepass") if number < 0xD800 else b"\xed\x9f\xbf"
        head = bytes([0xFF, 0xF8, 0x79, (channels - 1) << 4 | 8]) + utf8 + struct.pack(">H", 65_534)
        head += bytes([crc8(head)])
        frame = head + b"\0\0\0" * channels
        frame += struct.pack(">H", crc16(frame))
        out.append(frame)
        size += len(frame)
        number += 1
    return b"".join(out)


def mp4_table():
    def box(kind, *parts):
        body = b"".join(parts)
        return struct.pack(">I", 8 + len(body)) + kind + body

    entry = box(b"mp4a", bytes(6) + b"\0\1" + bytes(8) + struct.pack(">HHHHI", 2, 16, 0, 0, 44_100 << 16))
    n = MIB // 4
    stbl = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        box(b"stts", struct.pack(">IIII", 0, 1, n, 1024)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1)),
        box(b"stsz", struct.pack(">III", 0, 0, n), b"\0\0\0\1" * (n // 2)),
        box(b"stco", struct.pack(">II", 0, n), b"\0\0\0\x40" * (n // 2)),
    )
    mdia = box(b"mdia", box(b"mdhd", bytes(12) + struct.pack(">III", 44_100, n * 1024, 0)), box(b"hdlr", bytes(8) + b"soun" + bytes(12)), box(b"minf", stbl))
    return box(b"ftyp", b"M4A \0\0\0\0") + box(b"mdat", bytes(64)) + box(b"moov", box(b"trak", mdia))


def matroska_blocks():
    ebml = b"\x1a\x45\xdf\xa3\x8f\x42\x82\x88matroska\x42\x87\x81\x04"
    track = b"\xae\x99\xd7\x81\x01\x83\x81\x02\x86\x86A_OPUS\xe1\x8b\xb5\x88" + struct.pack(">d", 48_000)
    segment = b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
    tracks = b"\x16\x54\xae\x6b" + bytes([0x80 | len(track)]) + track
    cluster = b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x81\x00"
    block = b"\xa3\x85\x81\0\0\x80\x0c"
    return ebml + segment + tracks + cluster + block * (MIB // len(block))


def mpeg_frames():
    # Layer III of MPEG-2.5, 8 kbit/s, mono: the shortest frames there are for their time.
    frame = b"\xff\xe3\x18\xc0" + bytes(68)
    return frame * (MIB // len(frame))


def files():
    rng = random.Random(1)
    noise = rng.randbytes(MIB)
    yield "Opus packets of one byte (Ogg)", opus_of_one_byte(0x0C)
    yield "Opus packets of one byte, CELT (Ogg)", opus_of_one_byte(0xFC)
    yield "Opus packets of one byte (Matroska)", matroska_blocks()
    yield "silence in FLAC, mono", silent_flac(1)
    yield "silence in FLAC, 8 channels", silent_flac(8)
    yield "a table of 130,000 packets (MP4)", mp4_table()
    yield "frames of 8 kbit/s (MP3)", mpeg_frames()
    yield "samples of one byte at 8 kHz (WAV)", b"RIFF" + struct.pack("<I", MIB) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8_000, 8_000, 1, 8) + b"data" + struct.pack("<I", MIB) + noise
    yield "noise", noise
    yield "noise in FLAC's name", b"fLaC\0\0\0\x22" + noise
    yield "sync words of FLAC", b"fLaC\x80\0\0\x22" + bytes(34) + b"\xff\xf8\xc9\x18" * (MIB // 4)
    yield "sync words of MPEG audio", b"\xff" * MIB
    yield "sync words of ADTS", b"\xff\xf1\x50\x80\x01\x1f\xfc" * (MIB // 7)
    yield "names of Ogg", b"OggS\0" * (MIB // 5)
    yield "tags of ID3 without end", (b"ID3\x04\0\0\0\0\0\0") * (MIB // 10)
    yield "boxes of MP4 without content", b"\0\0\0\x08ftyp" * (MIB // 8)
    yield "zeros", bytes(MIB)
    yield "gzip", zlib.compress(bytes(1 << 30), 9)[:MIB]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True, type=pathlib.Path)
    options = parser.parse_args()
    print("| 1 MiB of | s | MiB | outcome |")
    print("|---|---:|---:|---|")
    for name, data in files():
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            command = [options.ours, "1", file.name]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[file.name]
        scale = len(data) / MIB
        print(f"| {name} | {found['median_ms'] / 1e3 / scale:.2f} | {found['peak_mib']:.0f} | {found['outcome'][:100]} |")


main()
