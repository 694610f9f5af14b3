/// Where the labels of traces are found: what people, and incidents, said of them.
public protocol TraceLabels: Sendable {
    /// The labels of some traces, in their order; those without one are absent.
    func labels(of traces: [TraceID]) async throws -> [TraceID: [String]]

    /// Traces with a label, those that got it last first.
    func traces(labelled label: String, max: Int) async throws -> [TraceID]
}
