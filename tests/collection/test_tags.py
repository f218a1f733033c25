"""`serve classify --write-tags` on every format that it writes: tags as mutagen reads them, audio as FFmpeg does."""

import base64
import random
import shutil
import subprocess
import time

import mutagen
import pytest
from conftest import ARTIFACTS, FORMATS, SERVE, classify, genres, make, packets
from mutagen import aiff, apev2, flac, id3, mp4, oggopus, oggvorbis, wave

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def frames(version):
    """ID3 frames of every kind that taggers write."""
    text = 1 if version == 3 else 3
    found = [
        id3.TIT2(1, ["Tïtle 演歌"]), id3.TPE1(1, ["A", "B"]), id3.TALB(0, ["Album"]), id3.TRCK(0, ["3/12"]), id3.TBPM(0, ["120"]),
        id3.COMM(1, "eng", "", ["comment"]), id3.COMM(1, "deu", "x", ["Kommentar"]), id3.USLT(1, "eng", "", ["la\nla"]),
        id3.TXXX(1, "MusicBrainz Album Id", ["abc"]), id3.TXXX(text, "MOOD", ["a", "b"]), id3.TSRC(0, ["USRC1"]),
        id3.APIC(0, "image/png", 3, "cover", PNG), id3.APIC(0, "image/png", 4, "back", PNG), id3.UFID("http://musicbrainz.org", b"x-y"),
        id3.POPM("me@example.org", 196, 7), id3.PRIV("owner", b"\0\1\2"), id3.WXXX(0, "desc", "http://x"), id3.WOAR("http://a"),
        id3.GEOB(0, "application/x", "f", "d", b"123"), id3.MCDI(b"cdtoc"), id3.PCNT(12), id3.SYLT(1, "eng", 2, 1, "d", [("la", 100)]),
        id3.TCMP(0, ["1"]), id3.CHAP("c1", 0, 100, 0xFFFFFFFF, 0xFFFFFFFF, [id3.TIT2(1, ["chapter"])]), id3.CTOC("toc", 3, ["c1"], []),
        id3.TDRC(0, ["1999-05-06"]), id3.TDOR(0, ["1970"]), id3.TMOO(1, ["sad"]), id3.TSOP(1, ["sort"]),
        id3.TIPL(1, [["producer", "p"], ["engineer", "e"]]), id3.TMCL(1, [["guitar", "g"]]),
    ]
    if version == 4:
        found.append(id3.RVA2("track", 1, -1.5, 0.5))
    tags = id3.ID3()
    for frame in found:
        tags.add(frame)
    if version == 3:
        tags.update_to_v23()
    return tags


def tag_id3(path, version):
    if path.suffix in (".mp3", ".aac"):
        frames(version).save(path, v2_version=version, v1=2 if path.suffix == ".mp3" else 0)
        return
    file = (aiff.AIFF if path.suffix == ".aiff" else wave.WAVE)(path)
    file.add_tags()
    for frame in frames(version).values():
        file.tags.add(frame)
    file.save(v2_version=version)


def tag_vorbis(path):
    file = {".flac": flac.FLAC, ".ogg": oggvorbis.OggVorbis, ".opus": oggopus.OggOpus}[path.suffix](path)
    file["title"], file["artist"], file["replaygain_track_gain"], file["odd key"] = ["T"], ["A", "B"], ["-1 dB"], ["x=y"]
    cover = flac.Picture()
    cover.data, cover.type, cover.mime, cover.width, cover.height, cover.depth = PNG, 3, "image/png", 1, 1, 32
    if path.suffix == ".flac":
        file.add_picture(cover)
    else:
        file["metadata_block_picture"] = [base64.b64encode(cover.write()).decode()]
    file.save()


