"""The pinned pip wheels that ./dev setup puts into build/venv."""
import subprocess

import tree

BIN = tree.ROOT / "build/venv/bin"


def tool(name, version):
    """(path, None), or (None, what to do)."""
    path = BIN / name
    if not path.exists():
        return None, f"{path.relative_to(tree.ROOT)} is missing: run ./dev setup (it needs pip)"
    said = subprocess.run([str(path), "--version"], stdout=subprocess.PIPE, text=True).stdout
    if version not in said:
        return None, f"{name} is not {version}: run ./dev setup. It says: {said.strip()}"
    return str(path), None
