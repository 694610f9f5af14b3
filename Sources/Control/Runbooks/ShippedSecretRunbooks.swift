/// Runbooks of what Reeve itself tells of secrets. None of their alerts is a rule's.
extension ShippedRunbooks {
    /// Values that are old, that others know, and that turned up where none belong.
    static let secrets = [
        """
        name: SecretRotationDue
        title: Values of secrets are due to be replaced
        alerts: [SecretRotationDue]
        summary: >-
          A value is older than it may get. To replace it nobody has to stop: for a while the old one and the new one
          are both good.
        diagnosis:
          - {title: How many are due, query: "max by (scope) (reeve_secrets_due)"}
          - {title: What was staged and issued lately, api: "/api/v1/events?type=secret.rotation_issued&limit=20"}
        verify:
          - {title: None is due any more, query: "sum(max by (scope) (reeve_secrets_due))", expect: "<= 0"}
        verifyAfter: 15m
        verifyWithin: 24h
        checks:
          - Make another value where this one was made, and keep the old one in force there
          - "Stage it, have it proven and give it out: reeve secrets rotate PATH --file new.txt --known-probe --issue"
          - Revoke the old value where it was made once the rotation is retired (reeve secrets status PATH)
          - Where the value may get older, say so with rotateEveryDays
        """,
        """
        name: SecretCompromised
        title: Others know a value, and it was cut
        alerts: [SecretCompromised]
        summary: >-
          Reeve gives the version out no more and ended its leases, but whoever read it has it. It is good until it is
          revoked where it was made. The alert names those who read it; agents that are not to be trusted any more are
          named in the incident, and set apart.
        diagnosis:
          - {title: What was cut and who held it, api: "/api/v1/events?type=secret.compromised&limit=20"}
          - {title: Where values turned up, query: "sum by (kind, door) (increase(reeve_secrets_redacted_total[1h]))"}
          - {title: Lines from which one was taken, logs: "q=redacted&limit=20"}
        actions:
          - {action: quarantineAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: No value turned up for a quarter of an hour
            query: sum(increase(reeve_secrets_redacted_total[15m])) or 0 * max(reeve_agents)
            expect: "<= 0"
        verifyAfter: 15m
        verifyWithin: 24h
        checks:
          - Revoke the version where it was made, and see there what was done with it
          - See that those who read it have the version that is given out now (the secret's page, Holders)
          - Say how others came to know it, and close that way
          - Look for other secrets that went the same way, and cut them too
        """,
        """
        name: SecretLeaked
        title: A value turned up where none belongs
        alerts: [SecretLeaked]
        summary: >-
          Reeve took it out before it was kept, but who wrote it has it, and whatever else reads there may have seen it.
        diagnosis:
          - {title: How often, query: "sum by (kind, door) (increase(reeve_secrets_redacted_total[1h]))"}
          - {title: Lines from which one was taken, logs: "q=redacted&limit=20"}
          - {title: Traces of that time, traces: "limit=10"}
        verify:
          - title: None turned up for a quarter of an hour
            query: sum(increase(reeve_secrets_redacted_total[15m])) or 0 * max(reeve_agents)
            expect: "<= 0"
        verifyAfter: 15m
        verifyWithin: 2h
        checks:
          - Find who writes it, by the lines that say redacted, and have it say the name instead of the value
          - "Where nobody else can have seen it, replace it: reeve secrets rotate PATH"
          - "Where others may have it, cut it at once: reeve secrets compromise PATH --reason TEXT"
        """,
    ]
}
