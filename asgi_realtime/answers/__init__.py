"""The answers to events of clients, kept so that an event that is sent again is not handled again."""

from asgi_realtime.answers.base import Answers, EventKey
from asgi_realtime.answers.memory import MemoryAnswers

__all__ = ["Answers", "EventKey", "MemoryAnswers"]
