"""The town in a real store, on both databases, and a browser."""

from stores import *
from visiting import *
