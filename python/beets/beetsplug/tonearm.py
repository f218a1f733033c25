"""Fills the genre of items that have none, as predicted from their audio by Tonearm's `serve classify`."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence

from beets import ui
from beets.library import Item
from beets.plugins import BeetsPlugin

# Later versions of beets have several genres for an item, earlier ones one.
FIELD = "genres" if "genres" in Item._fields else "genre"


class TonearmPlugin(BeetsPlugin):
    """Configuration: see the README beside this package."""

    def __init__(self) -> None:
        super().__init__("tonearm")
        self.config.add(
            {
                "command": "serve",
                "artifacts": None,
                "model": None,
                "min_probability": 0.0,
                "overwrite": False,
                "auto": True,
                "batch": 64,
            }
        )
        if self.config["auto"].get(bool):
            self.import_stages = [self.imported]

    def commands(self) -> list[ui.Subcommand]:
        command = ui.Subcommand("tonearm", help="fill the genre of items without one from their audio")
        command.parser.add_option(
            "-f", "--force", action="store_true", default=False, help="predict items that have a genre too"
        )
        command.parser.add_option(
            "-p", "--pretend", action="store_true", default=False, help="show genres, change nothing"
        )
        command.func = self.command
        return [command]

    def command(self, lib, opts, args: list[str]) -> None:
        """`beet tonearm [query]`."""
        self.fill(lib.items(args), write=ui.should_write(), force=opts.force, pretend=opts.pretend)

    def imported(self, session, task) -> None:
        """A stage of an import. Files are written by the import itself, if it writes any."""
        try:
            self.fill(task.imported_items())
        except ui.UserError as error:
            # An import does not end for the want of a genre.
            self._log.error("{}", error)

    def fill(
        self, items: Iterable[Item], write: bool = False, force: bool = False, pretend: bool = False
    ) -> None:
        """Predicts the genre of `items`, and stores it; with `write` in their files too."""
        force = force or self.config["overwrite"].get(bool)
        items = [item for item in items if force or not item.get(FIELD)]
        size = max(1, self.config["batch"].get(int))
        for start in range(0, len(items), size):
            batch = items[start : start + size]
            for item, genre in self.predict(batch):
                if pretend:
                    ui.print_(f"{item}: {genre}")
                    continue
                self._log.info("{}: {}", item, genre)
                item[FIELD] = [genre] if FIELD == "genres" else genre
                if write:
                    item.try_write()
                item.store()

    def predict(self, items: Sequence[Item]) -> Iterator[tuple[Item, str]]:
        """The items whose genre is probable enough, with it."""
        of_path = {bytes(item.path): item for item in items}
        for line in self.classify(list(of_path)):
            item = of_path.get(path_of(line))
            if item is None:
                self._log.error("an answer names the unknown file {}", line.get("file"))
            elif "problem" in line:
                self._log.warning("{}: {}", item, line["problem"].get("detail"))
            elif line["predicted_genre"]:
                yield item, line["predicted_genre"]
            else:
                self._log.debug("{}: no genre is probable enough", item)

    def classify(self, paths: Sequence[bytes]) -> list[dict]:
        """What `serve classify --json` says of these files: an object for each."""
        program = self.config["command"].as_str()
        if "/" in program:
            # From where the configuration is.
            program = self.config["command"].as_filename()
        command = [program, "classify", "--json"]
        command += ["--min-probability", str(self.config["min_probability"].as_number())]
        if self.config["artifacts"].get():
            command += ["--artifacts", self.artifacts()]
        if self.config["model"].get():
            command += ["--model", self.config["model"].as_str()]
        try:
            # Python gives the program the bytes of the path, whatever they are.
            done = subprocess.run(
                [*command, "--", *map(os.fsdecode, paths)], stdin=subprocess.DEVNULL, capture_output=True
            )
        except OSError as error:
            raise ui.UserError(f"failed to run `{program}`: {error}; `tonearm: command:` names it") from error
        said = done.stderr.decode("utf-8", "replace").strip()
        # 1 is the code where some of the files could not be classified: they are named in the answer.
        if done.returncode not in (0, 1) or (done.returncode == 1 and not done.stdout):
            raise ui.UserError(f"`{program} classify` ended with {done.returncode}: {said}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def artifacts(self) -> str:
        """A URL as it is; a folder from where the configuration is."""
        artifacts = self.config["artifacts"]
        return artifacts.as_str() if "://" in artifacts.as_str() else artifacts.as_filename()


def path_of(line: dict) -> bytes:
    """The path that an answer is about. Where its bytes are not UTF-8, they come as base64."""
    if "file_base64" in line:
        return base64.b64decode(line["file_base64"])
    return os.fsencode(line["file"])
