"""Messages between persons and the service. `Messaging`: what people and employees write here. `Hearing`: what the service's own system wrote."""

from hub.dialogue.attaching import attach, file_of, let_go, read_limits
from hub.dialogue.hearing import Hearing
from hub.dialogue.messaging import FUNCTION, Draft, Messaging

__all__ = ["FUNCTION", "Draft", "Hearing", "Messaging", "attach", "file_of", "let_go", "read_limits"]
