from pathlib import Path

import pytest

from omnitron.supervision.state import pending_start
from omnitron.supervision.state.pending_start import Due

UNIT = "omnitron-dev-api.service"


@pytest.fixture
def record(tmp_path: Path) -> str:
    return str(tmp_path / "omnitron" / "dev.crashes")


@pytest.mark.parametrize("noted", [Due(12.5, 3, False), Due(0.0, 6, True)])
def test_written_and_read(record: str, noted: Due) -> None:
    pending_start.write(record, UNIT, noted)
    assert pending_start.read(record, UNIT) == noted
    assert Path(record).with_name(f"{UNIT}.due").exists()
    pending_start.remove(record, UNIT)
    assert pending_start.read(record, UNIT) == Due(0.0, 0, False)


@pytest.mark.parametrize("text", ["", "x y z\n", "1 2\n", "9" * 200])
def test_what_is_damaged_is_long_past(record: str, text: str) -> None:
    pending_start.write(record, UNIT, Due(1.0, 1))
    Path(record).with_name(f"{UNIT}.due").write_text(text)
    assert pending_start.read(record, UNIT).at == 0
