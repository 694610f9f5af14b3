import Kernel

/// What a look through one place found of a subject.
public struct SubjectCount: Sendable, Equatable {
    public var found = 0
    /// What stays under a hold.
    public var held = 0
    /// The holds that keep it.
    public var holds: Set<String> = []

    public init(found: Int = 0) { self.found = found }

    init(found: Int, holds: [TelemetryHold]) {
        self.init(found: found)
        if !holds.isEmpty { held = found }
        self.holds = Set(holds.map(\.id))
    }

    var left: Int { found - held }

    mutating func add(_ other: SubjectCount) {
        found += other.found
        held += other.held
        holds.formUnion(other.holds)
    }
}

/// A place outside of the store's files that has something of subjects: in memory, or in a file of its own.
public protocol SubjectKeeper: Sendable {
    /// What it is called in reports.
    var keeperName: String { get }

    /// Looks for a subject, and forgets it unless the order is only to look.
    func erase(_ order: ErasureOrder) async throws -> SubjectCount
}

extension LiveSpans: SubjectKeeper {
    public var keeperName: String { "live" }

    public func erase(_ order: ErasureOrder) -> SubjectCount {
        var count = SubjectCount()
        _ = erase(isDryRun: order.isDryRun) { span in
            guard let places = try? order.subject.places(in: .span(span)), !places.isEmpty else { return false }
            // What cannot be asked is kept.
            let holds = order.holds.filter { (try? $0.holds(.span(span))) != false }
            count.add(SubjectCount(found: 1, holds: holds))
            return holds.isEmpty
        }
        count.found += eraseSteps(isDryRun: order.isDryRun) { order.subject.isMet(by: $0) }
        return count
    }
}

extension TraceBindings: SubjectKeeper {
    public var keeperName: String { "bindings" }

    public func erase(_ order: ErasureOrder) -> SubjectCount {
        var count = SubjectCount()
        _ = erase(isDryRun: order.isDryRun) { binding in
            guard
                order.subject.isMet(by: binding.correlationID)
                    || order.subject.isMet(by: binding.trace.description)
            else { return false }
            let holds = order.holds.filter { $0.holds(binding) }
            count.add(SubjectCount(found: 1, holds: holds))
            return holds.isEmpty
        }
        return count
    }
}

extension TelemetryHold {
    fileprivate func holds(_ binding: TraceBindings.Binding) -> Bool {
        switch target {
        case .correlation(let id): binding.correlationID == id || binding.trace.description == id.lowercased()
        case .trace(let trace): binding.trace == trace
        case .subject(let subject): SubjectMatch(subject).isMet(by: binding.correlationID)
        case .agent, .times: false
        }
    }
}

extension StreamLabels: SubjectKeeper {
    var keeperName: String { "labels" }

    func erase(_ order: ErasureOrder) -> SubjectCount {
        SubjectCount(found: erase(order.subject, isDryRun: order.isDryRun))
    }
}

extension KafkaOutlet: SubjectKeeper {
    public var keeperName: String { "kafka" }
}
