/// Every event that Reeve itself writes, and what it says. What agents send keeps the type that they gave it.
public enum EventCatalog {
    public static let events: [(type: String, meaning: String)] = [
        ("agent.deleted", "An agent was taken out of the registry"),
        ("agent.draining", "An agent was asked to finish what it has and to take nothing new"),
        ("agent.health_changed", "The answer of an agent's health address changed"),
        ("agent.message_sent", "An operator left a message for an agent"),
        ("agent.paused", "An agent is handed no new work"),
        ("agent.quarantine_released", "An agent is out of quarantine"),
        ("agent.quarantined", "An agent was set apart, whatever it reports"),
        ("agent.registered", "An agent came, or was registered"),
        ("agent.resumed", "An agent is handed work again"),
        ("agent.status_changed", "An agent's derived status changed: `from`, `to`"),
        ("agent.updated", "What the registry says of an agent changed"),
        ("alert.acknowledged", "Somebody looks after an alert: `alertname`, `severity`, `labels`, `incident`"),
        ("alert.fired", "An alert began to fire: `alertname`, `severity`, `labels`, `summary`, `incident`"),
        ("alert.resolved", "An alert ended: `alertname`, `severity`, `labels`, `summary`, `incident`"),
        ("batch.cancel_requested", "Somebody asked that a batch end: what is in flight is finished"),
        ("batch.created", "A batch of model calls was asked for: `batchId`, `endpoint`"),
        ("batch.deleted", "A batch that had ended was deleted"),
        ("batch.ended", "A batch ended: `state`, and how many requests `succeeded`, `errored`, `canceled`, `expired`"),
        ("budget.created", "A scope got a budget"),
        ("budget.exhausted", "A budget is used up, once a window: `scope`, `settled`"),
        ("budget.removed", "A budget was taken away, with what was counted for it: `settled`"),
        ("budget.soft_limit", "A budget's soft limit was reached, once a window: `scope`, `settled`"),
        ("budget.updated", "A budget changed: `from`, `to`"),
        (
            "budget.written_off",
            "A replica did not come back, and what it had borrowed counts as spent: `replica`, `budgets`"
        ),
        ("bundle.pushed", "An agent is to run with a new version of its bundle: `version`, `previous`, `message`"),
        (
            "bundle.rolled_out",
            "A roll-out ended, and the agent is to run with its version: `rollout`, `version`, `stable`, `unproven`"
        ),
        (
            "bundle.rollout_advanced",
            "A roll-out gives its version to more: `rollout`, `version`, `step`, `share`, `verdict`, `unproven`"
        ),
        ("bundle.rollout_canceled", "A roll-out was ended by somebody: `rollout`, `version`, `stable`, `reason`"),
        (
            "bundle.rollout_frozen",
            "A roll-out stands still, as units were given otherwise than planned: `rollout`, `version`, `reason`"
        ),
        (
            "bundle.rollout_held",
            "A roll-out waits for somebody to decide: `rollout`, `version`, `verdict`, `reason`"
        ),
        ("bundle.rollout_resumed", "A roll-out that stood still counts anew: `rollout`, `version`, `share`"),
        (
            "bundle.rollout_started",
            "A version is given to a part first: `rollout`, `version`, `stable`, `unit`, `share`, `message`"
        ),
        (
            "bundle.taken_back",
            "A version was worse than what it was to replace, which stays: `rollout`, `version`, `stable`, `reason`"
        ),
        (
            "bundle.rolled_back",
            "An agent is to run with an earlier version of its bundle: `version`, `previous`, `message`"
        ),
        ("bundle.value_removed", "What was set above an agent's bundle was taken back: `key`, `layer`, `user`"),
        ("bundle.value_set", "A key was set above an agent's bundle: `key`, `layer`, `user`, `value`"),
        ("call.repriced", "Model calls were priced anew: `calls`, `changed`, `nanoUSDBefore`, `nanoUSDAfter`"),
        ("change.reported", "A pipeline told of a change: `name`, `source`, `reportedAt`, `link`, its details"),
        (
            "config.model_changed",
            "The settings of a model changed: `model`, `change`, `summary`, `members` with `from`, `to`"
        ),
        (
            "config.oncall_changed",
            "People, schedules or chains of on-call changed: `name`, `change`, `summary`, `members`"
        ),
        (
            "config.price_changed",
            "What a model costs changed: `model`, `change`, `summary`, `members` with `from`, `to`"
        ),
        (
            "config.provider_changed",
            "The settings of a provider changed (values: operators): `provider`, `change`, `summary`, `members`"
        ),
        (
            "config.receiver_changed",
            "A receiver of alerts changed (values: operators), secrets not shown: `name`, `change`, `summary`"
        ),
        (
            "config.route_changed",
            "Routes, inhibitions or times of alerts changed (values: operators): `name`, `change`, `summary`, `members`"
        ),
        (
            "config.rule_changed",
            "A rule changed, came or went: `name`, `change`, `summary`, `members`; of many at once `count`, `names`"
        ),
        ("config.runbook_changed", "A runbook changed, came or went: `name`, `change`, `summary`, `members`"),
        (
            "config.setting_changed",
            "A setting, or Reeve's version, changed (values: operators): `name`, `change`, `summary`, `members`"
        ),
        ("containment.acted", "What was approved against an incident is done: `containment`, `name`, `orders`"),
        ("containment.approved", "Somebody, or a policy, let a containment act (audit log)"),
        ("containment.asked", "A containment waits for a person's yes, for a while: `reason`"),
        ("containment.expired", "Nobody answered in time, or the incident was resolved before"),
        ("containment.failed", "Nothing of a containment could be done: `reason`"),
        ("containment.proposed", "Something may be done against an incident: `containment`, `name`, `orders`"),
        ("containment.refused", "Somebody decided against a containment: `reason`"),
        ("containment.released", "Nothing is held by a containment any more, as others ended what it did"),
        ("containment.reversal_begun", "All alerts have ended, and what Reeve did by itself is taken back"),
        ("containment.reversal_ordered", "Somebody let a containment be taken back (audit log)"),
        ("containment.reversal_proposed", "All alerts have ended, and what was approved may be taken back"),
        ("containment.reversed", "What a containment did is taken back, as far as nobody changed it since"),
        ("drill.ended", "A drill is over: `drillId`, `drill`"),
        ("drill.started", "A fault is brought about on purpose, with agents of its own: `drillId`, `drill`"),
        ("flag.created", "A flag was made: `key`, `version`, `reason`"),
        ("flag.deleted", "A flag was taken away: `key`, `version`, `reason`"),
        ("flag.switched_off", "A flag was switched off: `key`, `version`, `reason`"),
        ("flag.switched_on", "A flag was switched on: `key`, `version`, `reason`"),
        ("flag.updated", "What a flag says changed: `key`, `version`, `reason`, `changed`"),
        ("incident.acknowledged", "Somebody sees to an incident"),
        ("incident.action_added", "Something is to be done after an incident: `item`"),
        ("incident.action_changed", "What is to be done after an incident was put otherwise"),
        ("incident.action_done", "Something was done after an incident"),
        ("incident.action_dropped", "Something will not be done after an incident"),
        ("incident.action_open", "Something is to be done after an incident after all"),
        ("incident.changed", "A person corrected an incident's title, severity, mode or nature"),
        ("incident.contained", "What an incident does spreads no further"),
        ("incident.joined", "An incident got worse, or an alert that is new to it: `severity`, `subjects`"),
        ("incident.merged", "Another incident became a part of this one"),
        ("incident.mitigated", "None of an incident's alerts fires any more, or a person said so"),
        ("incident.noted", "Somebody wrote into an incident's timeline"),
        ("incident.opened", "Something went wrong: `title`, `severity`, `subjects`"),
        ("incident.postmortem", "An incident's postmortem was published"),
        ("incident.postmortem_due", "A postmortem is due soon: `dueAt`"),
        ("incident.postmortem_edited", "Somebody edited a postmortem"),
        ("incident.postmortem_overdue", "A postmortem should have been published by now: `dueAt`"),
        ("incident.postmortem_waived", "Somebody said that no postmortem is needed"),
        ("incident.regressed", "An alert of a mitigated incident fires again"),
        ("incident.reopened", "A resolved incident is open again"),
        ("incident.resolved", "An incident is over"),
        ("incident.split", "Alerts of an incident became one of their own"),
        ("incident.status", "Stakeholders were told something of an incident"),
        ("incident.verified", "An incident's alerts stayed quiet, and its verification steps passed"),
        ("key.created", "A key was made"),
        (
            "key.rotated",
            "Another key takes the place of one: `keyId`, `role`, `name`, `replacedBy`, `retiresAt`, `untilUnused`"
        ),
        ("key.revoked", "A key was revoked"),
        ("login_link.created", "A login link was made (audit log)"),
        ("model.breaker_closed", "A target is asked again: `model`, `target`"),
        ("model.breaker_opened", "A target is left alone: `model`, `target`, `cause`, `lastFailure`, `openUntil`"),
        ("model.breaker_reset", "An operator closed the breakers of a model, or of one target: `model`, `target`"),
        (
            "model.loop_detected",
            "A run of model calls went in circles and is held: `cause`, `count`, `limit`, `heldUntil`"
        ),
        ("model.outage.began", "No target of a model takes calls, and its tasks wait: `model`, `since`, `targets`"),
        (
            "model.outage.ended",
            "A target of a model answers again, and its tasks come back: `model`, `since`, `seconds`"
        ),
        ("model.loop_released", "An operator let a run of model calls go on"),
        (
            "oncall.acknowledged",
            "Somebody acknowledged an escalation, and nobody else is told: `escalation`, `incident`"
        ),
        ("oncall.exhausted", "All steps of a chain were carried out, and nobody acknowledged: `incident`, `chain`"),
        ("oncall.nobody", "A step of a chain reached nobody, as nobody is on call: `incident`, `target`, `step`"),
        (
            "oncall.notice_failed",
            "A notice did not arrive, however often it was tried: `key`, `incident`, `person`, `error`"
        ),
        ("oncall.overridden", "Somebody takes the duty for a while: `schedule`, `person`, `from`, `until`"),
        ("oncall.override_removed", "An override was removed, or ended early: `schedule`, `person`"),
        ("oncall.reminded", "Somebody is reminded of a postmortem: `incident`, `to`"),
        ("oncall.paged", "A step of a chain tells people: `incident`, `target`, `to`, `round`, `step`"),
        (
            "oncall.raised",
            "An incident became worse, and another chain takes over: `incident`, `chain`, `to`, `toChain`"
        ),
        ("project.changed", "A project's weight changed"),
        ("project.paused", "A project's tasks are handed out no more"),
        ("project.resumed", "A project's tasks are handed out again"),
        ("queue.changed", "A queue's concurrency, or the model that its tasks ask for, changed"),
        ("queue.paused", "A queue's tasks are handed out no more"),
        ("queue.resumed", "A queue's tasks are handed out again"),
        ("runbook.checking", "A run is done and verified; people have items to tick: `run`, `runbook`"),
        ("runbook.done", "A run of a runbook is done: `run`, `runbook`"),
        ("runbook.failed", "An action failed, or what was to be verified did not come about: `reason`"),
        ("runbook.started", "A runbook runs on an incident: `run`, `incidentId`, `runbook`"),
        ("runbook.stopped", "A run was stopped, by somebody or by a condition of its own: `reason`"),
        ("runbook.ticked", "Somebody did what an item of a runbook says (audit log)"),
        ("runbook.unverified", "There was no data by which to see what was to be verified: `reason`"),
        ("schedule.changed", "What a schedule says changed"),
        ("schedule.created", "A schedule was made"),
        ("schedule.deleted", "A schedule was deleted"),
        ("schedule.failed", "A tick made no task: `code`, `detail`"),
        ("schedule.fired", "A tick made a task: `taskId`"),
        ("schedule.paused", "A schedule makes no tasks"),
        ("schedule.resumed", "A schedule makes tasks again"),
        ("schedule.run", "An operator let a schedule make its task now (audit log)"),
        ("schedule.skipped", "Ticks that were missed are left out"),
        (
            "secret.compromised",
            "A version that others know was cut: `path`, `version`, `issued`, `reason`, `holders`"
        ),
        ("secret.deleted", "Versions of a secret were deleted, and can be brought back: `path`, `versions`"),
        ("secret.described", "How a secret is kept changed: `path`"),
        ("secret.destroyed", "Versions of a secret were destroyed for good: `path`, `versions`"),
        ("secret.granted", "Which agents may read a secret changed: `path`, `from`, `to`"),
        ("secret.lease_revoked", "A lease of a secret was ended: `lease`, `actor` (audit log)"),
        ("secret.leases_revoked", "All leases of a version were ended: `path`, `version`, `leases`"),
        ("secret.probe_failed", "A new value was not accepted: `path`, `oldVersion`, `newVersion`, `reason`"),
        ("secret.probed", "A call was made with a new value: `version`, `url` (audit log)"),
        ("secret.read", "Somebody read a secret: `version`, `for` whom where Reeve used it itself (audit log)"),
        ("secret.refused", "An agent asked for a secret that it was not granted (audit log)"),
        ("secret.removed", "A secret was forgotten with all its versions: `path`"),
        ("secret.resolved", "Somebody asked which secret holds: `name`, `user`, `project`, `scope` (audit log)"),
        ("secret.rewrapped", "Values were sealed under a newer master key: `values`, `masterVersion` (audit log)"),
        (
            "secret.rotation_draining",
            "The overlap is over, and the old value is still used: `path`, `oldVersion`, `newVersion`"
        ),
        ("secret.rotation_issued", "A new value is given out beside the old one: `path`, `oldVersion`, `newVersion`"),
        ("secret.rotation_retired", "An old value is given to nobody any more: `path`, `oldVersion`, `newVersion`"),
        (
            "secret.rotation_returned",
            "The old value is given out again: `path`, `oldVersion`, `newVersion`, `reason`"
        ),
        ("secret.rotation_staged", "A new value is kept, and nobody gets it yet: `path`, `oldVersion`, `newVersion`"),
        (
            "secret.rotation_verified",
            "A new value is known to be good: `path`, `oldVersion`, `newVersion`, `proof`, `reason`"
        ),
        ("secret.undeleted", "Deleted versions of a secret were brought back: `path`, `versions`"),
        ("secret.written", "A secret has a new version: `path`, `version`"),
        ("session.closed", "A browser logged out (audit log)"),
        ("session.opened", "A browser logged in (audit log)"),
        ("silence.created", "Alerts that match are told to nobody: `matchers`, `startsAt`, `endsAt`, `comment`"),
        ("silence.expired", "A silence ended, by itself or by hand: `silenceId`, `matchers`"),
        ("silence.updated", "A silence's time or words changed: `silenceId`, `endsAt`"),
        ("task.cancel_requested", "The agent that works on the task is asked to stop"),
        ("task.canceled", "The task was canceled"),
        ("task.claimed", "An agent took the task up; in a roll-out with `bundle`, its version, and `arm`"),
        ("task.created", "The task came to be"),
        ("task.deliverable_sealed", "A revision of a deliverable was sealed: `name`, `revision`, `sha256`"),
        ("task.done", "The task is done"),
        ("task.expired", "Nobody began the task in time"),
        ("task.failed", "The task failed for good"),
        ("task.held", "The task was set aside until an operator decides: `reason`"),
        ("task.hold_lifted", "A hold was lifted by itself: `hold`"),
        ("task.hold_set", "The task is kept from being claimed: `hold`"),
        ("task.lease_lost", "Nobody heard of the task's agent in time"),
        ("task.parked", "The task waits without a lease; its `wait` says for what"),
        ("task.preempted", "The task was taken from an agent that did not stop when asked"),
        ("task.ready", "The task's time came"),
        ("task.reassigned", "The task was given to another agent: `assignedTo`"),
        ("task.released", "The agent gave the task back"),
        ("task.requeued", "An operator let a task run again that was set aside"),
        ("task.resumed", "Holds were lifted, or what the task waited for is there"),
        ("task.retry_scheduled", "The attempt failed, and another follows: `class`, `message`"),
        ("task.reviewed", "A reviewer gave a verdict: `verdict`, `sha256`"),
        ("task.skipped", "What the task depended on did not come about"),
        ("task.started", "The agent that claimed the task began"),
        ("task.submitted", "The task's deliverables are under review"),
        ("task.superseded", "A new task does this one's work anew (audit log)"),
        ("task.timed_out", "The attempt used up its time"),
        ("task.unblocked", "All that the task depended on is done"),
    ]
}
