"""CSV files that events are looked up in."""

from pathlib import Path

import pytest

from nissa.forwarders.lookup_table import CHECK_MS, LookupTable
from nissa.model.errors import ConfigInvalid


def test_rows_are_found_and_read_again(tmp_path: Path) -> None:
    """A change is seen after a while; one that cannot be read leaves the last content."""
    path = tmp_path / "owners.csv"
    path.write_text('\ufeffteam,service,note\n"a, b",shop,\nc,bank,x\n\n')
    table = LookupTable(str(path), "service", "s")
    assert table.row_of("shop") == {"team": "a, b"}
    assert table.row_of("bank") == {"team": "c", "note": "x"}
    assert table.row_of("none") == {}
    table.refresh(CHECK_MS)
    path.write_text("service,team\nshop,longer name\n")
    table.refresh(2 * CHECK_MS - 1)
    assert table.row_of("shop") == {"team": "a, b"}
    table.refresh(2 * CHECK_MS)
    assert table.row_of("shop") == {"team": "longer name"}
    path.write_text("nothing\n")
    table.refresh(4 * CHECK_MS)
    path.unlink()
    table.refresh(6 * CHECK_MS)
    assert table.row_of("shop") == {"team": "longer name"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a first line"),
        (b"a,b\n1,2\n", "with 'service'; got 'a, b'"),
        (b"service,service\n", "all different"),
        (b"service,team\na\n", "line 2: 1 columns; the first line has 2"),
        (b'service,team\na,"b\n', "line 2: unexpected end of data"),
        (b"service\n\xff\n", "not UTF-8 at byte 8"),
        (b"service\n" + b"".join(b"%d\n" % n for n in range(100_001)), "line 100002: more than 100000 rows"),
        (b"x" * (16 * 1024 * 1024 + 1), "over the limit"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    """The refusal names the path of the setting, the file and the line."""
    path = tmp_path / "owners.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigInvalid) as refused:
        LookupTable(str(path), "service", "events.enrichment[0].lookup")
    assert str(refused.value).startswith(f"events.enrichment[0].lookup.file: {path}: ")
    assert message in str(refused.value)
