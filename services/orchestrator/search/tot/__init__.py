"""tot: Tree of Thoughts (Yao et al., 2023, arXiv 2305.10601), with environment steps as thoughts.

Breadth-first, a beam of `num_branch` states is expanded depth by depth: each state gets `expand` candidates,
each candidate is taken in a fork, and the best of the states that they lead to are the next beam.
Depth-first, the search goes on with the best child, leaves out children of little value, and goes back to
the next best one where a path ends not good enough.

Differences from the paper: a thought is an action, and a state is judged after the environment has answered
it; steps that were refused or showed nothing new are dropped without the judge; values are P(success) and not
three classes, and votes are one question's probabilities and not repeated samples; an end is weighed by the
judge's P(good enough), and the search goes on until one is good enough or `num_path` ends were found; the
depth-first search expands as many states as `num_path` paths of `max_steps` steps have. Where `done` shows a
success that feedback hides, the judge's probabilities alone decide: ends compete with all other states.

The root holds the sessions of the states. The first state of a beam is expanded in the root itself, each
other one in a branch of its own, which works in a fork and closes all that it opened; where a child from
there is selected, the root takes its step again. The committed path is the root's, in the session that the
last `candidates.compared` names.
"""

from services.contracts.episode import Feedback
from services.orchestrator.search.method import Method
from services.orchestrator.search.tot.expansion import expand_body
from services.orchestrator.search.tot.params import TotParams
from services.orchestrator.search.tot.search import EXPAND, run

TOT = Method(
    name="tot",
    version="1",
    run=run,
    params=TotParams,
    bodies={EXPAND: expand_body},
    feedback=frozenset({Feedback.JUDGE, Feedback.DONE}),
    uses=frozenset({"num_branch", "num_path", "path_threshold"}),
)

__all__ = ["TOT"]