def tag_mp4(path):
    file = mp4.MP4(path)
    file["\xa9nam"], file["\xa9ART"], file["\xa9day"] = "T", ["A", "B"], "1999-05-06"
    file["trkn"], file["disk"], file["tmpo"], file["cpil"] = [(3, 12)], [(1, 2)], [120], True
    file["stik"], file["rtng"], file["cnID"] = [1], [4], [123456789]
    file["covr"] = [mp4.MP4Cover(PNG, mp4.MP4Cover.FORMAT_PNG)]
    file["----:com.apple.iTunes:MOOD"] = [b"sad", b"x"]
    file["----:com.apple.iTunes:iTunSMPB"] = [b" 00000000 00000840 00000000 0000000000020000"]
    file["----:org.example:BINARY"] = [mp4.MP4FreeForm(b"\0\1", 0)]
    file.save()


def read(path):
    """Every tag of a file, written out; the genre apart."""
    if path.suffix in (".mp3", ".aac"):
        tags = {frame.HashKey: repr(frame) for frame in id3.ID3(path, translate=False).values()}
        tags["version"] = str(id3.ID3(path).version)
        try:
            tags["ape"] = repr(sorted(apev2.APEv2(path).items()))
        except apev2.APENoHeaderError:
            pass
        return tags.pop("TCON", None), {key: plain(text) for key, text in tags.items()}
    file = mutagen.File(path)
    if hasattr(file.tags, "getall"):
        tags = {frame.HashKey: plain(repr(frame)) for frame in file.tags.values()}
        return tags.pop("TCON", None), tags
    tags = {key.lower(): repr(file.tags[key]) for key in file.tags.keys()}
    if hasattr(file, "pictures"):
        tags["pictures"] = repr([(p.type, p.mime, p.data, p.width, p.height, p.depth) for p in file.pictures])
    return tags.pop("genre", None) or tags.pop("\xa9gen", None), tags


def plain(text):
    """A frame without what says nothing of its content: how its text is coded."""
    for coded in ("LATIN1: 0", "UTF16: 1", "UTF16BE: 2", "UTF8: 3"):
        text = text.replace(f"<Encoding.{coded}>", "")
    # A count of plays that is left out is 0.
    return text.replace(", count=0)", ")")


def variants(originals, folder):
    """Every format without tags and with all of them: the files, and what they should have been given."""
    for ending in FORMATS:
        bare = folder / f"bare.{ending}"
        shutil.copy(originals / f"song.{ending}", bare)
        with_tags = folder / f"tags.{ending}"
        shutil.copy(bare, with_tags)
        suffix = bare.suffix
        if suffix in (".mp3", ".aac", ".aiff", ".wav"):
            tag_id3(with_tags, 3)
            later = folder / f"later.{ending}"
            shutil.copy(bare, later)
            tag_id3(later, 4)
        elif suffix == ".m4a":
            tag_mp4(with_tags)
        else:
            tag_vorbis(with_tags)
    ape = folder / "ape.mp3"
    shutil.copy(originals / "song.mp3", ape)
    tags = apev2.APEv2()
    tags["Title"], tags["REPLAYGAIN_TRACK_GAIN"] = "t", "-3 dB"
    tags.save(ape)
    return sorted(folder.iterdir())


def test_every_format_gets_its_genre_and_keeps_all_else(originals, tmp_path):
    files = variants(originals, tmp_path)
    before = {path: (read(path)[1], packets(path)) for path in files if has_tags(path)}
    wanted = genres(tmp_path)
    done = classify("--write-tags", tmp_path)
    assert done.returncode == 0 and f"{len(files)} tags written" in done.stderr, done.stderr
    for path in files:
        genre, tags = read(path)
        assert wanted[path.name] and repr(wanted[path.name]) in genre, (path.name, genre)
        version = tags.pop("version", None)
        if path.name.startswith("tags.") and version:
            assert version == "(2, 3, 0)", "ID3v2.3 stays what it is"
        if "ape" in tags:
            # An MP3 with two kinds of tags has its genre in both.
            tags["ape"] = tags["ape"].replace(f"('Genre', APETextValue({wanted[path.name]!r}, 0)), ", "")
        if path in before:
            tags_before, packets_before = before[path]
            _ = tags_before.pop("version", None)
            assert tags == tags_before, path.name
            assert packets(path) == packets_before, path.name
    again = classify("--write-tags", tmp_path)
    assert f"{len(files)} tags the same" in again.stderr, again.stderr


