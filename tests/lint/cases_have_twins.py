#!/usr/bin/env python3
"""Every case that must be found has a healthy twin that must stay silent, and the other way round."""
import tree


def main():
    tests = tree.ROOT / "tests"
    names = {folder: {str(p.relative_to(tests / folder)) for p in (tests / folder).rglob("*.cpp")} for folder in ("cases", "healthy")}
    errors = [f"tests/{have}/{name} has no twin tests/{lack}/{name}"
              for have, lack in (("cases", "healthy"), ("healthy", "cases"))
              for name in sorted(names[have] - names[lack])]
    tree.finish("cases_have_twins", errors, f"{len(names['cases'])} pairs")


main()
