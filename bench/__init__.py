"""Measurements of load and scale. README.md says how to run them and how to read them."""

import os

import django

# The statements that are measured stand in modules that have models.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
os.environ.setdefault("SOUK_PROCESS", "command")  # no time limits for what writes the data
django.setup()
