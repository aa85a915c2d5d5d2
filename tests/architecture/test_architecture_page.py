"""`docs/architecture.md` lists every module, each with what it says about itself."""

from __future__ import annotations

from tests.architecture.list_modules import PAGE, TREE, module_tree


def test_the_page_lists_every_module_and_what_it_owns() -> None:
    listed = TREE.search(PAGE.read_text("utf-8"))
    assert listed is not None
    assert listed.group().splitlines() == module_tree().splitlines(), (
        "expected the tree of src/indexmill as it is now; run `python -m tests.architecture.list_modules`"
    )
