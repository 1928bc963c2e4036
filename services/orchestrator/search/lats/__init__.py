"""lats: Language Agent Tree Search (Zhou et al., 2023, arXiv 2310.04406).

Monte Carlo tree search over forked sessions. An iteration selects a leaf by UCT, expands it by `num_branch`
candidates, each taken in a fork, values the states that they led to, walks greedily to an end from the best
of them, and adds the judge's P(good enough) of that end to the leaf's path. After an end that is not good
enough, the judge's model reflects on it: later expansions begin with what was tried and its lesson. The
search ends with an end that is good enough, or after `iterations`, and commits the best end.

Differences from the paper: a step that was refused or showed nothing new is dropped without the judge, unless
all are; values are P(success) from the judge's probabilities; a state's first value counts as its first
visit; a rollout takes the greedy action at each step and its states are not nodes of the tree; ends are
weighed by the judge, or by what `feedback` lets the search know, and not by the environment's reward. Where
`done` shows a success that feedback hides and there was no rollout, ends compete with all other leaves.

The root holds the tree. Each rollout is a branch of its own, which gets a fork. Where the best end is a
rollout's, its branch is committed; otherwise the root, in the session that the last `candidates.compared`
names. Of the leaves, `MAX_OPEN` keep their sessions; those of the others are forked from the log again.
"""

from services.contracts.episode import Feedback
from services.orchestrator.search.lats.params import LatsParams
from services.orchestrator.search.lats.search import ROLLOUT, roll_out, run
from services.orchestrator.search.method import Method

LATS = Method(
    name="lats",
    version="1",
    run=run,
    params=LatsParams,
    bodies={ROLLOUT: roll_out},
    feedback=frozenset({Feedback.JUDGE, Feedback.DONE}),
    uses=frozenset({"num_branch", "path_threshold"}),
)

__all__ = ["LATS"]
