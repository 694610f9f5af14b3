import Kernel

/// A roll-out as a row keeps it: all that verdicts are worked out from.
extension BundleRollout: JSONConvertible {
    public var json: JSONValue {
        [
            "state": .string(state.rawValue), "step": .int(Int64(step)), "startedAt": startedAt.json,
            "stepStartedAt": stepStartedAt.json, "tried": .int(Int64(tried)), "isUnproven": .bool(isUnproven),
            "steps": .array(
                steps.map {
                    [
                        "share": .double($0.share), "seconds": .double($0.lasts.seconds),
                        "unitsMin": .int(Int64($0.unitsMin)), "margin": .double($0.margin),
                    ]
                }),
            "begun": .int(Int64(begun)), "begunNew": .int(Int64(begunNew)), "over": over.json, "under": under.json,
            "measures": .object(
                JSONObject(
                    Measure.allCases.compactMap { measure in
                        tallies[measure].map { .init(name: measure.rawValue, value: $0.json) }
                    })),
        ]
    }

    /// `nil` where the row holds no roll-out that this version knows.
    public init?(_ json: JSONValue) {
        guard let state = json["state"]?.string.flatMap(State.init), let step = json["step"]?.int.map(Int.init),
            let startedAt = json["startedAt"]?.string.flatMap(Timestamp.init(rfc3339:)),
            let stepStartedAt = json["stepStartedAt"]?.string.flatMap(Timestamp.init(rfc3339:)),
            let isUnproven = json["isUnproven"]?.bool, let steps = json["steps"]?.array?.compactMap(Step.init),
            steps.count == json["steps"]?.array?.count, (1...Self.stepsMax).contains(steps.count),
            steps.indices.contains(step), let begun = json["begun"]?.int.map(Int.init),
            let begunNew = json["begunNew"]?.int.map(Int.init), let over = json["over"].flatMap(FailureEvidence.init),
            let under = json["under"].flatMap(FailureEvidence.init), let measures = json["measures"]?.object
        else { return nil }
        // Roll-outs that began before tries were counted have all of them.
        let tried = json["tried"]?.int.map(Int.init) ?? 0
        guard (0...Self.tries.count).contains(tried) else { return nil }
        var tallies: [Measure: Tally] = [:]
        for member in measures.members {
            guard let measure = Measure(rawValue: member.name), let tally = Tally(member.value) else { return nil }
            tallies[measure] = tally
        }
        guard !tallies.isEmpty else { return nil }
        self.init(steps: steps, measures: Set(tallies.keys), at: startedAt)
        restore(
            state: state, step: (step, stepStartedAt, tried), isUnproven: isUnproven, tallies: tallies,
            begun: (begun, begunNew), shares: (over, under))
    }
}

extension BundleRollout.Step {
    fileprivate init?(_ json: JSONValue) {
        guard let share = json["share"]?.double, share > 0, share <= 1, let seconds = json["seconds"]?.double,
            let unitsMin = json["unitsMin"]?.int, let margin = json["margin"]?.double
        else { return nil }
        self.init(share: share, lasts: .seconds(seconds), unitsMin: Int(unitsMin), margin: margin)
    }
}

extension BundleRollout.Tally {
    fileprivate var json: JSONValue {
        [
            "evidence": evidence.json, "new": .list([Int64(new.failures), Int64(new.trials)]),
            "old": .list([Int64(old.failures), Int64(old.trials)]),
        ]
    }

    fileprivate init?(_ json: JSONValue) {
        guard let evidence = json["evidence"].flatMap(FailureEvidence.init),
            let new = json["new"].flatMap(Proportion.init(json:)), let old = json["old"].flatMap(Proportion.init(json:))
        else { return nil }
        self.init()
        (self.evidence, self.new, self.old) = (evidence, new, old)
    }
}

extension FailureEvidence {
    fileprivate var json: JSONValue { .array(logs.map { .double($0) }) }

    fileprivate init?(_ json: JSONValue) {
        guard let logs = json.array?.compactMap(\.double), logs.count == json.array?.count else { return nil }
        self.init(logs: logs)
    }
}

extension Proportion {
    fileprivate init?(json: JSONValue) {
        guard let parts = json.array?.compactMap(\.int), parts.count == 2, parts[0] >= 0, parts[0] <= parts[1] else {
            return nil
        }
        self.init(Int(parts[0]), of: Int(parts[1]))
    }
}
