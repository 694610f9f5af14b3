import Kernel
import NIOCore

/// What is known of a streamed answer so far.
struct StreamProgress {
    /// Usage as the provider told it, merged over its events.
    var usage: JSONValue?
    /// Whether an event came that says something: comments do not count.
    var hasBegun = false
    /// Whether the answer came to its end: a reason to stop, or the stream's own last event.
    var isComplete = false
    /// Several answers come side by side: that one has its reason to stop says nothing of the others.
    var hasManyAnswers = false
    /// Bytes of events.
    var eventBytes = 0
    /// Events with text, and the bytes of that.
    private var textEvents = 0
    private(set) var textBytes = 0
    /// Events that could not be read and went on to the client as they were.
    var malformed = 0
    /// An error that the provider sent inside of the stream.
    var error: DialectError?
    /// The class of that error.
    var failure: FailureClass?

    /// The answer is where the event's text lies, if it has any.
    @discardableResult
    mutating func heard(_ event: UnsafeBufferPointer<UInt8>, _ dialect: Dialect) -> Range<Int>? {
        let text = StreamText.of(dialect).place(in: event)
        heard(event.count, text: text?.count ?? 0)
        return text
    }

    mutating func heard(_ bytes: Int, text: Int) {
        eventBytes += bytes
        if text > 0 {
            textEvents += 1
            textBytes += text
        }
    }

    /// Tokens that the text so far hardly exceeds: one an event, and one for three bytes. Few tokens are shorter, and
    /// most providers send an event a token.
    var outputTokensMost: Int64 { Int64(textEvents + textBytes / 3) }
}

/// Turns what a provider streams into what the client gets.
protocol StreamRelay {
    var progress: StreamProgress { get }

    /// Takes what came; the answer is what the client gets of it. Throws ``FailureClass/malformed`` as ``BrokenRelay``
    /// where the stream cannot be gone on with.
    mutating func take(_ bytes: ByteBuffer) throws -> ByteBuffer

    /// The provider's stream is over: what is still to be sent, the dialect's own error where something is missing.
    mutating func finish() -> ByteBuffer

    /// The stream is broken off from here: what the client is told last.
    mutating func breakOff(_ error: DialectError) -> ByteBuffer
}

/// The stream cannot be gone on with.
struct BrokenRelay: Error {
    let failure: FailureClass
}

/// The same dialect on both sides: the provider's bytes go on as they came. Their events are looked at in passing.
struct PlainRelay: StreamRelay {
    private(set) var progress = StreamProgress()
    private let dialect: Dialect
    /// Usage was asked for on the client's behalf, who is not to see it (a chat stream without `include_usage`).
    private let hidesUsage: Bool
    private var events = ServerSentEvents()

    /// - Parameter hasManyAnswers: Whether more than one answer was asked for (`n`).
    init(_ dialect: Dialect, hidesUsage: Bool, hasManyAnswers: Bool = false) {
        self.dialect = dialect
        self.hidesUsage = hidesUsage
        progress.hasManyAnswers = hasManyAnswers
    }

    private static let finishReason = ByteMarker("\"finish_reason\"")
    private static let error = ByteMarker("\"error\"")

    mutating func take(_ bytes: ByteBuffer) throws -> ByteBuffer {
        let hidesUsage = hidesUsage
        var kept = hidesUsage ? ByteBufferAllocator().buffer(capacity: bytes.readableBytes) : ByteBuffer()
        var progress = progress
        let dialect = dialect
        defer { self.progress = progress }
        try bytes.withUnsafeReadableBytes { raw in
            try events.feed(raw.bindMemory(to: UInt8.self)) { known in
                progress.heard(known.dataBytes, text: known.textBytes)
                if hidesUsage { kept.writeBytes(UnsafeRawBufferPointer(known.bytes)) }
            } _: { event in
                let look = try Self.look(at: event, dialect, hidesUsage, &progress, &kept)
                if hidesUsage, !look.isHidden { kept.writeBytes(UnsafeRawBufferPointer(event.bytes)) }
                return look.text
            }
        }
        return hidesUsage ? kept : bytes
    }

    /// What was found in an event.
    private struct Look {
        /// Whether the client must not see it, or sees another in its place.
        var isHidden = false
        /// The place of its text, where it says nothing else.
        var text: Range<Int>?
    }

    /// Notes what an event says. What the client sees in its place is appended to `kept`.
    private static func look(
        at event: borrowing ServerSentEvent, _ dialect: Dialect, _ hidesUsage: Bool, _ progress: inout StreamProgress,
        _ kept: inout ByteBuffer
    ) throws -> Look {
        guard !event.data.isEmpty else { return Look() }
        if event.isDone {
            progress.isComplete = true
            progress.hasBegun = true
            return Look()
        }
        let text = progress.heard(event.data, dialect)
        guard event.data.first == UInt8(ascii: "{") else {
            guard progress.hasBegun else { throw BrokenRelay(failure: .malformed) }
            progress.malformed += 1
            return Look()
        }
        let name = event.nameText
        let isError = name == "error" || (event.data.count < 65_536 && event.contains(error))
        let tellsUsage = event.holdsUsage
        noteEnd(event, name, dialect, &progress)
        guard !progress.hasBegun || isError || tellsUsage else { return Look(text: text) }
        return Look(isHidden: try read(event, name, dialect, tellsUsage, hidesUsage, &progress, &kept))
    }

