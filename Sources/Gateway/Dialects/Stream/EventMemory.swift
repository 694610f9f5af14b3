#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An event that is like an earlier one of its stream but for its text.
struct KnownEvent {
    /// The event as it came, the line that ends it included.
    let bytes: UnsafeBufferPointer<UInt8>
    /// Bytes of its data.
    let dataBytes: Int
    /// Bytes of the text, escapes counted as they are written.
    let textBytes: Int
}

/// Knows an event by its bytes.
///
/// Providers stream an answer as hundreds of events that are alike but for one string. What was found in the first of
/// them, by looking for members, holds for each that has the same bytes before and behind that string: inside of it no
/// quote stands without an escape, so no member can.
struct EventMemory: Sendable {
    /// Longer events are not kept: those that come often are short.
    static let eventBytesMax = 2_048

    private var event: [UInt8] = []
    private var text = 0..<0
    private var dataBytes = 0

    /// - Parameters:
    ///   - data: Where the event's only line of data lies.
    ///   - text: The place of a string within that line, without its quotes.
    mutating func keep(_ event: UnsafeBufferPointer<UInt8>, data: Range<Int>, text: Range<Int>) {
        let place = data.lowerBound + text.lowerBound..<data.lowerBound + text.upperBound
        guard event.count <= Self.eventBytesMax, place.upperBound < data.upperBound,
            event[place.upperBound] == UInt8(ascii: "\"")
        else { return }
        self.event.removeAll(keepingCapacity: true)
        self.event.append(contentsOf: event)
        self.text = place
        dataBytes = data.count
    }

    /// The event that `bytes` begin with, if it is whole and known.
    func known(_ bytes: UnsafeBufferPointer<UInt8>) -> KnownEvent? {
        let rest = event.count - text.upperBound
        guard rest > 0, bytes.count > text.lowerBound + rest, let found = bytes.baseAddress else { return nil }
        return event.withUnsafeBufferPointer { event in
            guard let kept = event.baseAddress, memcmp(kept, found, text.lowerBound) == 0,
                let end = Self.stringEnd(in: bytes, from: text.lowerBound), end > text.lowerBound,
                end + rest <= bytes.count, memcmp(kept + text.upperBound, found + end, rest) == 0
            else { return nil }
            return KnownEvent(
                bytes: UnsafeBufferPointer(rebasing: bytes[..<(end + rest)]),
                dataBytes: dataBytes - text.count + end - text.lowerBound, textBytes: end - text.lowerBound)
        }
    }

    /// Where a string's closing quote stands; `nil` where a line ends before it.
    private static func stringEnd(in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        var position = start
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""): return position
            case UInt8(ascii: "\\"):
                guard position + 1 < bytes.count, bytes[position + 1] >= 0x20 else { return nil }
                position += 2
            case 0x0A, 0x0D: return nil
            default: position += 1
            }
        }
        return nil
    }
}
