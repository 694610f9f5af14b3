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
    private var points = 0

    /// - Parameter time: The moment, in milliseconds since 1970.
    init(at time: Int64) { self.time = time }

    func columns(_ shape: String) -> [QueryColumn]? { entries[shape]?.columns }

    func keep(_ columns: [QueryColumn], _ shape: String, _ node: PromQLNode) {
        guard points + columns.count <= Self.pointsMax else { return }
        points += columns.count
        entries[shape] = Entry(columns: columns, selectors: node.selectors)
    }

    /// Lets go of what asked for series of this name, of which there are new samples.
    func forget(_ name: String) {
        for (shape, entry) in entries where entry.selectors.contains(where: { $0.mayBe(name) }) {
            points -= entry.columns.count
            entries[shape] = nil
        }
    }
}

extension PromQLSelector {
    /// Whether series of this name may be among those that it asks for.
    func mayBe(_ name: String) -> Bool {
        matchers.allSatisfy { $0.name != LabelSet.metricName || $0.matches(name) }
    }
}

extension PromQLNode {
    /// Whether it takes so long that it is worth remembering.
    var isCostly: Bool {
        switch kind {
        case .aggregation: true
        case .call(let function, let arguments): function.result == .vector && arguments.contains { $0.type != .scalar }
        default: false
        }
    }
}
