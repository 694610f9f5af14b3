import Control
import Gateway
import Kernel
import NIOCore

/// Has the requests of batches answered by the gateway, with everything that a call at its door passes.
struct GatewayBatchCalls: BatchCalls {
    let gateway: ModelGateway
    let eventLoops: any EventLoopGroup
    let ids: TraceIDs

    func answer(_ call: BatchCall) async throws -> BatchAnswer {
        guard let door = ModelDoor(rawValue: call.endpoint) else {
            preconditionFailure("a batch goes to a door that there is not")
        }
        let loop = eventLoops.next()
        let request = DoorRequest(
            door: door, headers: RequestHeaders(call.headers), body: call.body, principal: call.principal,
            requestID: ids.request(), correlationID: call.correlationID, traceparent: ids.traceparent())
        let box = NIOLoopBoundBox<CollectedAnswer?>.makeEmptyBox(eventLoop: loop)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                loop.execute {
                    // Who was cancelled before it began stands there already.
                    let answer = box.value ?? CollectedAnswer()
                    box.value = answer
                    guard answer.wait(continuation) else { return }
                    answer.ask { gateway.open(request, to: answer, on: loop) }
                }
            }
        } onCancel: {
            loop.execute {
                let answer = box.value ?? CollectedAnswer()
                box.value = answer
                answer.leave()
            }
        }
    }
}

/// Takes a call's answer whole. Belongs to its event loop.
final class CollectedAnswer: Answering {
    private var continuation: CheckedContinuation<BatchAnswer, any Error>?
    private var call: (any AnsweredCall)?
    private var hasEnded = false
    private var head: (status: Int, headers: [(name: String, value: String)]) = (0, [])
    private var body = ByteBuffer()

    /// Whom the answer goes to; `false` where nobody wants it any more.
    func wait(_ continuation: CheckedContinuation<BatchAnswer, any Error>) -> Bool {
        guard !hasEnded else {
            continuation.resume(throwing: CancellationError())
            return false
        }
        self.continuation = continuation
        return true
    }

    func ask(_ open: () -> any AnsweredCall) {
        let call = open()
        // It may have been answered already, and would hold itself.
        if !hasEnded { self.call = call }
    }

    func leave() {
        guard !hasEnded else { return }
        let call = call
        end(.failure(CancellationError()))
        call?.clientLeft()
    }

    private func end(_ result: Result<BatchAnswer, any Error>) {
        guard !hasEnded else { return }
        hasEnded = true
        call = nil
        let waiting = continuation
        continuation = nil
        waiting?.resume(with: result)
    }

    // MARK: what the call says

    func respond(_ status: Int, _ headers: [(name: String, value: String)], _ body: ByteBuffer) {
        head = (status, headers)
        self.body = body
        finish()
    }

    func begin(_ status: Int, _ headers: [(name: String, value: String)]) { head = (status, headers) }

    func write(_ bytes: ByteBuffer) { body.writeImmutableBuffer(bytes) }

    func flush() {}

    var isReading: Bool { true }

    func finish() {
        func header(_ name: String) -> String? { head.headers.first { $0.name == name }?.value }
        end(
            .success(
                BatchAnswer(
                    status: head.status, callID: header("x-reeve-call"),
                    retryAfterSeconds: header("retry-after").flatMap { Int64($0) },
                    body: Array(body.readableBytesView))))
    }
}
