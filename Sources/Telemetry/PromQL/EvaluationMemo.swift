import Synchronization

/// What parts of expressions were worth at one moment: rules that differ in their thresholds alone, and alerts beside
/// the recordings that they repeat, ask for the same series once.
final class EvaluationMemo {
    private struct Entry {
        let columns: [QueryColumn]
        let selectors: [PromQLSelector]
    }

    /// Points of all entries; further parts are worked out anew each time.
    static let pointsMax = 1_000_000

    let time: Int64
    private var entries: [String: Entry] = [:]
    /// The entries that ask for a metric, by its name; under none those that may ask for any.
    private var asking: [String?: Set<String>] = [:]
    private var points = 0

    /// - Parameter time: The moment, in milliseconds since 1970.
    init(at time: Int64) { self.time = time }

    func columns(_ shape: String) -> [QueryColumn]? { entries[shape]?.columns }

    func keep(_ columns: [QueryColumn], _ part: PromQLRemembered.Known) {
        guard points + columns.count <= Self.pointsMax else { return }
        points += columns.count
        entries[part.shape] = Entry(columns: columns, selectors: part.selectors)
        for name in part.names { asking[name, default: []].insert(part.shape) }
    }

    /// Lets go of what asked for series of this name, of which there are new samples.
    func forget(_ name: String) {
        let anything = (asking[nil] ?? []).filter { entries[$0]?.selectors.contains { $0.mayBe(name) } ?? true }
        for shape in (asking.removeValue(forKey: name) ?? []).union(anything) {
            points -= entries.removeValue(forKey: shape)?.columns.count ?? 0
        }
        asking[nil]?.subtract(anything)
    }
}

/// What is known of a part of an expression as long as the expression is: it is found out when it is first asked for.
final class PromQLRemembered: Sendable {
    struct Known: Sendable {
        let shape: String
        let selectors: [PromQLSelector]
        /// The metrics that it asks for by name; `nil` stands for any.
        let names: Set<String?>
    }

    private let known = Mutex<Known?>(nil)
    private let pattern = Mutex<LabelPattern?>(nil)

    /// - Parameter node: The one that this belongs to.
    func known(of node: PromQLNode) -> Known {
        known.withLock { known in
            if let known { return known }
            let selectors = node.selectors
            let found = Known(
                shape: node.shape, selectors: selectors, names: Set(selectors.map(\.matchers.metricName)))
            known = found
            return found
        }
    }

    /// The pattern of a function that has one, always of the same text.
    func pattern(_ text: String) throws -> LabelPattern {
        try pattern.withLock { pattern in
            if let pattern { return pattern }
            let made = try LabelPattern(text)
            pattern = made
            return made
        }
    }
}

extension PromQLSelector {
    /// Whether series of this name may be among those that it asks for.
    func mayBe(_ name: String) -> Bool {
        matchers.allSatisfy { $0.name != LabelSet.metricName || $0.matches(name) }
    }
}

extension PromQLNode.Kind {
    /// Whether it takes so long that it is worth remembering.
    var isCostly: Bool {
        switch self {
        case .aggregation: true
        case .call(let function, let arguments): function.result == .vector && arguments.contains { $0.type != .scalar }
        default: false
        }
    }
}
