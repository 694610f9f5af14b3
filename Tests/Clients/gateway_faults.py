"""What goes wrong at a provider, and what must come of it: the table of `docs/guide/faults.md`, as tests read it."""

from dataclasses import dataclass, field

DOORS = ("chat", "responses", "messages")
# The first target, which has the fault, is the only one; a healthy one of its dialect follows; a healthy one of the
# other dialect follows; or it is the only one, and of the other dialect than the caller.
SITUATIONS = ("alone", "same", "across", "foreign")
# What a healthy model says, and what that is: eight tokens, each a piece of its own in a stream.
SAID = "one two three four five six seven eight"
SAID_TOKENS = 8
LONG_WAIT = 30


@dataclass(frozen=True)
class Seen:
    """What a client gets of a call, and what the call's record says."""

    # What the attempts failed for, in order; `None` is one that answered.
    attempts: tuple[str | None, ...] = (None,)
    # The status of the SDK's exception, where there is no answer.
    status: int | None = None
    # What the record gives as the call's failure.
    failure: str | None = None
    # The answer began, and then ended in the dialect's own error.
    is_broken: bool = False
    # Which target's the answer is, by its place.
    target: int = 0

    @property
    def is_answer(self) -> bool:
        return self.status is None and not self.is_broken


def answer(*failed: str, target: int = 0) -> Seen:
    """A whole answer, behind attempts that failed before anybody saw a byte of them."""
    return Seen((*failed, None), target=target)


def refusal(status: int, *failed: str) -> Seen:
    return Seen(failed, status=status, failure=failed[-1])


def broken(failure: str) -> Seen:
    return Seen((failure,), failure=failure, is_broken=True)


@dataclass(frozen=True)
class Fault:
    """One way in which the first target goes wrong, and what is seen of it."""

    rule: dict
    # Where it is the only target, where a healthy one follows, and where it is the only one and of another dialect.
    alone: Seen
    backed: Seen
    foreign: Seen | None = None
    # Where a door sees something else than others: by the situation and the door.
    at: dict[tuple[str, str], Seen] = field(default_factory=dict)
    # Of streams, of whole answers, or of both.
    kinds: tuple[str, ...] = ("streamed", "whole")

    def seen(self, situation: str, door: str) -> Seen:
        if special := self.at.get((situation, door)):
            return special
        if situation == "foreign":
            return self.foreign or self.alone
        return self.alone if situation == "alone" else self.backed


def fault(**how: object) -> dict:
    return {"fault": how}


def everywhere(rule: dict, seen: Seen, **more: object) -> Fault:
    """The same whatever the targets are."""
    return Fault(rule, seen, seen, **more)


FAULTS = {
    "limited for a moment": everywhere(
        {"times": 1, **fault(status=429, retryAfterSeconds=1)}, answer("rate_limited")
    ),
    "limited for long": Fault(
        fault(status=429, retryAfterSeconds=LONG_WAIT, message="slow down"),
        alone=refusal(429, "rate_limited"), backed=answer("rate_limited", target=1),
    ),
    "failing once": everywhere({"times": 1, **fault(status=500)}, answer("server_error")),
    "failing": Fault(
        fault(status=500, message="on purpose"),
        alone=refusal(500, *["server_error"] * 3), backed=answer("server_error", "server_error", target=1),
    ),
    "overloaded": Fault(
        fault(status=529, message="too many of you"),
        alone=refusal(529, *["overloaded"] * 3), backed=answer("overloaded", "overloaded", target=1),
        # Only Anthropic's clients know that status.
        foreign=refusal(503, *["overloaded"] * 3),
        at={("foreign", "messages"): refusal(529, *["overloaded"] * 3)},
    ),
    "refusing the key": Fault(
        fault(status=401, message="sk-the-providers-own is wrong"),
        alone=refusal(502, "unauthorized"), backed=answer("unauthorized", target=1),
    ),
    "without the model": Fault(
        fault(status=404, message="no such model"),
        alone=refusal(404, "not_found"), backed=answer("not_found", target=1),
    ),
    "too small for the prompt": Fault(
        fault(status=400, message="This model's maximum context length is 10 tokens."),
        alone=refusal(400, "context_length"), backed=answer("context_length", target=1),
    ),
    "refusing the request": everywhere(
        fault(status=400, message="no such voice"), refusal(400, "invalid_request")
    ),
    "silent": Fault(fault(hang=True), alone=refusal(504, "silent"), backed=answer("silent", target=1)),
    "resetting": Fault(
        fault(cutAfter=0), alone=refusal(502, *["reset"] * 3), backed=answer("reset", "reset", target=1)
    ),
    "slow to begin": everywhere(fault(delaySeconds=0.3), answer()),
    "slow": everywhere(fault(pauseSeconds=0.05), answer()),
    "cut in a stream": everywhere(fault(cutAfter=5), broken("cut"), kinds=("streamed",)),
    "cut in an answer": Fault(
        fault(cutAfter=1), alone=refusal(502, *["reset"] * 3), backed=answer("reset", "reset", target=1),
        kinds=("whole",),
    ),
    "stalled in a stream": everywhere(fault(stallAfter=5), broken("stalled"), kinds=("streamed",)),
    "stalled in an answer": Fault(
        fault(stallAfter=1), alone=refusal(502, "stalled"), backed=answer("stalled", target=1), kinds=("whole",)
    ),
    "garbled at first": Fault(
        fault(malformedAfter=0), alone=refusal(502, "malformed"), backed=answer("malformed", target=1),
        kinds=("streamed",),
    ),
    # An event that nobody can read is the provider's own word: it goes on as it came. A translation has no word for it.
    "garbled later": everywhere(
        fault(malformedAfter=5), answer(), foreign=broken("malformed"), kinds=("streamed",)
    ),
    # What ends a chat stream is its finish reason, the others' last event is their own.
    "without an end": everywhere(
        fault(omitEnd=True), broken("cut"), kinds=("streamed",),
        at={(situation, "chat"): answer() for situation in SITUATIONS}
        | {("foreign", "messages"): answer(), ("foreign", "responses"): answer()},
    ),
    "degraded": everywhere(fault(degraded=True), answer()),
    "miscounting": everywhere({"usage": {"input": 1000, "cacheRead": 900, "output": 50}}, answer()),
    "not counting": everywhere({"usage": "none"}, answer()),
    "filtering": everywhere({"finish": "content_filter"}, answer()),
}
