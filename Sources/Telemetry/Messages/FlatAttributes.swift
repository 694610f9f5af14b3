import Kernel

/// Puts flattened attributes together again: `llm.input_messages.0.message.role` is the member `role` of the member
/// `message` of the first element. Indices with gaps, or beyond any list, only say what comes before what.
struct FlatAttributes {
    /// Attributes of one list that are looked at.
    static let attributesMax = 100_000
    /// Steps of a path; a longer one is passed over.
    static let depthMax = 12

    private struct Node {
        var value: JSONValue?
        var children: [Substring: Node] = [:]

        mutating func set(_ value: JSONValue, at path: ArraySlice<Substring>) {
            guard let first = path.first else {
                self.value = self.value ?? value
                return
            }
            children[first, default: Node()].set(value, at: path.dropFirst())
        }

        var json: JSONValue {
            guard !children.isEmpty else { return value ?? .null }
            let numbered = children.map { (number: FlatAttributes.index($0.key), name: $0.key, node: $0.value) }
            if numbered.allSatisfy({ $0.number != nil }) {
                return .array(numbered.sorted { ($0.number ?? 0) < ($1.number ?? 0) }.map(\.node.json))
            }
            return .object(JSONObject(numbered.map { .init(name: String($0.name), value: $0.node.json) }))
        }
    }

    private var root = Node()
    private var count = 0
    private(set) var isWhole = true

    var isEmpty: Bool { count == 0 }

    /// - Parameter rest: What stands behind the list's own name.
    mutating func add(_ rest: Substring, _ value: AttributeValue) {
        guard count < Self.attributesMax else {
            isWhole = false
            return
        }
        let path = rest.split(separator: ".", maxSplits: Self.depthMax, omittingEmptySubsequences: false)
        guard path.count <= Self.depthMax, path.first.flatMap(Self.index) != nil else { return }
        count += 1
        root.set(value.json, at: path[...])
    }

    /// By their indices.
    var items: [JSONValue] { root.json.array ?? [] }

    private static func index(_ step: Substring) -> UInt64? {
        step.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? UInt64(step) : nil
    }
}
