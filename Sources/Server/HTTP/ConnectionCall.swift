import Gateway
import Kernel
import NIOCore

/// Model calls on a connection: they run on its event loop, without a task, and write as their provider answers.
extension ConnectionHandler {
    func runCall(_ intake: Intake, _ context: ChannelHandlerContext) {
        let visit = intake.visit
        guard let name = visit.route?.door, let door = ModelDoor(rawValue: name) else {
            preconditionFailure("a route names a door that there is not")
        }
        responder.admission.bind(visit)
        let answer = ConnectionAnswer(self)
        let request = DoorRequest(
            door: door, headers: visit.head.headers, body: intake.body, principal: visit.principal,
            requestID: visit.requestID, correlationID: visit.correlationID, traceparent: visit.traceparent,
            isTraced: visit.isTraced, isCorrelated: visit.isCorrelated, tracestate: visit.tracestate)
        // The call may answer before it is known here.
        state = .running(Run(visit: visit, start: intake.start, work: .call(answer), responder.meters))
        answer.call = responder.gateway.open(request, to: answer, on: context.eventLoop)
    }
}

/// The way of a call's answer to its connection. It stands for the call there, and lets go of both at the end.
final class ConnectionAnswer: Answering, AnsweredCall {
    private var handler: ConnectionHandler?
    var call: (any AnsweredCall)?
    private var hasLeft = false

    init(_ handler: ConnectionHandler) {
        self.handler = handler
    }

    /// The connection while it still waits for this answer.
    private var current: (ConnectionHandler, ConnectionHandler.Run, ChannelHandlerContext)? {
        guard let handler, let context = handler.context, case .running(let run) = handler.state,
            case .call(let call) = run.work, call === self
        else { return nil }
        return (handler, run, context)
    }

    func respond(_ status: Int, _ headers: [(name: String, value: String)], _ body: ByteBuffer) {
        guard let (handler, run, context) = current else { return release() }
        let reply = APIReply(status: status, headers: headers)
        handler.responder.ended(run.visit, status: status, since: run.start)
        handler.state = .idle
        let bytes = ReplyEncoder.whole(
            reply, run.visit, handler.framing(run.visit), body: body, context.channel.allocator)
        release()
        handler.end(with: bytes)
    }

    func begin(_ status: Int, _ headers: [(name: String, value: String)]) {
        guard let (handler, run, context) = current else { return }
        run.isStream = true
        if !handler.framing(run.visit).isChunked { handler.isLast = true }
        let head = ReplyEncoder.streamHead(
            APIReply(status: status, headers: headers), run.visit, handler.framing(run.visit),
            context.channel.allocator)
        context.write(NIOAny(head), promise: nil)
    }

    func write(_ bytes: ByteBuffer) {
        guard let (handler, run, context) = current else { return }
        let piece = ReplyEncoder.piece(
            bytes, isChunked: handler.framing(run.visit).isChunked, context.channel.allocator)
        context.write(NIOAny(piece), promise: nil)
    }

    func flush() { current?.2.flush() }

    var isReading: Bool { current?.2.channel.isWritable ?? true }

    func finish() {
        guard let (handler, run, context) = current else { return release() }
        handler.responder.ended(run.visit, status: 200, since: run.start)
        handler.state = .idle
        let last = ReplyEncoder.streamEnd(handler.framing(run.visit), context.channel.allocator)
        release()
        handler.end(with: last)
    }

    private func release() {
        handler = nil
        call = nil
    }

    // MARK: what the connection says

    func clientLeft() {
        guard !hasLeft else { return }
        hasLeft = true
        let call = call
        release()
        call?.clientLeft()
    }

    func clientReads() { call?.clientReads() }
}
