import NIOCore

/// Where the answer to a call goes. Everything happens on the connection's event loop.
public protocol Answering: AnyObject {
    /// Writes a whole answer, and ends.
    func respond(_ status: Int, _ headers: [(name: String, value: String)], _ body: ByteBuffer)
    /// Begins a streamed answer.
    func begin(_ status: Int, _ headers: [(name: String, value: String)])
    /// Writes a piece of a streamed answer; it goes out with the next ``flush()``.
    func write(_ bytes: ByteBuffer)
    func flush()
    /// Whether the client takes what is written. Once it does again, ``AnsweredCall/clientReads()`` says so.
    var isReading: Bool { get }
    /// Ends a streamed answer.
    func finish()
}

/// A call while it runs, as its connection sees it.
public protocol AnsweredCall: AnyObject {
    /// The client is gone; nothing more may be written.
    func clientLeft()
    /// The client takes more again.
    func clientReads()
}
