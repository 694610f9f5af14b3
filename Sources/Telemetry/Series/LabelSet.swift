import Foundation

/// The labels that tell a series apart, its metric's name among them, as Prometheus has them: by their bytes, in the
/// order of their names, and none without a value.
///
/// All stand in one array, each text ended by a zero byte: to compare, to hash and to take some of them is to look at
/// bytes, and the order of the bytes is that of the labels.
public struct LabelSet: Sendable, Hashable, Comparable {
    public static let metricName = "__name__"
    public static let none = LabelSet(bytes: [])

    let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// Of a name that stands twice the last value counts; an empty value means that there is no such label.
    public init(_ labels: some Sequence<(String, String)>) {
        var last: [String: String] = [:]
        for (name, value) in labels { last[name] = value }
        let sorted = last.lazy.filter { !$0.value.isEmpty }
            .map { (Self.text($0.key), Self.text($0.value)) }
            .sorted { $0.0.lexicographicallyPrecedes($1.0) }
        var bytes: [UInt8] = []
        for (name, value) in sorted { Self.append(name, value, to: &bytes) }
        self.bytes = bytes
    }

    /// The text's bytes. A zero byte, which no label needs, would end it.
    private static func text(_ text: String) -> [UInt8] {
        text.utf8.contains(0) ? Array(text.replacing("\0", with: "\u{FFFD}").utf8) : Array(text.utf8)
    }

    private static func append(_ name: some Sequence<UInt8>, _ value: some Sequence<UInt8>, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: name)
        bytes.append(0)
        bytes.append(contentsOf: value)
        bytes.append(0)
    }

    public static func < (left: LabelSet, right: LabelSet) -> Bool {
        left.bytes.withUnsafeBytes { left in
            right.bytes.withUnsafeBytes { right in
                let shared = min(left.count, right.count)
                guard shared > 0, let one = left.baseAddress, let other = right.baseAddress else {
                    return left.count < right.count
                }
                let order = memcmp(one, other, shared)
                return order == 0 ? left.count < right.count : order < 0
            }
        }
    }

    public static func == (left: LabelSet, right: LabelSet) -> Bool {
        left.bytes.withUnsafeBytes { left in
            right.bytes.withUnsafeBytes { right in
                guard left.count == right.count, let one = left.baseAddress, let other = right.baseAddress else {
                    return left.count == right.count
                }
                return memcmp(one, other, left.count) == 0
            }
        }
    }

    public func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }

    // MARK: Looking

    /// Where one label stands.
    private struct Place {
        let name: Range<Int>
        let value: Range<Int>
        var whole: Range<Int> { name.lowerBound..<value.upperBound + 1 }
    }

    /// Shows the labels until `body` has enough.
    private func each(_ body: (UnsafeBufferPointer<UInt8>, Place) -> Bool) {
        bytes.withUnsafeBufferPointer { all in
            var start = 0
            while start < all.count {
                var middle = start
                while all[middle] != 0 { middle += 1 }
                var end = middle + 1
                while all[end] != 0 { end += 1 }
                guard body(all, Place(name: start..<middle, value: middle + 1..<end)) else { return }
                start = end + 1
            }
        }
    }

    public var pairs: [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        each { all, place in
            pairs.append(
                (
                    String(decoding: all[place.name], as: UTF8.self),
                    String(decoding: all[place.value], as: UTF8.self)
                ))
            return true
        }
        return pairs
    }

    /// Whether a label has this value; the empty one where there is no such label.
    func has(_ value: [UInt8], at name: [UInt8]) -> Bool {
        var isFound = false
        var isSame = false
        each { all, place in
            guard all.isSame(name, at: place.name) else { return true }
            isFound = true
            isSame = all.isSame(value, at: place.value)
            return false
        }
        return isFound ? isSame : value.isEmpty
    }

    /// A label's value; empty where there is no such label.
    public subscript(name: String) -> String {
        var name = name
        return name.withUTF8 { name in
            var found = ""
            each { all, place in
                guard all.isSame(name, at: place.name) else { return true }
                found = String(decoding: UnsafeBufferPointer(rebasing: all[place.value]), as: UTF8.self)
                return false
            }
            return found
        }
    }

    public var isEmpty: Bool { bytes.isEmpty }

    // MARK: Changing

    /// The labels of these names alone.
    public func keeping(_ names: LabelNames) -> LabelSet { filtered { names.contains($0, $1) } }

    /// The labels of other names alone.
    public func dropping(_ names: LabelNames) -> LabelSet { filtered { !names.contains($0, $1) } }

    public var withoutName: LabelSet { dropping(.metricName) }

    private func filtered(_ isKept: (UnsafeBufferPointer<UInt8>, Range<Int>) -> Bool) -> LabelSet {
        var kept: [UInt8] = []
        each { all, place in
            if isKept(all, place.name) { kept.append(contentsOf: UnsafeBufferPointer(rebasing: all[place.whole])) }
            return true
        }
        return kept.count == bytes.count ? self : LabelSet(bytes: kept)
    }

    /// With a label by another name, where there is one.
    public func renaming(_ name: String, to other: String) -> LabelSet {
        let value = self[name]
        return value.isEmpty ? self : setting(name, "").setting(other, value)
    }

    /// With a label of this value, or without it where the value is empty.
    public func setting(_ name: String, _ value: String) -> LabelSet {
        let name = Self.text(name)
        let value = Self.text(value)
        var changed: [UInt8] = []
        changed.reserveCapacity(bytes.count + name.count + value.count + 2)
        var isDone = value.isEmpty
        each { all, place in
            let order = name.withUnsafeBufferPointer { all.order(of: $0, at: place.name) }
            if !isDone, order >= 0 {
                Self.append(name, value, to: &changed)
                isDone = true
            }
            if order != 0 { changed.append(contentsOf: UnsafeBufferPointer(rebasing: all[place.whole])) }
            return true
        }
        if !isDone { Self.append(name, value, to: &changed) }
        return LabelSet(bytes: changed)
    }
}

