#!/usr/bin/env python3
"""Code that a page of docs/ quotes is the code that is compiled.

A page quotes by a line `<!-- quote FILE NAME -->`, followed by a block ```cpp: it must be what stands in FILE between the lines
`//[ NAME` and `//]`. `quotes.py --fix` writes the blocks anew. A mark that no page quotes is an error, too.
"""
import re
import sys

import tree

QUOTE = re.compile(r"^<!-- quote (?P<file>\S+) (?P<name>\w+) -->\n```cpp\n(?P<code>.*?)^```$", re.M | re.S)
MARKER = re.compile(r"^<!-- quote ", re.M)
REGION = re.compile(r"^[ ]*//\[ (?P<name>\w+)\n(?P<code>.*?)^[ ]*//\]$", re.M | re.S)


def regions(path, errors):
    found = {}
    for match in REGION.finditer(tree.text(path)):
        if match["name"] in found:
            errors.append(f"{path}: two marks `//[ {match['name']}`")
        found[match["name"]] = match["code"]
    return found


def main():
    errors, quoted, fix = [], set(), "--fix" in sys.argv
    sources = {str(p): regions(p, errors) for p in tree.files(".cpp", ".hpp") if p.parts[0] == "examples"}
    for page in (p for p in tree.files(".md") if p.parts[0] == "docs"):
        text = tree.text(page)
        if len(MARKER.findall(text)) != len(QUOTE.findall(text)):
            errors.append(f"{page}: a line `<!-- quote FILE NAME -->` without its block of cpp")

        def compare(match, page=page):
            file, name = match["file"], match["name"]
            code = sources.get(file, {}).get(name)
            if code is None:
                errors.append(f"{page}: {file} has no mark `//[ {name}`")
                return match[0]
            quoted.add((file, name))
            if code != match["code"] and not fix:
                errors.append(f"{page}: `{name}` is not what {file} has: run tests/lint/quotes.py --fix")
            return match[0].replace(match["code"], code) if match["code"] else match[0].replace("```cpp\n", "```cpp\n" + code)

        changed = QUOTE.sub(compare, text)
        if fix and changed != text:
            (tree.ROOT / page).write_text(changed, encoding="utf-8")
    for file, names in sources.items():
        errors += [f"{file}: no page quotes `{name}`" for name in names if (file, name) not in quoted]
    tree.finish("quotes", errors, f"{len(quoted)} pieces of code")


main()
