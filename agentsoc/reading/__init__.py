"""What a model's reply says: pure functions of text, without a model, a task or a society; no text makes one raise.

`text` bounds and cleans what is read; `anchors` finds where a reply announces its answer; `answer` decides which of the
places counts; `numbers`, `options` and `lines` know what a number, an option and a line look like; `handles` finds the
claims that a reply names; `objects` finds JSON, also damaged or cut. docs/replies.md says in words what they take.

They are the reader of rules 2 (`agentsoc.contracts.rules.Rules.reader`). By rules 3 they are given a text without the
marks of its lists (`list_marks`), and of a reply that was cut off what was complete before (`cut_off`); the grades of a
judge have a reader of their own (`grades`). What rules make of a text must not change, as stored runs are replayed by
them. Another way to read is another number.
"""
