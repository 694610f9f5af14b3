import Kernel
import NIOCore
import NIOHTTP1

/// One exchange of a call with a target, from its decision to its end. Belongs to the call's event loop.
final class CallAttempt {
    /// How the request goes out, and how the answer comes back.
    enum Passage: Equatable {
        /// As it came. `hidesUsage`: usage was asked for on the client's behalf.
        case native(hidesUsage: Bool)
        case translated(Dialect)
    }

    let index: Int
    let state: TargetState
    let permit: Breaker.Permit
    let receipt: Pacer.Receipt
    let passage: Passage
    let startedAt: Timestamp
    let reason: String
    var exchange: UpstreamExchange?
    var head: HTTPResponseHead?
    /// A whole answer, or an error, as far as it came.
    var body = ByteBuffer()
    var relay: (any StreamRelay)?
    /// What the client gets first, held until the stream has really begun.
    var held = ByteBuffer()
    /// When something was last heard that counts.
    var heard: NIODeadline?
    /// How much of the stream had been heard then.
    var eventBytes = 0
    var firstToken: Timestamp?
    let began: NIODeadline

    init(
        index: Int, state: TargetState, permit: Breaker.Permit, receipt: Pacer.Receipt, passage: Passage,
        startedAt: Timestamp, reason: String
    ) {
        self.index = index
        self.state = state
        self.permit = permit
        self.receipt = receipt
        self.passage = passage
        self.startedAt = startedAt
        self.reason = reason
        began = .now()
    }

    /// When the attempt is given up unless something is heard before.
    func due(_ deadlines: DeadlineSettings) -> NIODeadline {
        if let heard { return heard + .microseconds(deadlines.interToken.microseconds) }
        return began + .microseconds(deadlines.firstByte.microseconds)
    }

    /// Notes that bytes came. Of a stream only events count: comments keep a connection alive, not an answer.
    func hear() {
        guard let progress = relay?.progress else {
            heard = .now()
            return
        }
        guard progress.eventBytes > eventBytes else { return }
        eventBytes = progress.eventBytes
        heard = .now()
    }

    /// A header of the answer, by its name in lower case.
    func header(_ name: String) -> String? { head?.headers.first(name: name) }

    var isSuccess: Bool { head.map { (200..<300).contains($0.status.code) } ?? false }

    /// Whether a stream has said how it ends: from there on it is whole, however its connection ends.
    var isComplete: Bool { isSuccess && relay?.progress.isComplete == true }
}

/// An error as the provider sent it, for a caller who speaks its dialect.
struct ProviderError {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: ByteBuffer
    /// What it says, for a caller of another dialect.
    let meaning: DialectError
    let isNative: Bool
}
