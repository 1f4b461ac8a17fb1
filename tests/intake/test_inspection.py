"""Inspection: each reason to refuse a file, and what its name tells."""

from __future__ import annotations

import pytest
from samples import draw_bomb, draw_image
from shipped import read_shipped

from image_classification.errors import ConfigurationError
from image_classification.intake.inspection import (
    compile_pattern,
    inspect_header,
    read_name,
    refuse_folder,
)

PARAMETERS = read_shipped("data_processing")


class TestFolder:
    def test_a_file_in_a_folder_of_its_class_is_taken(self) -> None:
        assert refuse_folder("ring", ["healthy", "ring"]) == ""

    def test_a_file_in_no_folder_is_refused(self) -> None:
        assert refuse_folder("", ["ring"]) == "the file lies in no class folder"
        assert refuse_folder("", None) == "the file lies in no class folder"

    def test_a_folder_that_is_no_class_is_refused_where_classes_are_named(self) -> None:
        assert refuse_folder("rings", ["ring"]) == (
            "its folder is not a class (data_processing.classes)"
        )
        assert refuse_folder("rings", None) == ""


class TestHeader:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
    def test_an_rgb_image_of_a_known_format_is_taken(self, kind: str) -> None:
        assert inspect_header(draw_image(1, (12, 10), kind=kind), 4, 1000) == (12, 10, "")

    def test_a_file_that_cannot_be_opened_and_an_empty_one_are_refused(self) -> None:
        assert inspect_header(None, 4, 1000) == (0, 0, "the file cannot be opened")
        assert inspect_header(b"", 4, 1000) == (0, 0, "the file is empty (0 bytes)")

    def test_what_is_no_image_is_refused_without_naming_an_object_in_memory(self) -> None:
        assert inspect_header(b"no image", 4, 1000) == (
            0,
            0,
            (
                "the file cannot be read as an image: it has no known format; PNG, JPEG, BMP, "
                "TIFF, GIF are allowed"
            ),
        )

    def test_a_header_that_ends_too_soon_is_refused(self) -> None:
        width, height, reason = inspect_header(draw_image(1)[:20], 4, 1000)
        assert (width, height) == (0, 0)
        assert reason.startswith("the file cannot be read as an image: ")

    def test_a_size_of_which_pillow_fears_a_bomb_is_refused(self) -> None:
        width, height, reason = inspect_header(draw_bomb(60_000, 60_000), 4, 1000)
        assert (width, height) == (0, 0)
        assert "exceeds limit of" in reason
        assert "\n" not in reason

    @pytest.mark.parametrize("kind", ["PNG", "BMP"])
    def test_as_many_pixels_as_allowed_are_taken_and_no_more(self, kind: str) -> None:
        content = draw_image(1, (12, 10), kind=kind)
        assert inspect_header(content, 4, 120)[2] == ""
        assert inspect_header(content, 4, 119) == (
            12,
            10,
            "12 x 10 pixels: at most 119 pixels are allowed",
        )

    @pytest.mark.parametrize("size", [(3, 12), (12, 3)])
    def test_a_side_as_small_as_allowed_is_taken_and_no_smaller(
        self, size: tuple[int, int]
    ) -> None:
        content = draw_image(1, size)
        assert inspect_header(content, 3, 1000) == (*size, "")
        assert inspect_header(content, 4, 1000) == (
            *size,
            f"{size[0]} x {size[1]} pixels: at least 4 a side are required",
        )

    def test_what_means_nothing_certain_in_rgb_is_refused_and_what_means_one_thing_taken(
        self,
    ) -> None:
        for mode, kind in (("L", "PNG"), ("P", "PNG"), ("P", "GIF"), ("1", "BMP")):
            assert inspect_header(draw_image(1, mode=mode, kind=kind), 4, 1000) == (12, 10, "")
        reason = "the colour mode is CMYK, which is no RGB: save it as RGB"
        content = draw_image(1, mode="CMYK", kind="JPEG")
        assert inspect_header(content, 4, 1000) == (12, 10, reason)


class TestName:
    PATTERN = compile_pattern(PARAMETERS["name_pattern"])
    FORMAT = PARAMETERS["captured_on_format"]

    @pytest.mark.parametrize(
        ("name", "patient"),
        [
            ("C100P61ThinF_IMG_20150918_144104_cell_162.png", "C100"),
            ("C1_thinF_IMG_20150918_144104_cell_162.png", "C1"),
            ("C37BP2_thinF_IMG_20150918_144104_cell_162.png", "C37"),
            ("C47P8thin_Original_Motic_IMG_20150918_144104_cell_162.png", "C47"),
        ],
    )
    def test_patient_and_date_are_read_from_names_as_of_the_nih_set(
        self, name: str, patient: str
    ) -> None:
        assert read_name(name, "id", self.PATTERN, self.FORMAT) == (patient, "2015-09-18")

    def test_an_image_whose_name_tells_no_patient_is_a_group_of_its_own(self) -> None:
        assert read_name("smear.png", "id", self.PATTERN, self.FORMAT) == ("id", "")
        pattern = compile_pattern(r"(?P<captured_on>\d{8})?(?P<patient>C\d+)?")
        assert read_name("20150918.png", "id", pattern, "%Y%m%d") == ("id", "2015-09-18")
        assert read_name("C1.png", "id", compile_pattern(r"C\d"), "%Y%m%d") == ("id", "")

    def test_what_must_not_be_split_may_be_called_group_and_names_may_tell_nothing(self) -> None:
        pattern = compile_pattern(r"(?P<group>[a-z]+)_")
        assert read_name("coat_7.png", "id", pattern, "%Y") == ("coat", "")
        assert read_name("coat_7.png", "id", compile_pattern(None), "%Y") == ("id", "")

    def test_a_date_that_does_not_exist_is_left_empty(self) -> None:
        name = "C500P500ThinF_IMG_20159999_144104_cell_0.png"
        assert read_name(name, "id", self.PATTERN, self.FORMAT) == ("C500", "")

    def test_a_date_is_read_in_the_format_that_is_configured(self) -> None:
        pattern = compile_pattern(r"(?P<captured_on>[\d.]+)_")
        assert read_name("18.09.2015_1.png", "id", pattern, "%d.%m.%Y") == ("id", "2015-09-18")

    def test_what_is_no_regular_expression_is_refused(self) -> None:
        with pytest.raises(ConfigurationError) as raised:
            compile_pattern("^(?P<patient>C")
        assert str(raised.value) == (
            "data_processing.name_pattern is not a regular expression: missing ), unterminated "
            "subpattern at position 1. Received: '^(?P<patient>C'."
        )

    def test_an_unknown_group_is_refused_with_the_one_it_resembles(self) -> None:
        with pytest.raises(ConfigurationError) as raised:
            compile_pattern(r"^(?P<pateint>C\d+)")
        assert str(raised.value) == (
            "data_processing.name_pattern has an unknown group 'pateint': allowed are patient, "
            "group, captured_on. Did you mean 'patient'?"
        )
