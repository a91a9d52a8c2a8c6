"""Brokers carry publications and commands between processes, and keep history."""

from asgi_realtime.broker.base import Broker, BrokerReceiver
from asgi_realtime.broker.memory import MemoryBroker

__all__ = ["Broker", "MemoryBroker", "BrokerReceiver"]
