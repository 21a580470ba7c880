"""Tests of the plugin itself run pytest in pytest."""

pytest_plugins = ["pytester"]
