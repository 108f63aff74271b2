"""Moments to the second and in one order that nobody mistakes, all in UTC."""

from __future__ import annotations

DATETIME_FORMAT = "Y-m-d H:i:s"
DATE_FORMAT = "Y-m-d"
