import Kernel
import NIOCore

/// A stream that another target may have to go on with: whole events only go out, and what they say is remembered. The
/// first target's events go on as they came where it speaks the caller's dialect; everything else is written anew.
struct ContinuableRelay: StreamRelay, EventReading {
    private(set) var progress = StreamProgress()
    private let answer: DeliveredAnswer
    private let provider: Dialect
    var events = ServerSentEvents()
    private var reader: any StreamReader
    /// Passes the events on; `nil` where they are written.
    private var direct: PlainRelay?
    /// What was delivered before this attempt.
    private var cursor: ReplayCursor?
    /// The target answers something else than was begun.
    private(set) var hasDiverged = false

    /// - Parameters:
    ///   - passesOn: How events go on as they came; `nil` where they are to be written.
    ///   - cursor: For an answer that was begun.
    init(_ answer: DeliveredAnswer, from provider: Dialect, passesOn: PlainRelay?, behind cursor: ReplayCursor?) {
        self.answer = answer
        self.provider = provider
        reader = provider.streamReader
        direct = cursor == nil ? passesOn : nil
        self.cursor = cursor
    }

    mutating func take(_ bytes: ByteBuffer) throws -> ByteBuffer {
        var output: [UInt8] = []
        try read(bytes, &output)
        if direct == nil { progress.isComplete = reader.isComplete }
        return ByteBuffer(bytes: output)
    }

    mutating func take(_ event: borrowing ServerSentEvent, _ output: inout [UInt8]) throws {
        // What was cut in the middle is not passed on.
        guard event.isTerminated || event.isDone || Self.isDocument(event.data) else { return }
        guard progress.error == nil, !hasDiverged else { return }
        if direct != nil { try pass(event, &output) } else { try write(event, &output) }
    }

    private static func isDocument(_ data: UnsafeBufferPointer<UInt8>) -> Bool {
        (try? JSONParser.parse(data, depthMax: ServerSentEvents.depthMax)) != nil
    }

    private mutating func pass(_ event: borrowing ServerSentEvent, _ output: inout [UInt8]) throws {
        guard let passed = try direct?.take(ByteBuffer(bytes: event.bytes)) else { return }
        progress = direct?.progress ?? progress
        // An error is not told as long as somebody else may go on.
        guard progress.error == nil else { return }
        output.append(contentsOf: passed.readableBytesView)
        guard !event.data.isEmpty, !event.isDone else { return }
        let document = try? JSONParser.parse(event.data, depthMax: ServerSentEvents.depthMax)
        answer.passed(document, (try? reader.read(event)) ?? [])
    }

    private mutating func write(_ event: borrowing ServerSentEvent, _ output: inout [UInt8]) throws {
        guard !event.data.isEmpty else { return }
        progress.heard(event.data, provider)
        if event.holdsUsage, let document = try? JSONParser.parse(event.data, depthMax: ServerSentEvents.depthMax) {
            progress.usage = UsageReader.merge(
                progress.usage, UsageReader.locate(in: document), dialect: provider == .messages ? .anthropic : .openAI)
        }
        let steps: [StreamEvent]
        do { steps = try reader.read(event) } catch { throw BrokenRelay(failure: .malformed) }
        for step in steps {
            if case .failure(let error) = step {
                progress.error = error
                progress.failure = .classify(streamError: FailureDetail(code: error.code ?? "", message: error.message))
                return
            }
            guard deliver(step, &output) else { return }
        }
        progress.hasBegun = true
    }

    /// Writes what the client has not seen; `false` where the answer is another one.
    private mutating func deliver(_ step: StreamEvent, _ output: inout [UInt8]) -> Bool {
        guard cursor != nil else {
            answer.write(step, to: &output)
            return true
        }
        do {
            if let fresh = try cursor?.take(step) { answer.write(fresh, to: &output) }
            return true
        } catch {
            hasDiverged = true
            return false
        }
    }

    mutating func finish() -> ByteBuffer {
        var output: [UInt8] = []
        try? readRest(&output)
        if var plain = direct {
            guard progress.isComplete, progress.error == nil else { return ByteBuffer(bytes: output) }
            output.append(contentsOf: plain.finish().readableBytesView)
            return ByteBuffer(bytes: output)
        }
        progress.isComplete = reader.isComplete && !hasDiverged
        if progress.isComplete, progress.error == nil, !deliver(.end, &output) { progress.isComplete = false }
        return ByteBuffer(bytes: output)
    }

    mutating func breakOff(_ error: DialectError) -> ByteBuffer { ByteBuffer(bytes: answer.breakOff(error)) }
}
