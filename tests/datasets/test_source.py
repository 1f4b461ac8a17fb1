"""Images to score: a folder or a list, on a disk or an object store."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import fsspec
import pandas as pd
import pytest
from fsspec import AbstractFileSystem

from image_classification.datasets import ImageSource, ImageSourceDataset
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.source import HOW_TO_NAME
from image_classification.errors import DataError


class TestImageSource:
    """Images to score: a folder or a list, on a disk or an object store."""

    def put_list(self, root: str, table: pd.DataFrame, suffix: str) -> str:
        content = (
            table.to_parquet(index=False) if suffix == ".parquet" else table.to_csv(index=False)
        )
        place = f"{root}/lists/cells{suffix}"
        encoded = content if isinstance(content, bytes) else content.encode()
        write_whole(*open_filesystem(place), encoded)
        return place

    def test_a_folder_gives_the_images_of_all_its_sub_folders_sorted(self, root: str) -> None:
        for name in ("b/2.PNG", "a/x/1.jpg", "0.tif", "a/Thumbs.db", ".hidden/3.png"):
            write_whole(*open_filesystem(f"{root}/cells/{name}"), name.encode())
        source = ImageSourceDataset(filepath=f"{root}/cells").load()
        images = source.list_images()
        assert list(images) == ["image_name", "path"]
        assert images["image_name"].tolist() == ["0.tif", "a/x/1.jpg", "b/2.PNG"]
        assert source.read(images["path"]) == [b"0.tif", b"a/x/1.jpg", b"b/2.PNG"]

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_a_table_gives_the_images_in_its_order_each_as_often_as_it_names_them(
        self, root: str, suffix: str
    ) -> None:
        for name in ("lists/2.png", "lists/sub/1.png"):
            write_whole(*open_filesystem(f"{root}/{name}"), name.encode())
        table = pd.DataFrame({"extra": [1, 2, 3], "path": ["2.png", "sub/1.png", "2.png"]})
        source = ImageSource("never looked at")
        images = source.list_images(self.put_list(root, table, suffix))
        assert images["image_name"].tolist() == ["2.png", "sub/1.png", "2.png"]
        assert source.read(images["path"]) == [
            b"lists/2.png",
            b"lists/sub/1.png",
            b"lists/2.png",
        ]

    def test_a_table_may_name_its_images_otherwise(self, root: str) -> None:
        table = pd.DataFrame({"path": ["1.png", "2.png"], "image_name": ["first", ""]})
        images = ImageSource("").list_images(self.put_list(root, table, ".csv"))
        assert images["image_name"].tolist() == ["first", "2.png"]

    def test_a_text_file_gives_a_path_per_line(self, root: str) -> None:
        write_whole(*open_filesystem(f"{root}/2.png"), b"2")
        content = "\ufeff 2.png \r\n\r\nsub/1.png\n".encode()
        write_whole(*open_filesystem(f"{root}/cells.TXT"), content)
        images = ImageSource("").list_images(f"{root}/cells.TXT")
        assert images["image_name"].tolist() == ["2.png", "sub/1.png"]
        assert ImageSource("").read(images["path"]) == [
            b"2",
            "the file cannot be read: there is no such file",
        ]

    def test_a_list_on_a_disk_may_name_files_elsewhere(self, tmp_path: Path) -> None:
        fsspec.filesystem("memory").store.clear()
        fsspec.filesystem("memory").pipe_file("/bucket/1.png", b"1")
        (tmp_path / "2.png").write_bytes(b"2")
        (tmp_path / "lists").mkdir()
        paths = ["memory://bucket/1.png", f"{tmp_path}/2.png"]
        (tmp_path / "lists" / "cells.txt").write_text("\n".join(paths))
        source = ImageSource("")
        images = source.list_images(str(tmp_path / "lists" / "cells.txt"))
        assert images["image_name"].tolist() == images["path"].tolist() == paths
        assert source.read(images["path"]) == [b"1", b"2"]

    def test_a_relative_place_is_found_from_another_folder_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "cells").mkdir()
        (tmp_path / "cells" / "1.png").write_bytes(b"1")
        (tmp_path / "cells.txt").write_text("cells/1.png")
        monkeypatch.chdir(tmp_path)
        listed = [ImageSource("").list_images(place) for place in ("cells", "cells.txt")]
        monkeypatch.chdir("/")
        assert [ImageSource("").read(images["path"]) for images in listed] == [[b"1"], [b"1"]]

    def test_what_cannot_be_read_is_told_for_each_file(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_bytes(b"1")
        paths = [
            f"{tmp_path}/1.png",
            f"{tmp_path}/2.png",
            str(tmp_path),
            f"{tmp_path}/1.png/3.png",
            f"{tmp_path}/{'x' * 300}.png",
            "flying://4.png",
            f"{tmp_path}/\0.png",
        ]
        first, *others = ImageSource("").read(paths)
        assert first == b"1"
        assert len(others) == 6
        for reason in others:
            assert isinstance(reason, str)
            assert reason.startswith("the file cannot be read: ")
        assert "flying" in str(others[4])

    def test_a_store_that_does_not_answer_is_no_reason_against_an_image(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise TimeoutError("no answer")

        monkeypatch.setattr("image_classification.datasets.source.read_file", fail)
        with pytest.raises(TimeoutError):
            ImageSource("").read([f"{tmp_path}/1.png"])

    def test_nothing_is_read_when_nothing_is_asked_for(self) -> None:
        assert ImageSource("").read([]) == []

    @pytest.mark.parametrize(
        ("place", "content", "message"),
        [
            ("nowhere", None, r"nowhere' does not exist\. Name a folder.*IMAGE_CLASSIFICATION_INF"),
            (
                "cells.xlsx",
                b"",
                r"a file that ends in '\.xlsx', and no folder.*\.txt, \.csv, \.par",
            ),
            ("cells/readme.md", b"", r"holds no image: expected files ending in.*found 1 other"),
            ("cells.txt", b" \n\n", r"list '.*cells\.txt' is empty"),
            ("cells.csv", b"path,image_name\n", r"list '.*cells\.csv' is empty"),
            ("cells.csv", b"", r"cells\.csv' has no column 'path'. Received columns: none"),
            ("cells.csv", b"file\n1.png\n", r"no column 'path'\. Received columns: file\."),
            ("cells.csv", b"path,n\n1.png,1\n,2\n,3\n", r"2 rows without a path, first row 2"),
            ("cells.parquet", b"PAR1", r"cells\.parquet' cannot be read as \.parquet"),
        ],
        ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
    )
    def test_what_is_wrong_with_a_folder_or_list_is_named(
        self, tmp_path: Path, place: str, content: bytes | None, message: str
    ) -> None:
        if content is not None:
            (tmp_path / place).parent.mkdir(exist_ok=True)
            (tmp_path / place).write_bytes(content)
        place = "cells" if place.startswith("cells/") else place
        with pytest.raises(DataError, match=message):
            ImageSource("").list_images(str(tmp_path / place))

    @pytest.mark.parametrize(
        ("place", "content", "message"),
        [
            (
                "cells.csv",
                "file,name\n1,2\n",
                "The list '{}' has no column 'path'. Received columns: file, name.",
            ),
            (
                "cells.csv",
                "path,n\n1.png,1\n,2\n,3\n",
                "The list '{}' has 2 rows without a path, first row 2.",
            ),
            (
                "cells.md",
                "1.png",
                "'{}' is a file that ends in '.md', and no folder. " + HOW_TO_NAME,
            ),
            ("cells.txt", "\n", "The list '{}' is empty. " + HOW_TO_NAME),
            (
                "cells/x.md",
                "",
                "Folder '{}' holds no image: expected files ending in .png, .jpg, .jpeg, .jpe, "
                ".jfif, .bmp, .tif, .tiff, .gif, found 1 other files. " + HOW_TO_NAME,
            ),
        ],
    )
    def test_what_is_wrong_is_told_with_the_remedy(
        self, tmp_path: Path, place: str, content: str, message: str
    ) -> None:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(content)
        where = f"{tmp_path}/{place.removesuffix('/x.md')}"
        with pytest.raises(DataError) as raised:
            ImageSource("").list_images(where)
        assert str(raised.value) == message.format(where)

    def test_a_place_that_is_not_there_is_named_as_it_was_given(self) -> None:
        with pytest.raises(DataError) as raised:
            ImageSource("nowhere").list_images()
        assert str(raised.value) == "'nowhere' does not exist. " + HOW_TO_NAME

    def test_text_in_a_list_stays_as_it_is(self, root: str) -> None:
        table = pd.DataFrame({"path": ["007.png", "NA"], "image_name": ["007", "008"]})
        images = ImageSource("").list_images(self.put_list(root, table, ".csv"))
        assert images["image_name"].tolist() == ["007", "008"]
        assert images["path"].str.endswith(("/007.png", "/NA")).all()

    def test_a_path_or_name_that_is_missing_in_a_table_is_empty(self, root: str) -> None:
        table = pd.DataFrame({"path": ["1.png", "2.png"], "image_name": ["first", None]})
        images = ImageSource("").list_images(self.put_list(root, table, ".parquet"))
        assert images["image_name"].tolist() == ["first", "2.png"]
        table = pd.DataFrame({"path": ["1.png", None]})
        with pytest.raises(DataError, match="has 1 rows without a path, first row 2"):
            ImageSource("").list_images(self.put_list(root, table, ".parquet"))

    def test_a_table_without_a_column_has_none(self, tmp_path: Path) -> None:
        place = self.put_list(str(tmp_path), pd.DataFrame(), ".parquet")
        with pytest.raises(DataError, match=r"has no column 'path'\. Received columns: none\.$"):
            ImageSource("").list_images(place)

    def test_a_table_of_numbers_names_its_images_as_text(self, root: str) -> None:
        table = pd.DataFrame({"path": ["1.png", "2.png"], "image_name": [7, 8]})
        images = ImageSource("").list_images(self.put_list(root, table, ".parquet"))
        assert images["image_name"].tolist() == ["7", "8"]
        assert images["image_name"].dtype == images["path"].dtype == object

    def test_paths_of_a_store_are_addresses(self) -> None:
        fsspec.filesystem("memory").store.clear()
        write_whole(*open_filesystem("memory://bucket/cells/1.png"), b"1")
        images = ImageSource("").list_images("memory://bucket/cells")
        assert images["path"].tolist() == ["memory:///cells/1.png"]

    def test_what_came_since_is_seen(self, root: str) -> None:
        source = ImageSource(f"{root}/cells")
        for count in (1, 2):
            write_whole(*open_filesystem(f"{root}/cells/{count}.png"), b"1")
            assert len(source.list_images()) == count

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (FileNotFoundError("s3 says so"), "there is no such file"),
            (PermissionError("closed"), "closed"),
            (IsADirectoryError("a folder"), "a folder"),
            (ValueError("no such protocol"), "no such protocol"),
            (OSError(errno.ENAMETOOLONG, "too long"), "[Errno 36] too long"),
            (OSError(errno.ELOOP, "a circle"), "[Errno 40] a circle"),
        ],
    )
    def test_each_lasting_error_is_a_reason(
        self, error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr("image_classification.datasets.source.read_file", fail)
        assert ImageSource("").read(["1.png"]) == [f"the file cannot be read: {told}"]

    def test_credentials_go_to_the_filesystem_of_each_path(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[object] = []

        def note(protocol: str, **credentials: object) -> object:
            asked.append((protocol, credentials))
            raise ValueError("not now")

        monkeypatch.setattr(fsspec, "filesystem", note)
        source = ImageSourceDataset(filepath="x", credentials={"key": "k"}).load()
        source.read(["/1.png", "s3://bucket/2.png"])
        with pytest.raises(ValueError, match="not now"):
            source.list_images("s3://bucket")
        assert asked.pop() == ("s3", {"key": "k", "use_listings_cache": False})
        assert sorted(asked, key=str) == [("file", {"key": "k"}), ("s3", {"key": "k"})]

    def test_files_of_a_disk_are_tried_without_threads_and_addresses_are_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[object] = []

        def read(_: object, paths: Sequence[str], readers: int, *, alone: bool) -> list[bytes]:
            asked.append((readers, alone))
            return [b"disk"] * len(paths)

        def ask(_: object, paths: Sequence[str], readers: int, *more: object) -> list[bytes]:
            asked.append((readers, list(paths)))
            return [b"store"] * len(paths)

        monkeypatch.setattr("image_classification.datasets.source.read_in_parts", read)
        monkeypatch.setattr("image_classification.datasets.source.ask_each", ask)
        (tmp_path / "1.png").write_bytes(b"disk")
        assert ImageSource("").read(["/1.png"]) == [b"disk"]
        mixed = ["s3://bucket/2.png", f"{tmp_path}/1.png", "s3://bucket/3.png"]
        assert ImageSource("").read(mixed) == [b"store", b"disk", b"store"]
        assert asked == [(16, True), (16, ["s3://bucket/2.png", "s3://bucket/3.png"])]

    def test_the_dataset_says_where_the_images_lie(self) -> None:
        metadata = {"kind": "images"}
        dataset = ImageSourceDataset(filepath="cells", metadata=metadata)
        assert dataset._describe() == {"filepath": "cells"}
        assert dataset.metadata is metadata
        assert dataset.load() == ImageSource("cells", {})

    def test_images_to_score_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(Exception, match=r"^Images to score are read-only\.$"):
            ImageSourceDataset(filepath=str(tmp_path)).save(object())


class _Deaf(AbstractFileSystem):
    """A store that never answers."""

    protocol = "deaf"
    asked: ClassVar[list[str]] = []
    until = threading.Event()

    def cat_file(self, path: str, *_: object, **__: object) -> bytes:
        self.asked.append(path)
        self.until.wait()
        return b""

    def isdir(self, path: str) -> bool:
        self.until.wait()
        return False


class _Broken(AbstractFileSystem):
    """A store whose library raises what no other does."""

    protocol = "broken"

    def cat_file(self, path: str, *_: object, **__: object) -> bytes:
        raise RuntimeError("no session\nwith much detail")


class _Endless(AbstractFileSystem):
    """A store of a file without an end; it gives as much of it as is asked for."""

    protocol = "endless"

    def cat_file(self, path: str, start: int = 0, end: int = 2**40, **_: object) -> bytes:
        return b"0" * (end - start)


@pytest.fixture
def stores() -> Iterator[None]:
    """The addresses ``deaf://``, ``broken://`` and ``endless://``."""
    _Deaf.until = threading.Event()
    _Deaf.asked.clear()
    for store in (_Deaf, _Broken, _Endless):
        fsspec.register_implementation(store.protocol, store, clobber=True)
    yield
    _Deaf.until.set()