extension LabelSet: CustomStringConvertible {
    /// As PromQL writes it: `up{job="reeve"}`.
    public var description: String {
        let name = self[Self.metricName]
        let others = pairs.filter { $0.name != Self.metricName }
        guard !others.isEmpty || name.isEmpty else { return name }
        return "\(name){\(others.map { "\($0.name)=\(QueryText.quoted($0.value))" }.joined(separator: ", "))}"
    }
}

/// Names of labels to keep or to drop.
public struct LabelNames: Sendable {
    public static let metricName = LabelNames([LabelSet.metricName])

    private let names: [[UInt8]]

    public init(_ names: some Sequence<String>) { self.names = names.map { Array($0.utf8) } }

    /// Whether one of them stands in these bytes.
    fileprivate func contains(_ bytes: UnsafeBufferPointer<UInt8>, _ place: Range<Int>) -> Bool {
        for name in names where bytes.isSame(name, at: place) { return true }
        return false
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Whether these very bytes stand at a place.
    fileprivate func isSame(_ other: [UInt8], at place: Range<Int>) -> Bool {
        other.count == place.count && other.withUnsafeBufferPointer { order(of: $0, at: place) } == 0
    }

    fileprivate func isSame(_ other: UnsafeBufferPointer, at place: Range<Int>) -> Bool {
        other.count == place.count && order(of: other, at: place) == 0
    }

    /// Below zero where what stands at a place comes before these bytes, zero where they are the same.
    fileprivate func order(of other: UnsafeBufferPointer, at place: Range<Int>) -> Int {
        let (shared, longer) = (Swift.min(other.count, place.count), place.count - other.count)
        guard shared > 0, let base = baseAddress, let start = other.baseAddress else { return longer }
        let order = memcmp(base + place.lowerBound, start, shared)
        return order == 0 ? longer : Int(order)
    }
}
