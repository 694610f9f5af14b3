#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension ServerSentEvents {
    /// Where reading stands within one event. Places count from the event's first byte, so that they stay true when
    /// the event is moved.
    struct Scan: Sendable {
        /// Where the line begins that is read next.
        private var line = 0
        /// No end of that line lies before here.
        private var searched = 0
        private var name = 0..<0
        private var data = 0..<0
        /// The places of further data lines; few events have any.
        private var moreData: [Range<Int>] = []
        private var hasData = false
        /// A line ended with CR, and whether LF follows is not known yet.
        private var skipsLineFeed = false
        private var isAtStreamStart = true
        private var memory = EventMemory()

        /// Shows the events that are whole in `bytes`, which begin with the current one, and counts in `taken` the
        /// bytes that those take.
        mutating func events(
            in bytes: UnsafeBufferPointer<UInt8>, _ taken: inout Int, _ alike: (KnownEvent) -> Void,
            _ body: (borrowing ServerSentEvent) throws -> Range<Int>?
        ) throws {
            while true {
                let event = UnsafeBufferPointer(rebasing: bytes[taken...])
                if searched == 0, !skipsLineFeed, let known = memory.known(event) {
                    taken += known.bytes.count
                    alike(known)
                    continue
                }
                guard let length = readLines(event) else { return }
                // The event's bytes are used up even where `body` throws.
                taken += length
                let whole = UnsafeBufferPointer(rebasing: event[..<length])
                defer { reset() }
                if let text = try show(whole, isTerminated: true, body) { memory.keep(whole, data: data, text: text) }
            }
        }

        mutating func finish(
            _ bytes: UnsafeBufferPointer<UInt8>, _ body: (borrowing ServerSentEvent) throws -> Void
        ) throws {
            if line < bytes.count { read(line..<bytes.count, of: bytes) }
            defer { reset() }
            _ = try show(bytes, isTerminated: false) { event in
                try body(event)
                return nil
            }
        }

        private mutating func reset() {
            line = 0
            searched = 0
            name = 0..<0
            data = 0..<0
            if !moreData.isEmpty { moreData = [] }
            hasData = false
        }

        /// Reads lines up to the empty one; returns the event's length, or `nil` where that line has not come.
        private mutating func readLines(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
            if skipsLineFeed, line < bytes.count {
                skipsLineFeed = false
                if bytes[line] == 0x0A {
                    line += 1
                    searched = line
                }
            }
            while let end = Self.lineEnd(in: bytes, from: searched) {
                var next = end + 1
                if bytes[end] == 0x0D {
                    if next == bytes.count {
                        skipsLineFeed = true
                    } else if bytes[next] == 0x0A {
                        next += 1
                    }
                }
                let range = line..<end
                line = next
                searched = next
                if range.isEmpty { return next }
                read(range, of: bytes)
            }
            searched = bytes.count
            return nil
        }

        /// The first CR or LF. The search for CR goes no further than the LF that was found.
        private static func lineEnd(in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
            guard start < bytes.count, let base = bytes.baseAddress else { return nil }
            let count = bytes.count - start
            let feed = memchr(base + start, 0x0A, count).map { UnsafeRawPointer($0) - UnsafeRawPointer(base) }
            let before = feed.map { $0 - start } ?? count
            let carriage = memchr(base + start, 0x0D, before).map { UnsafeRawPointer($0) - UnsafeRawPointer(base) }
            return carriage ?? feed
        }

        private mutating func read(_ range: Range<Int>, of bytes: UnsafeBufferPointer<UInt8>) {
            var range = range
            if isAtStreamStart {
                isAtStreamStart = false
                if range.count >= 3, bytes[range.lowerBound] == 0xEF, bytes[range.lowerBound + 1] == 0xBB,
                    bytes[range.lowerBound + 2] == 0xBF
                {
                    range = range.lowerBound + 3..<range.upperBound
                }
            }
            if let value = Self.value(of: "data", in: range, bytes) {
                if hasData {
                    moreData.append(value)
                } else {
                    data = value
                    hasData = true
                }
            } else if let value = Self.value(of: "event", in: range, bytes) {
                name = value
            }
        }

        /// The place of the field's value, where the line is such a field.
        private static func value(
            of field: StaticString, in line: Range<Int>, _ bytes: UnsafeBufferPointer<UInt8>
        ) -> Range<Int>? {
            let count = field.utf8CodeUnitCount
            guard line.count >= count else { return nil }
            for offset in 0..<count where bytes[line.lowerBound + offset] != field.utf8Start[offset] { return nil }
            var start = line.lowerBound + count
            guard start < line.upperBound else { return start..<start }
            guard bytes[start] == UInt8(ascii: ":") else { return nil }
            start += 1
            if start < line.upperBound, bytes[start] == UInt8(ascii: " ") { start += 1 }
            return start..<line.upperBound
        }

        private func show(
            _ bytes: UnsafeBufferPointer<UInt8>, isTerminated: Bool,
            _ body: (borrowing ServerSentEvent) throws -> Range<Int>?
        ) throws -> Range<Int>? {
            func slice(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
                UnsafeBufferPointer(rebasing: bytes[range])
            }
            guard !moreData.isEmpty else {
                let event = ServerSentEvent(
                    bytes: bytes, name: slice(name), data: slice(data), isTerminated: isTerminated)
                return try body(event)
            }
            var joined = Array(slice(data))
            for range in moreData {
                joined.append(0x0A)
                joined.append(contentsOf: slice(range))
            }
            // Where a text lies in joined lines is not where it lies in the event.
            return try joined.withUnsafeBufferPointer { joined in
                let event = ServerSentEvent(
                    bytes: bytes, name: slice(name), data: joined, isTerminated: isTerminated)
                _ = try body(event)
                return nil
            }
        }
    }
}
