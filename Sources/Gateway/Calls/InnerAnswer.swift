import NIOCore

/// Takes the answer to a call that Reeve makes itself, and that is not streamed. Belongs to the event loop of its call.
final class InnerAnswer: Answering {
    private let done: (_ status: Int, _ call: String?, ByteBuffer) -> Void

    /// - Parameter done: Gets the status, the call's id and the body, once.
    init(_ done: @escaping (_ status: Int, _ call: String?, ByteBuffer) -> Void) {
        self.done = done
    }

    func respond(_ status: Int, _ headers: [(name: String, value: String)], _ body: ByteBuffer) {
        done(status, headers.first { $0.name == CallHeaders.call }?.value, body)
    }

    func begin(_ status: Int, _ headers: [(name: String, value: String)]) {}
    func write(_ bytes: ByteBuffer) {}
    func flush() {}
    var isReading: Bool { true }
    func finish() { done(500, nil, ByteBuffer()) }
}
