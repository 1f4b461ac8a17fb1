"""What is of one patient goes, of whatever kind a file is, and what is of others stays."""

from __future__ import annotations

import hashlib
import io
import json

import pandas as pd
import pytest

from image_classification.intake.scrub import Person, scrub_content

NAME, OTHER = "C5P5ThinF_IMG_1_cell_2.png", "C50P50ThinF_IMG_1_cell_2.png"
ID, OTHER_ID = "ab" * 32, "cd" * 32
PERSON = Person(
    "C5", "p-123", frozenset({ID}), frozenset({NAME}), frozenset({f"first/Parasitized/{NAME}"})
)
TABLE = pd.DataFrame(
    {
        "image_id": [ID, OTHER_ID],
        "image_name": [NAME, OTHER],
        "patient": ["C5", "C50"],
        "reason": ["", f"duplicate of first/Parasitized/{NAME}"],
        "score": [0.5, 0.25],
    }
)


def encode(table: pd.DataFrame) -> bytes:
    content: bytes = table.to_parquet(index=False)
    return content


def test_rows_of_a_table_go_and_a_name_in_a_text_is_hidden() -> None:
    scrubbed = pd.read_parquet(io.BytesIO(scrub_content("t.parquet", encode(TABLE), PERSON)))
    expected = TABLE[1:].assign(reason="duplicate of p-123").reset_index(drop=True)
    pd.testing.assert_frame_equal(scrubbed, expected)


@pytest.mark.parametrize("column", ["image_id", "image_name", "patient"])
def test_each_column_that_tells_an_image_is_enough(column: str) -> None:
    content = encode(TABLE[[column, "score"]])
    scrubbed = pd.read_parquet(io.BytesIO(scrub_content("t.parquet", content, PERSON)))
    assert scrubbed["score"].tolist() == [0.25]


def test_a_path_tells_an_image_too() -> None:
    paths = [f"first/Parasitized/{NAME}", f"again/Uninfected/{NAME}", f"first/Parasitized/{OTHER}"]
    content = encode(pd.DataFrame({"path": paths}))
    scrubbed = pd.read_parquet(io.BytesIO(scrub_content("t.parquet", content, PERSON)))
    assert scrubbed["path"].tolist() == paths[2:]


def test_rows_of_a_sheet_go() -> None:
    content = TABLE.to_csv(index=False).encode()
    scrubbed = scrub_content("t.csv", content, PERSON)
    assert pd.read_csv(io.BytesIO(scrubbed))["image_id"].tolist() == [OTHER_ID]
    labels = f"image_name,labelled_by\r\n{NAME},Ada\r\n{OTHER},Ada\r\n".encode()
    assert scrub_content("l.csv", labels, PERSON) == labels.replace(f"{NAME},Ada\r\n".encode(), b"")


def test_records_of_images_go_and_what_was_measured_keeps_a_pseudonym() -> None:
    record = {
        "suspects": [{"image_id": ID, "patient": "C5"}, {"image_id": OTHER_ID, "patient": "C50"}],
        "slices": [{"patient": "C5", "images": 8}, {"patient": "C50", "images": 8}],
        "validation_patients": ["C5", "C50"],
        "not_copied": {f"Parasitized/{NAME}": "pipe"},
        "notes": [f"the first is 'Parasitized/{NAME}'", "C5 and C50"],
    }
    scrubbed = json.loads(scrub_content("r.json", json.dumps(record).encode(), PERSON))
    assert scrubbed == {
        "suspects": record["suspects"][1:],
        "slices": [{"patient": "p-123", "images": 8}, {"patient": "C50", "images": 8}],
        "validation_patients": ["p-123", "C50"],
        "not_copied": {"Parasitized/p-123": "pipe"},
        "notes": ["the first is 'Parasitized/p-123'", "p-123 and C50"],
    }


def test_what_is_called_as_the_patient_is_keeps_its_name() -> None:
    record = {"batch": "C5", "judged": {"C5": {"path": "C5/ring/other.png", "label": "C5"}}}
    content = json.dumps(record).encode()
    assert scrub_content("r.json", content, PERSON) == content
    table = pd.DataFrame({"patient": ["C6"], "batch": ["C5"], "path": ["C5/ring/other.png"]})
    assert scrub_content("t.parquet", encode(table), PERSON) == encode(table)
    sheet = table.to_csv(index=False).encode()
    assert scrub_content("t.csv", sheet, PERSON) == sheet


def test_an_image_in_a_table_is_known_by_its_content() -> None:
    images = [b"theirs", b"another's"]
    ids = frozenset({hashlib.sha256(images[0]).hexdigest()})
    content = encode(pd.DataFrame({"image_name": ["one.png", "one.png"], "image": images}))
    scrubbed = scrub_content("golden.parquet", content, Person("x" * 64, "p-1", ids))
    assert pd.read_parquet(io.BytesIO(scrubbed))["image"].tolist() == images[1:]


def test_a_name_that_is_a_number_is_no_other_number() -> None:
    person = Person("7", "p-123")
    record = {
        "version": "7",
        "patient": "7",
        "patients": ["7", "8"],
        "note": "7 images of patient 7",
    }
    scrubbed = json.loads(scrub_content("r.json", json.dumps(record).encode(), person))
    assert scrubbed == {
        "version": "7",
        "patient": "p-123",
        "patients": ["p-123", "8"],
        "note": "7 images of patient p-123",
    }


def test_pictures_of_a_page_go_with_what_stands_below_them() -> None:
    cells = [
        f'<li>\n<img src="data:{number}">\n<i>patient {patient}</i>\n<i>{name}</i>\n</li>\n'
        for number, (patient, name) in enumerate([("C5", NAME), ("C50", OTHER)])
    ]
    page = f"<ul>{''.join(cells)}</ul><text>C5 (8)</text><li>no picture</li>"
    scrubbed = scrub_content("night.html", page.encode(), PERSON).decode()
    assert scrubbed == f"<ul>{cells[1]}</ul><text>p-123 (8)</text><li>no picture</li>"


def test_a_text_is_hidden_word_by_word() -> None:
    told = f"'first/Parasitized/{NAME}' cannot be read; {ID}; C5, C50, AC5"
    scrubbed = scrub_content("run.log", told.encode(), PERSON).decode()
    assert scrubbed == "'p-123' cannot be read; p-123; p-123, C50, AC5"


def test_a_text_that_is_no_utf_8_keeps_its_other_bytes() -> None:
    assert scrub_content("note.txt", b"C5, caf\xe9, C50", PERSON) == b"p-123, caf\xe9, C50"
    assert scrub_content("n.html", b"<p>C5, caf\xe9</p>", PERSON) == b"<p>p-123, caf\xe9</p>"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.parquet", encode(TABLE[1:].assign(reason=""))),
        ("t.csv", b"image_id;image_name\nodd"),
        ("r.json", b'{"a":  1}'),
        ("n.html", "<p>\udcff</p>".encode("utf-8", "surrogateescape")),
        ("t.parquet", b"damaged"),
        ("r.json", b"damaged"),
    ],
)
def test_what_tells_nothing_of_the_patient_stays_to_the_byte(name: str, content: bytes) -> None:
    assert scrub_content(name, content, PERSON) == content


def test_a_long_name_is_found_where_it_is_cut() -> None:
    person = Person(ID, "p-123", frozenset({ID}))
    assert scrub_content("a.html", f"<text>{ID[:18]} (1)</text>".encode(), person) == (
        b"<text>p-123 (1)</text>"
    )
