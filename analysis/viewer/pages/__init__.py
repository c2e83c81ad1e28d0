"""The data of each page of the viewer, one module a page: pure functions from a place on disk to values for JSON.

Every page is a `msgspec.Struct`; `msgspec.json.encode(page)` is its JSON. What comes in and what goes out:

| module | call | gives |
| --- | --- | --- |
| `runs` | `runs_page(directory)` | `RunsPage`: every run, comparison and imported log below a directory |
| `run` | `run_page(open_log(directory))` | `RunPage`: how one run went, score by task, tokens by round, society |
| `episode` | `episode_page(log, task)` | `EpisodePage`: the question, the agents round by round, the claims |
| `claims` | `claim_graph(rows)` | `EpisodeClaims`: claims as nodes in columns of rounds, with what each builds on |
| `transcript` | `transcript_page(log, task, agent, transcriber=...)` | `TranscriptPage`: what was sent and said |
| `events` | `events_page(log, EventFilter(...), offset)` | `EventsPage`: 200 rows, how many there are in all |
| `compare` | `compare_page(report)` | `ComparePage`: verdict, differences, score against tokens, task by task |
| `laws` | `laws_page(laws)` | `LawsPage`: verdicts, tails with fits, every reason for doubt |
| `phase` | `phase_page(measurements)` | `PhasePage`: parameters, regime, the plane, a plan |

`store.open_log` opens a run (finished or being written) or an imported log; the object keeps recent segments in memory
within `store.CACHE_BYTES`, so keep it between calls. `OpenLog.refresh` looks again at a run that goes on. Everything is
read through `agentsoc.log`: bounded, compared with the manifest, never through a link. Errors are `InputError` and
`LogDamagedError`, with the place and a way on; what a page lacks because it was not kept (a text, a prompt) is None,
and `TranscriptPage.why` says why.

Ids of claims are texts, `round.agent.k`, as `agentsoc show` writes them: as numbers they are larger than a browser can
hold. Tasks of an imported log are its executions. Agents are numbers; -1 is the society.
"""
