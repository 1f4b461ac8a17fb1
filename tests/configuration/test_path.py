"""Values in sections of sections have paths."""

from __future__ import annotations

from image_classification.configuration.path import list_values, nest_value


def test_each_value_has_a_path_and_a_section_has_none() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [{"e": 2}], "empty": {}}, "f": None}
    assert list(list_values(nested)) == [("a.b.c", 1), ("a.d", [{"e": 2}]), ("f", None)]


def test_a_value_is_put_where_its_path_says() -> None:
    assert nest_value("a.b.c", {"d": 1}) == {"a": {"b": {"c": {"d": 1}}}}
    assert nest_value("a", 1) == {"a": 1}
