"""The room that the operations of git and of the forge are declared in."""

from __future__ import annotations

from att.catalogue import Room
from att.problems import ProjectNotFound

room = Room("git", errors=(ProjectNotFound,))
