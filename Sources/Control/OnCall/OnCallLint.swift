import Kernel

/// Something about a plan that somebody should look at: it can be followed, but not as it was probably meant.
public struct OnCallFinding: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// Times at which nobody has the duty.
        case gap
        /// Times at which two layers of one priority are on.
        case overlap
        /// Times for which two overrides were written.
        case overlappingOverrides = "overlapping-overrides"
        /// A schedule that has nobody at any time of the range.
        case nobody
        case unusedChain = "unused-chain"
        /// A chain none of whose steps reaches anybody.
        case unreachableChain = "unreachable-chain"
        /// A path that no chain is for.
        case pathWithoutChain = "path-without-chain"
        /// Somebody whom no layer, override or chain names.
        case unusedPerson = "unused-person"
    }

    /// Ranges that a finding names.
    static let timesMax = 10

    public let kind: Kind
    /// The schedule, chain, path or person.
    public let name: String
    public let place: OnCallPlan.Place
    public let text: String
    /// When; the first ones.
    public var times: [Range<Timestamp>] = []
}

extension OnCallFinding: CustomStringConvertible {
    public var description: String { "\(place.line):\(place.column): \(kind.rawValue): \(text)" }
}

extension OnCallFinding: JSONConvertible {
    public var json: JSONValue {
        [
            "kind": .string(kind.rawValue), "name": .string(name), "line": .int(Int64(place.line)),
            "column": .int(Int64(place.column)), "detail": .string(text),
            "times": .array(times.map { ["from": $0.lowerBound.json, "until": $0.upperBound.json] }),
        ]
    }
}

extension OnCallPlan {
    /// What somebody should look at, for the time of a range, in the order of the file.
    public func findings(in range: Range<Timestamp>) -> [OnCallFinding] {
        let top = Place(line: 1, column: 1)
        var findings = schedules.flatMap { $0.findings(in: range) }
        let named = Set(paths.values.flatMap(\.chains) + (fallback.map { [$0] } ?? []))
        for chain in chains {
            if !named.contains(chain.name) {
                findings.append(
                    OnCallFinding(
                        kind: .unusedChain, name: chain.name, place: chain.place,
                        text: "no path takes the chain \(chain.name)"))
            }
            if !chain.steps.contains(where: { reaches($0, in: range) }) {
                findings.append(
                    OnCallFinding(
                        kind: .unreachableChain, name: chain.name, place: chain.place,
                        text: "no step of the chain \(chain.name) reaches anybody"))
            }
        }
        for path in Path.allCases where fallback == nil && paths[path]?.fallback == nil {
            let severities = (paths[path]?.bySeverity.keys.sorted() ?? []).joined(separator: ", ")
            findings.append(
                OnCallFinding(
                    kind: .pathWithoutChain, name: path.rawValue, place: top,
                    text: "nobody is told of \(path.rawValue) faults"
                        + (severities.isEmpty ? "" : " of other severities than \(severities)")
                        + ": name a chain, or a `default`"))
        }
        let people = Set(
            schedules.flatMap { $0.layers.flatMap(\.people) + $0.overrides.map(\.person) }
                + chains.flatMap { $0.steps.compactMap(\.person) })
        findings += self.people.filter { !people.contains($0.name) }.map { person in
            OnCallFinding(
                kind: .unusedPerson, name: person.name, place: person.place,
                text: "\(person.name) is in no layer, override or chain")
        }
        return findings.sorted { ($0.place.line, $0.place.column) < ($1.place.line, $1.place.column) }
    }

    private func reaches(_ step: Step, in range: Range<Timestamp>) -> Bool {
        guard case .notify(let target) = step else { return false }
        switch target {
        case .receiver: return true
        case .person(let name): return person(name)?.channels.isEmpty == false
        case .schedule(let name):
            return schedule(name)?.shifts(in: range).contains { $0.duty.person != nil } == true
        }
    }
}

extension OnCallPlan.Step {
    fileprivate var person: String? {
        guard case .notify(.person(let name)) = self else { return nil }
        return name
    }
}

extension OnCallSchedule {
    fileprivate func findings(in range: Range<Timestamp>) -> [OnCallFinding] {
        let gaps = shifts(in: range).filter { $0.duty.person == nil }.map { $0.from..<$0.until }
        var findings: [OnCallFinding] = []
        if gaps == [range] {
            findings.append(
                OnCallFinding(
                    kind: .nobody, name: name, place: place,
                    text: "nobody is on call in \(name) from \(range.lowerBound.short) to \(range.upperBound.short)",
                    times: gaps))
        } else if !gaps.isEmpty, !allowsGaps {
            findings.append(
                finding(.gap, place, gaps, "nobody is on call in \(name)", hint: "; `gaps: allowed` if that is meant"))
        }
        return findings + overlaps(in: range)
    }

    /// Layers and overrides that are on together, each pair once.
    private func overlaps(in range: Range<Timestamp>) -> [OnCallFinding] {
        var layers: [[String]: [Range<Timestamp>]] = [:]
        var covers: [[String]: [Range<Timestamp>]] = [:]
        var places: [String: OnCallPlan.Place] = [:]
        let edges = edges(in: range)
        for (index, edge) in edges.enumerated() {
            let stretch = edge..<(index + 1 < edges.count ? edges[index + 1] : range.upperBound)
            let on = layersOn(at: clock.reading(at: edge))
            for layer in on { places[layer.name] = layer.place }
            if on.count > 1 { layers[on.map(\.name), default: []].append(joining: stretch) }
            let over = overrides.filter { $0.contains(edge) }
            for cover in over { places[cover.label] = cover.place ?? place }
            if over.count > 1 { covers[over.map(\.label), default: []].append(joining: stretch) }
        }
        let ofLayers = layers.map { names, times in
            finding(
                .overlap, places[names[names.count - 1]] ?? place, times,
                "the layers \(names.joined(separator: " and ")) of \(name) have one priority and are on together",
                hint: "; give one of them a higher `priority`")
        }
        let ofCovers = covers.map { names, times in
            finding(
                .overlappingOverrides, places[names[names.count - 1]] ?? place, times,
                "overrides of \(name) are in force together (\(names.joined(separator: ", ")))",
                hint: "; the one that was written last counts")
        }
        return (ofLayers + ofCovers).sorted { $0.text < $1.text }
    }

    private func finding(
        _ kind: OnCallFinding.Kind, _ place: OnCallPlan.Place, _ times: [Range<Timestamp>], _ text: String,
        hint: String
    ) -> OnCallFinding {
        let first = times[0]
        let more = times.count > 1 ? ", and \(times.count - 1) times more" : ""
        return OnCallFinding(
            kind: kind, name: name, place: place,
            text: "\(text) from \(clockText(first.lowerBound)) to \(clockText(first.upperBound))\(more)\(hint)",
            times: Array(times.prefix(OnCallFinding.timesMax)))
    }

    /// `2026-11-20 09:00` by the schedule's clock.
    func clockText(_ time: Timestamp) -> String {
        WallClock.text(of: clock.shown(at: time)).replacing("T", with: " ")
    }
}

extension [Range<Timestamp>] {
    /// Stretches that meet are one.
    fileprivate mutating func append(joining stretch: Range<Timestamp>) {
        if let last, last.upperBound == stretch.lowerBound {
            self[count - 1] = last.lowerBound..<stretch.upperBound
        } else {
            append(stretch)
        }
    }
}

extension Timestamp {
    fileprivate var short: String { String(rfc3339.prefix(16)) + "Z" }
}
