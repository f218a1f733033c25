"""Makes a CycloneDX document of cargo-cyclonedx say what is in the program, and nothing of the machine that it was made on.

    cargo tree --prefix none --format '{p}' … | sbom.py ROOT <TREE FILE.cdx.json >SBOM.cdx.json

`cargo metadata`, which cargo-cyclonedx asks, counts optional packages whose features are only mentioned: of 680 packages for `serve` 300 are
not compiled. `cargo tree` decides as the compiler does, so only what it names stays, and all of it must be there.
"""

import json
import sys


def main(root, path):
    # `name v1.2.3 (proc-macro)`
    built = {(words[0], words[1].removeprefix("v")) for line in sys.stdin if len(words := line.split()) > 1}
    with open(path) as file:
        text = file.read()
    document = json.loads(text.replace(f"path+file://{root}/", "path+file:///"))
    program = document["metadata"]["component"]
    components = [part for part in document["components"] if (part["name"], part["version"]) in built]
    found = {(part["name"], part["version"]) for part in [program, *components]}
    if missing := built - found:
        sys.exit(f"sbom.py: {path} lacks {', '.join(' '.join(package) for package in sorted(missing))}")
    kept = {part["bom-ref"] for part in [program, *components]}
    document["components"] = components
    document["dependencies"] = [
        {"ref": edge["ref"], "dependsOn": [to for to in edge.get("dependsOn", []) if to in kept]}
        for edge in document["dependencies"]
        if edge["ref"] in kept
    ]
    json.dump(document, sys.stdout, indent=1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: sbom.py ROOT FILE.cdx.json <TREE")
    main(*sys.argv[1:])
