"""Conversations of other frameworks: how messages are wrapped, what a message says, and the events they become."""
