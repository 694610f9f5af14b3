import Kernel

/// One label with its value.
struct LogLabel: Hashable {
    let name: String
    let value: String

    /// Fields that serve as labels too, by the names that queries have for them.
    static let fields = [
        ("service_name", LogRow.Field.service), ("level", LogRow.Field.level), ("agent_id", LogRow.Field.agent),
    ]
}

/// The labels of a log's stream, by name: few names, of few values (Loki documentation, "Label best practices").
public struct LogLabels: Sendable, Hashable {
    public private(set) var pairs: [(name: String, value: String)] = []

    init() {}

    /// - Parameter pairs: Of a name that stands twice the last counts.
    init(_ pairs: some Sequence<(name: String, value: String)>) {
        for pair in pairs { self[pair.name] = pair.value }
    }

    public var isEmpty: Bool { pairs.isEmpty }

    public subscript(name: String) -> String? {
        get { pairs.first { $0.name == name }?.value }
        set {
            let place = pairs.firstIndex { $0.name >= name } ?? pairs.endIndex
            let isKnown = place < pairs.endIndex && pairs[place].name == name
            switch (newValue, isKnown) {
            case (let value?, true): pairs[place].value = value
            case (let value?, false): pairs.insert((name, value), at: place)
            case (nil, true): pairs.remove(at: place)
            case (nil, false): break
            }
        }
    }

    public static func == (left: LogLabels, right: LogLabels) -> Bool { left.text == right.text }

    public func hash(into hasher: inout Hasher) { hasher.combine(text) }

    // MARK: as a text

    /// Names and values behind their lengths: what labels are kept as.
    var text: String {
        pairs.reduce(into: "") { text, pair in
            for part in [pair.name, pair.value] { text += "\(part.utf8.count):\(part)" }
        }
    }

    /// From ``text``; what is none of ours has no labels.
    init(text: String) {
        var rest = Substring(text).utf8
        var parts: [String] = []
        while let colon = rest.firstIndex(of: UInt8(ascii: ":")) {
            guard let count = Int(Substring(rest[..<colon])), count >= 0 else { return }
            let start = rest.index(after: colon)
            guard let end = rest.index(start, offsetBy: count, limitedBy: rest.endIndex) else { return }
            parts.append(String(decoding: rest[start..<end], as: UTF8.self))
            rest = rest[end...]
        }
        for index in stride(from: 0, to: parts.count - 1, by: 2) { self[parts[index]] = parts[index + 1] }
    }
}

extension LogLabels: JSONConvertible {
    public var json: JSONValue {
        .object(JSONObject(pairs.map { .init(name: $0.name, value: .string($0.value)) }))
    }
}
