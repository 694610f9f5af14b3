import NIOCore

/// Reads a stream event by event, however its bytes are cut, and says what goes on of each.
protocol EventReading {
    /// What has come of the event that is not over yet.
    var events: ServerSentEvents { get set }

    /// Takes an event that is whole, or that the stream ended with, and appends what goes on in its place.
    mutating func take(_ event: borrowing ServerSentEvent, _ output: inout [UInt8]) throws
}

extension EventReading {
    /// Takes the events that are whole now. What came of the next one is kept, also where this throws.
    mutating func read(_ bytes: ByteBuffer, _ output: inout [UInt8]) throws {
        // Whoever takes an event may write to all of itself meanwhile, except for where the event lies.
        var reading = ServerSentEvents()
        swap(&reading, &events)
        defer { events = reading }
        try bytes.withUnsafeReadableBytes { raw in
            try reading.feed(raw.bindMemory(to: UInt8.self)) { event in try take(event, &output) }
        }
    }

    /// Takes what came of an event that never ended.
    mutating func readRest(_ output: inout [UInt8]) throws {
        var reading = ServerSentEvents()
        swap(&reading, &events)
        try reading.finish { event in try take(event, &output) }
    }
}

/// Stands between a provider's stream and the caller. Nothing keeps it from going on: an event that no bound holds is
/// left out, and the call notices it too.
protocol EventFilter: EventReading {
    mutating func take(_ event: borrowing ServerSentEvent, _ output: inout [UInt8])
    /// Appends what is still held back once the stream is over.
    mutating func flush(_ output: inout [UInt8])
}

extension EventFilter {
    /// What goes on of a piece of a stream: whole events.
    mutating func take(_ bytes: ByteBuffer) -> ByteBuffer {
        var output: [UInt8] = []
        do { try read(bytes, &output) } catch { restart() }
        return ByteBuffer(bytes: output)
    }

    /// What goes on of an event that never ended, and what was held back.
    mutating func finish() -> ByteBuffer {
        var output: [UInt8] = []
        try? readRest(&output)
        flush(&output)
        return ByteBuffer(bytes: output)
    }

    /// Another target is asked: what came of an event that the last one never ended is nobody's.
    mutating func restart() { events = ServerSentEvents() }

    mutating func flush(_ output: inout [UInt8]) {}
}
