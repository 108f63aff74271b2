"""Races over HTTP, a history of all that was asked and heard, and a checker of the whole."""

import pytest

# What fails in these modules is told as fully as in a test.
pytest.register_assert_rewrite("tests.races.scenarios", "tests.races.world")
