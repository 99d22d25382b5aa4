"""Change feeds: a Subscription is an adapter that a client makes for itself, by R4's criteria or by R5's topics as the backport guide has them."""

from hub.feeds.feeds import Feeds
from hub.feeds.notifications import Writer
from hub.feeds.subscribers import Subscribers
from hub.feeds.topics import Topic, load, topic_of
from hub.feeds.wish import Reading

__all__ = ["Feeds", "Reading", "Subscribers", "Topic", "Writer", "load", "topic_of"]
