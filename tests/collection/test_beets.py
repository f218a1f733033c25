"""The plugin for beets, with real beets and the real program."""

import os
import pathlib
import shutil
import subprocess
import sys

import mutagen
import pytest
import yaml
from conftest import ARTIFACTS, SERVE, genres

PLUGIN = pathlib.Path(__file__).parents[2] / "python" / "beets"


class Beets:
    """A library of its own."""

    def __init__(self, folder, **options):
        self.folder = folder
        self.config = folder / "config.yaml"
        self.options = {"command": SERVE, "artifacts": ARTIFACTS}
        self.configure(**options)

    def configure(self, **options):
        self.options |= options
        self.config.write_text(
            yaml.safe_dump(
                {
                    "directory": str(self.folder / "music"),
                    "library": str(self.folder / "library.db"),
                    "plugins": ["tonearm"],
                    "paths": {"default": "$title-$id", "singleton": "$title-$id"},
                    "tonearm": self.options,
                }
            )
        )

    def run(self, *args):
        env = {**os.environ, "BEETSDIR": str(self.folder), "PYTHONPATH": str(PLUGIN), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "beets", "--config", str(self.config), *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)

    def genres(self):
        """The genre of each item, by its title."""
        listed = self.run("ls", "-f", "$title\t$genres").stdout
        return dict(line.split("\t") for line in listed.splitlines())


@pytest.fixture
def source(originals, tmp_path):
    """Four files: three without a genre, one of them with a name that is not UTF-8, and one with a genre."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, ending in {"one": "mp3", "two": "flac", "has": "m4a"}.items():
        shutil.copy(originals / f"song.{ending}", folder / f"{name}.{ending}")
    shutil.copy(originals / "song.aiff", os.fsencode(folder) + b"/\xff \"odd\",\xc3.aiff")
    for path in folder.iterdir():
        file = mutagen.File(path)
        title = {".mp3": "one", ".flac": "two", ".m4a": "has", ".aiff": "odd"}[path.suffix]
        if path.suffix in (".mp3", ".aiff"):
            if file.tags is None:
                file.add_tags()
            file.tags.add(mutagen.id3.TIT2(3, [title]))
        elif path.suffix == ".m4a":
            file["\xa9nam"], file["\xa9gen"] = title, "Chalga"
        else:
            file["title"] = title
        file.save()
    return folder


@pytest.fixture
def expected(source):
    """What the program says, by title."""
    titles = {".mp3": "one", ".flac": "two", ".m4a": "has", ".aiff": "odd"}
    return {titles[pathlib.Path(name).suffix]: genre for name, genre in genres(source).items()}


def genre_in_file(folder, title):
    (path,) = [path for path in folder.rglob(f"{title}-*") if path.is_file()]
    return mutagen.File(path, easy=path.suffix in (".mp3", ".m4a"))


def test_an_import_fills_what_has_no_genre(source, expected, tmp_path):
    beets = Beets(tmp_path)
    done = beets.run("import", "--quiet", "--noautotag", "--singletons", source)
    assert done.returncode == 0, done.stderr
    found = beets.genres()
    assert found == {**expected, "has": "Chalga"}, done.stderr
    assert len(set(found)) == 4
    # An import of files as they are writes none of them; beets does it when it is asked to.
    assert beets.run("write").returncode == 0
    assert genre_in_file(tmp_path / "music", "one")["genre"] == [expected["one"]]
    assert genre_in_file(tmp_path / "music", "two")["genre"] == [expected["two"]]
    assert genre_in_file(tmp_path / "music", "has")["genre"] == ["Chalga"]


def test_the_command_fills_what_a_query_finds(source, expected, tmp_path):
    beets = Beets(tmp_path, auto=False, batch=2)
    assert beets.run("import", "--quiet", "--noautotag", "--singletons", source).returncode == 0
    before = {"one": "", "two": "", "odd": "", "has": "Chalga"}
    assert beets.genres() == before

    shown = beets.run("tonearm", "--pretend")
    assert shown.returncode == 0 and expected["one"] in shown.stdout, shown.stderr
    assert beets.genres() == before
    assert beets.run("tonearm", "title:two").returncode == 0
    assert beets.genres() == {**before, "two": expected["two"]}
    assert genre_in_file(tmp_path / "music", "two")["genre"] == [expected["two"]]
    assert beets.run("tonearm").returncode == 0
    assert beets.genres() == {**expected, "has": "Chalga"}
    assert beets.run("tonearm", "--force").returncode == 0
    assert beets.genres() == expected


def test_what_is_not_probable_enough_stays_without(source, tmp_path):
    beets = Beets(tmp_path, min_probability=1.0)
    assert beets.run("import", "--quiet", "--noautotag", "--singletons", source).returncode == 0
    assert beets.genres() == {"one": "", "two": "", "odd": "", "has": "Chalga"}


def test_a_program_that_is_missing_or_fails_is_named_and_ends_no_import(source, tmp_path):
    beets = Beets(tmp_path, command=str(tmp_path / "nowhere" / "serve"))
    done = beets.run("import", "--quiet", "--noautotag", "--singletons", source)
    assert done.returncode == 0 and "failed to run" in done.stderr, done.stderr
    assert len(beets.genres()) == 4
    done = beets.run("tonearm")
    assert done.returncode == 1 and "tonearm: command:" in done.stderr, done.stderr
    beets.configure(command=SERVE, artifacts=str(tmp_path / "no artifacts"))
    done = beets.run("tonearm")
    assert done.returncode == 1 and "no svm artifact" in done.stderr, done.stderr


def test_a_file_that_is_gone_or_broken_is_named_and_the_others_are_filled(source, expected, tmp_path):
    beets = Beets(tmp_path, auto=False)
    assert beets.run("import", "--quiet", "--noautotag", "--singletons", source).returncode == 0
    (gone,) = (tmp_path / "music").rglob("one-*")
    gone.unlink()
    done = beets.run("tonearm")
    assert done.returncode == 0 and "No such file" in done.stderr, done.stderr
    assert beets.genres() == {**expected, "one": "", "has": "Chalga"}
