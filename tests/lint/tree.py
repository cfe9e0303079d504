"""What the lint scripts share: the repository's files and a uniform way to say what is wrong."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(*suffixes):
    """Tracked files and new ones that git does not ignore, relative to ROOT, sorted."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE, text=True).stdout.split("\0")
    found = {pathlib.PurePosixPath(name) for name in listed if name}
    return sorted(f for f in found if (not suffixes or f.suffix in suffixes) and (ROOT / f).is_file())


def text(path):
    """Its text, or None when it is not a text file."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def finish(name, errors, summary):
    for error in errors:
        print(error, file=sys.stderr)
    print(f"{name}: {len(errors)} error(s)" if errors else f"{name}: ok, {summary}")
    sys.exit(1 if errors else 0)