    /// Reads an event that begins a stream, tells usage or an error. The answer is whether it is hidden.
    private static func read(
        _ event: borrowing ServerSentEvent, _ name: String, _ dialect: Dialect, _ tellsUsage: Bool, _ hidesUsage: Bool,
        _ progress: inout StreamProgress, _ kept: inout ByteBuffer
    ) throws -> Bool {
        guard let document = try? JSONParser.parse(event.data, depthMax: ServerSentEvents.depthMax) else {
            guard progress.hasBegun else { throw BrokenRelay(failure: .malformed) }
            progress.malformed += 1
            return false
        }
        if name == "error" || document["error"].map({ !$0.isNull }) == true, document["choices"] == nil {
            progress.error = DialectError(reading: document, status: 200)
            progress.failure = .classify(streamError: FailureDetail(document))
            return false
        }
        progress.hasBegun = true
        guard tellsUsage, let usage = UsageReader.locate(in: document) else { return false }
        progress.usage = UsageReader.merge(
            progress.usage, usage, dialect: dialect == .messages ? .anthropic : .openAI)
        guard hidesUsage, var object = document.object, object["usage"]?.object != nil else { return false }
        if object["choices"]?.array?.isEmpty == true { return true }
        object["usage"] = nil
        var other: [UInt8] = []
        ServerSentEvents.write(.object(object), to: &other)
        kept.writeBytes(other)
        return true
    }

    private static func noteEnd(
        _ event: borrowing ServerSentEvent, _ name: String, _ dialect: Dialect, _ progress: inout StreamProgress
    ) {
        guard !progress.isComplete else { return }
        switch dialect {
        case .chat:
            guard !progress.hasManyAnswers, let found = finishReason.index(in: event.data) else { return }
            let value = event.data[(found + finishReason.count)...].first { $0 != UInt8(ascii: ":") && $0 > 0x20 }
            progress.isComplete = value == UInt8(ascii: "\"")
        case .responses:
            progress.isComplete = ["response.completed", "response.incomplete", "response.failed"].contains(name)
        case .messages: progress.isComplete = name == "message_stop"
        }
    }

    mutating func finish() -> ByteBuffer {
        var last = ByteBuffer()
        var progress = progress
        let dialect = dialect
        let hidesUsage = hidesUsage
        try? events.finish { event in
            var kept = ByteBuffer()
            let look = try Self.look(at: event, dialect, hidesUsage, &progress, &kept)
            guard hidesUsage else { return }
            if look.isHidden { last.writeBuffer(&kept) } else { last.writeBytes(UnsafeRawBufferPointer(event.bytes)) }
        }
        self.progress = progress
        guard !progress.isComplete, progress.error == nil else { return last }
        var error = breakOff(.brokenStream())
        last.writeBuffer(&error)
        return last
    }

    mutating func breakOff(_ error: DialectError) -> ByteBuffer {
        // What was cut in the middle of an event ends first, or the error would be taken for its rest.
        var buffer = ByteBuffer(bytes: hidesUsage || events.rest.isEmpty ? [] : Array("\n\n".utf8))
        buffer.writeBytes(error.event(for: dialect))
        return buffer
    }
}

/// Another dialect on the client's side.
struct TranslatingRelay: StreamRelay {
    private(set) var progress = StreamProgress()
    private var events = ServerSentEvents()
    private var reader: any StreamReader
    private var writer: any StreamWriter
    private let provider: Dialect

    init(from provider: Dialect, to client: Dialect, _ context: ReplyContext) {
        self.provider = provider
        reader = provider.streamReader
        writer = client.streamWriter(context)
    }

    mutating func take(_ bytes: ByteBuffer) throws -> ByteBuffer {
        var output: [UInt8] = []
        var progress = progress
        var reader = reader
        var writer = writer
        let provider = provider
        let dialect: UsageDialect = provider == .messages ? .anthropic : .openAI
        defer {
            self.progress = progress
            self.reader = reader
            self.writer = writer
        }
        try bytes.withUnsafeReadableBytes { raw in
            try events.feed(raw.bindMemory(to: UInt8.self)) { event in
                guard !event.data.isEmpty, progress.error == nil else { return }
                progress.heard(event.data, provider)
                if event.holdsUsage, let document = try? JSONParser.parse(event.data, depthMax: 128) {
                    progress.usage = UsageReader.merge(
                        progress.usage, UsageReader.locate(in: document), dialect: dialect)
                }
                let steps: [StreamEvent]
                do { steps = try reader.read(event) } catch {
                    guard progress.hasBegun else { throw BrokenRelay(failure: .malformed) }
                    throw BrokenRelay(failure: .malformed)
                }
                for step in steps {
                    if case .failure(let error) = step {
                        progress.error = error
                        progress.failure = .classify(
                            streamError: FailureDetail(code: error.code ?? "", message: error.message))
                        // Told with `breakOff`, if nothing better can be done.
                        return
                    }
                    writer.write(step, to: &output)
                }
                progress.hasBegun = true
            }
        }
        progress.isComplete = reader.isComplete
        return ByteBuffer(bytes: output)
    }

    mutating func finish() -> ByteBuffer {
        var output: [UInt8] = []
        progress.isComplete = reader.isComplete
        writer.write(reader.finish(), to: &output)
        return ByteBuffer(bytes: output)
    }

    mutating func breakOff(_ error: DialectError) -> ByteBuffer {
        var output: [UInt8] = []
        writer.write(.failure(error), to: &output)
        return ByteBuffer(bytes: output)
    }
}

extension DialectError {
    /// The event that ends a broken stream (OpenAI: a chunk with `error` at its top; Anthropic: `event: error`).
    func event(for dialect: Dialect) -> [UInt8] {
        var output: [UInt8] = []
        switch dialect {
        case .chat: ServerSentEvents.write(body(for: dialect), to: &output)
        case .responses, .messages:
            var body = body(for: dialect).object ?? JSONObject()
            if body["type"] == nil { body["type"] = "error" }
            ServerSentEvents.writeNamed(body, to: &output)
        }
        return output
    }
}