@pytest.mark.usefixtures("stores")
class TestStoresThatFail:
    """One dead protocol keeps its rows, and holds up no other."""

    def test_each_row_has_its_content_or_its_reason(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("image_classification.datasets.source.MAXIMUM_FILE_BYTES", 100)
        fsspec.filesystem("memory").pipe_file("/1.png", b"1")
        (tmp_path / "2.png").write_bytes(b"2")
        paths = ["deaf://a/1.png", "memory:///1.png", "broken://b/1.png", f"{tmp_path}/2.png"]
        paths += ["endless://c/1.png", "flying://4.png", "file:///gone.png", "://", "deaf://"]
        began = time.monotonic()
        assert ImageSource("", patience_s=0.2).read(paths) == [
            "the file cannot be read: deaf://a did not answer within 0.2 s",
            b"1",
            "the file cannot be read: no session",
            b"2",
            "the file cannot be read: it is larger than 100 bytes",
            "the file cannot be read: Protocol not known: flying",
            "the file cannot be read: there is no such file",
            "the file cannot be read: there is no such file",
            "the file cannot be read: deaf:// did not answer within 0.2 s",
        ]
        assert time.monotonic() - began < 3

    def test_who_does_not_answer_is_not_asked_for_a_thousand_files(self) -> None:
        source = ImageSource("", patience_s=0.1)
        began = time.monotonic()
        for _ in range(2):
            reasons = source.read([f"deaf://a/{number}.png" for number in range(500)])
            assert all(
                isinstance(reason, str) and "deaf://a did not" in reason for reason in reasons
            )
        assert len(_Deaf.asked) < 40
        assert time.monotonic() - began < 3
        (reason,) = source.read(["deaf://other/1.png"])
        assert "deaf://other did not answer within" in str(reason)

    def test_a_folder_that_does_not_answer_ends_the_run_with_a_sentence(self) -> None:
        with pytest.raises(DataError, match=r"'deaf://a' did not answer within 0\.5 s"):
            ImageSource("", patience_s=0.05).list_images("deaf://a")


class TestAllowedPlaces:
    """What a list and a trigger form may name."""

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Path:
        for name in ("lab/cells/1.png", "elsewhere/2.png"):
            write_whole(*open_filesystem(f"{tmp_path}/{name}"), name.encode())
        (tmp_path / "lab/cells/link.png").symlink_to(tmp_path / "elsewhere/2.png")
        (tmp_path / "lab/cells/out").symlink_to(tmp_path / "elsewhere")
        os.mkfifo(tmp_path / "lab/cells/pipe.png")
        return tmp_path / "lab"

    def load(self, lab: Path, *allowed: str, **more: Sequence[str]) -> ImageSource:
        return ImageSourceDataset(filepath=f"{lab}/cells", allowed=allowed, **more).load()

    def test_a_list_reaches_nothing_else(self, lab: Path) -> None:
        elsewhere = lab.parent / "elsewhere" / "2.png"
        listed = ["1.png", "link.png", "out/2.png", "../../elsewhere/2.png", "pipe.png"]
        listed += [str(elsewhere), f"file://{elsewhere}", "/proc/self/environ", "/etc/passwd"]
        listed += ["https://example.org/1.png", "memory:///1.png", "zip://1.png::file:///x.zip"]
        (lab / "cells/list.txt").write_text("\n".join([*listed, "a\0b.png", f"{lab}/cells/1.png"]))
        source = self.load(lab)
        images = source.list_images(f"{lab}/cells/list.txt")
        contents = source.read(images["path"].tolist())
        assert [content for content in contents if isinstance(content, bytes)] == [
            b"lab/cells/1.png"
        ] * 2
        assert contents[4] == "the file cannot be read: it is a pipe, and no file"
        refused = [*contents[1:4], *contents[5:13]]
        for content in refused:
            assert str(content).startswith("the file cannot be read: it lies in none of the places")

    def test_a_place_elsewhere_is_refused_before_it_is_looked_at(self, lab: Path) -> None:
        for place in (str(lab.parent), "/etc", f"{lab.parent}/gone.txt", "s3://bucket", "/a\0b"):
            with pytest.raises(DataError, match="lies in none of the places allowed here: allow"):
                self.load(lab).list_images(place)

    def test_links_out_of_a_folder_are_listed_and_refused(self, lab: Path) -> None:
        source = self.load(lab)
        images = source.list_images()
        assert images["image_name"].tolist() == ["1.png", "link.png", "pipe.png"]
        first, *others = source.read(images["path"].tolist())
        assert (first, len(others)) == (b"lab/cells/1.png", 2)
        assert not any(isinstance(other, bytes) for other in others)

    @pytest.mark.parametrize("named", ["elsewhere", "elsewhere/2.png", "elsewhere/list.csv"])
    def test_what_is_allowed_or_named_by_a_command_line_is_read(
        self, lab: Path, named: str
    ) -> None:
        place, file = f"{lab.parent}/{named}", f"{lab.parent}/elsewhere/2.png"
        assert self.load(lab, named=[place]).read([file]) == [b"elsewhere/2.png"]
        folder = place.removesuffix("/list.csv")
        assert self.load(lab, folder).read([file]) == [b"elsewhere/2.png"]

    def test_a_list_that_is_a_pipe_does_not_hold_up_the_run(self, lab: Path) -> None:
        os.mkfifo(lab / "cells/list.txt")
        with pytest.raises(DataError, match=r"cannot be read as \.txt: it is a pipe, and no file"):
            self.load(lab).list_images(f"{lab}/cells/list.txt")

    def test_one_file_that_fails_keeps_its_row_and_blames_no_other(
        self, lab: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail_once(filesystem: object, path: str, **_: object) -> bytes:
            if path.endswith("2.png"):
                raise OSError(errno.EIO, "Input/output error")
            return b"1"

        monkeypatch.setattr("image_classification.datasets.source.read_file", fail_once)
        paths = [f"{lab}/cells/{name}.png" for name in (1, 2, 3)]
        assert self.load(lab).read(paths) == [
            b"1",
            "the file cannot be read: [Errno 5] Input/output error",
            b"1",
        ]


def test_what_a_folder_leaves_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("1.png", "2.jfif", "3.GIF", "4.webp", "5.npz", "6.npz", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"1")
    images = ImageSource(str(tmp_path)).list_images()
    assert images["image_name"].tolist() == ["1.png", "2.jfif", "3.GIF", "4.webp"]
    (record,) = caplog.records
    assert "Left out: 2 (.npz), the first is '5.npz'. Left out: 1 (debris" in record.getMessage()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_of_categories_is_read_as_text(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"path": pd.Categorical(["1.png", "2.png", "1.png"])})
    place = tmp_path / f"cells{suffix}"
    table.to_csv(place, index=False) if suffix == ".csv" else table.to_parquet(place)
    assert ImageSource("").list_images(str(place))["image_name"].tolist() == table["path"].tolist()
