"""Tables of the documentation that are made from the code are as the code makes them."""

import pytest

from tests.helpers.doc_tables import TABLES, marked
from tests.helpers.repository import ROOT


@pytest.mark.parametrize(("page", "name"), TABLES, ids=lambda text: text.replace(" ", "-"))
def test_a_table_is_what_the_code_makes(page: str, name: str) -> None:
    found = marked(name).search((ROOT / page).read_text(encoding="utf-8"))
    assert found is not None, f"{page} has no place for the table {name}"
    made = TABLES[page, name]() + "\n"
    assert found[2] == made, "run: python -m tests.helpers.doc_tables"