def has_tags(path):
    try:
        read(path)
    except (id3.ID3NoHeaderError, AttributeError):
        return False
    return True


def test_audio_is_untouched_where_there_were_no_tags(originals, tmp_path):
    for ending in FORMATS:
        shutil.copy(originals / f"song.{ending}", tmp_path)
    before = {path: packets(path) for path in sorted(tmp_path.iterdir())}
    classify("--write-tags", "--tag-field", "MY_GENRE", tmp_path)
    done = classify("--write-tags", tmp_path)
    assert f"{len(before)} tags written" in done.stderr, done.stderr
    for path, packets_before in before.items():
        assert packets(path) == packets_before, path.name
        tags = read(path)[1]
        assert any("MY_GENRE" in key.upper() for key in tags), (path.name, tags)


def test_a_genre_stays_unless_it_is_to_be_overwritten(originals, tmp_path):
    for ending in FORMATS:
        shutil.copy(originals / f"song.{ending}", tmp_path)
    wanted = genres(tmp_path)
    classify("--write-tags", tmp_path)
    for path in tmp_path.iterdir():
        if path.suffix in (".mp3", ".aac"):
            tags = id3.ID3(path)
            tags.add(id3.TCON(1, ["Chalga", "Čoček"]))
            tags.save(path)
        else:
            file = mutagen.File(path)
            if hasattr(file.tags, "getall"):
                file.tags.add(id3.TCON(1, ["Chalga", "Čoček"]))
            else:
                file["\xa9gen" if path.suffix == ".m4a" else "genre"] = ["Chalga", "Čoček"]
            file.save()
    before = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    done = classify("--write-tags", tmp_path)
    assert done.returncode == 0 and f"{len(before)} tags kept" in done.stderr, done.stderr
    dry = classify("--write-tags", "--overwrite", "--dry-run", tmp_path)
    assert dry.stderr.count("in place of `Chalga; Čoček") == len(before), dry.stderr
    assert all(path.read_bytes() == content for path, content in before.items())
    done = classify("--write-tags", "--overwrite", tmp_path)
    assert done.returncode == 0 and f"{len(before)} tags written" in done.stderr, done.stderr
    for path in before:
        genre = read(path)[0]
        assert repr(wanted[path.name]) in genre and "Chalga" not in genre and "Čoček" not in genre, genre


def test_what_cannot_be_written_without_loss_is_left_alone(tmp_path):
    FORMATS["fragments.m4a"] = ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"})
    FORMATS["oga"] = ("oga", "flac", {})
    try:
        for ending in ("fragments.m4a", "oga"):
            make(tmp_path / f"song.{ending}", ending)
    finally:
        del FORMATS["fragments.m4a"], FORMATS["oga"]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = classify("--write-tags", tmp_path)
    # Positions of audio in fragments would have to move with it; FLAC in Ogg has tags of a form that is not written.
    assert done.returncode == 1 and "tags written" not in done.stderr, done.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("kills", [50])
def test_a_run_that_is_killed_leaves_each_file_old_or_new(originals, tmp_path, kills):
    folder = tmp_path / "music"
    folder.mkdir()
    names = [f"song.{ending}" for ending in FORMATS]
    source = {name: (originals / name).read_bytes() for name in names}

    def reset():
        for name, content in source.items():
            (folder / name).write_bytes(content)

    def now():
        return {name: (folder / name).read_bytes() for name in names}

    command = [SERVE, "classify", "--artifacts", ARTIFACTS, "--write-tags", str(folder)]
    reset()
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.monotonic() - start
    new = now()
    assert all(new[name] != source[name] for name in names)
    rng = random.Random(0)
    partly = 0
    for _ in range(kills):
        reset()
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, seconds))
        run.kill()
        run.wait()
        found = now()
        assert all(found[name] in (source[name], new[name]) for name in names)
        written = sum(found[name] == new[name] for name in names)
        partly += 0 < written < len(names)
    assert partly > 0, "no kill fell between two files"
    subprocess.run([*command, "--overwrite"], check=True, capture_output=True)
    assert now() == new
