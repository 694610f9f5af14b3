import Control
import Foundation
import Kernel
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Hands one mail to a server (RFC 5321), with STARTTLS (RFC 3207) and a password (RFC 4954) where they are asked for.
///
/// No pipelining, no attachments: what is here is what a notification needs.
extension NotificationTransport {
    public func send(_ mail: NotificationMail) async -> NotificationOutcome {
        guard let place = ReceiverPlace(mail.url) else {
            return NotificationOutcome(.refused, "the address cannot be read")
        }
        switch await place.resolve(allowPrivate: mail.allowPrivate, within: mail.timeout, by: lookup) {
        case .failure(let fault): return fault.outcome
        case .success(let address):
            do {
                return try await SMTPDelivery(mail: mail, place: place).send(to: address)
            } catch let refusal as SMTPDelivery.Refusal {
                return refusal.outcome
            } catch {
                return NotificationOutcome(.failed, Self.mailReason(error))
            }
        }
    }

    private static func mailReason(_ error: any Error) -> String {
        if error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError {
            return "no safe connection came about (TLS): the server's certificate may not be valid for its name"
        }
        return reason(error)
    }
}

/// One mail on its way.
struct SMTPDelivery {
    /// Bytes of a reply, all its lines together.
    static let replyBytesMax = 16_384

    /// The server said no, or something else than it should.
    struct Refusal: Error {
        let outcome: NotificationOutcome
    }

    struct Reply {
        let code: Int
        let lines: [String]

        /// What a server that knows extensions offers.
        func offers(_ name: String) -> String? {
            lines.dropFirst().first { $0.uppercased().split(separator: " ").first.map(String.init) == name }
        }
    }

    let mail: NotificationMail
    let place: ReceiverPlace

    func send(to address: SocketAddress) async throws -> NotificationOutcome {
        let limit = TimeAmount.microseconds(mail.timeout.microseconds)
        let (isTLS, host, caFile) = (place.scheme == "smtps", place.host, mail.caFile)
        let received = ReceivedBytes()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(limit)
            .connect(to: address) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if isTLS { try channel.pipeline.syncOperations.addHandler(Self.secured(host, caFile)) }
                    try channel.pipeline.syncOperations.addHandler(ReceivedBytesHandler(received))
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        // Whatever it waits for then ends.
        let end = channel.channel.eventLoop.scheduleTask(in: limit) { channel.channel.close(promise: nil) }
        defer { end.cancel() }
        return try await channel.executeThenClose { inbound, outbound in
            var talk = SMTPTalk(lines: inbound.makeAsyncIterator(), outbound: outbound)
            return try await deliver(&talk, channel.channel, received)
        }
    }

    private static func secured(_ host: String, _ caFile: String?) throws -> NIOSSLClientHandler {
        let context = try NIOSSLContext(configuration: NotificationTransport.trusting(caFile))
        // An address has no name to ask for (RFC 6066 §3).
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
    }

    private static let early = Refusal(
        outcome: NotificationOutcome(.failed, "the server spoke before the connection was safe"))

    private func deliver(
        _ talk: inout SMTPTalk, _ channel: any Channel, _ received: ReceivedBytes
    ) async throws -> NotificationOutcome {
        _ = try await talk.expect(220)
        var offer = try await talk.ask("EHLO reeve", 250)
        var isSafe = place.scheme == "smtps"
        if !isSafe, mail.security != .never, offer.offers("STARTTLS") != nil {
            _ = try await talk.ask("STARTTLS", 220)
            // What came in the clear behind the answer was not said by the server (CVE-2011-0411).
            guard talk.isEmpty else { throw Self.early }
            let (host, caFile, taken) = (place.host, mail.caFile, talk.taken)
            try await channel.eventLoop.submit {
                // Nor what has arrived since, and waits to be read: from here on all goes through TLS.
                guard received.count == taken else { throw Self.early }
                try channel.pipeline.syncOperations.addHandler(Self.secured(host, caFile), position: .first)
            }.get()
            isSafe = true
            offer = try await talk.ask("EHLO reeve", 250)
        }
        guard isSafe || mail.security != .required else {
            throw Refusal(outcome: NotificationOutcome(.refused, "the server does not offer STARTTLS"))
        }
        if let username = mail.username, let password = mail.password {
            guard isSafe || mail.security == .never else {
                throw Refusal(
                    outcome: NotificationOutcome(
                        .refused, "the server offers no STARTTLS, and no password goes without"))
            }
            try await logIn(username, password, offer, &talk)
        }
        _ = try await talk.ask("MAIL FROM:<\(mail.from)>", 250)
        let refused = try await name(mail.to, &talk)
        _ = try await talk.ask("DATA", 354)
        let reply = try await talk.ask(mail.message + (mail.message.hasSuffix("\r\n") ? "." : "\r\n."), 250)
        // The mail is taken; whether the server hears the farewell is all the same.
        try? await talk.say("QUIT")
        let answer = reply.lines.first ?? ""
        guard !refused.isEmpty else { return NotificationOutcome(.delivered, status: reply.code, answer) }
        let warning = "the mail is not taken for \(refused.joined(separator: ", "))"
        return NotificationOutcome(.delivered, status: reply.code, "\(warning); \(answer)", warning: warning)
    }

    /// Says whom the mail is for. One who is refused keeps it from nobody else.
    ///
    /// - Returns: Those who are refused, each with the reply.
    /// - Throws: ``Refusal`` where all are.
    private func name(_ addresses: [String], _ talk: inout SMTPTalk) async throws -> [String] {
        var refusals: [(address: String, outcome: NotificationOutcome)] = []
        for address in addresses {
            do { _ = try await talk.ask("RCPT TO:<\(address)>", 250, 251) } catch let refusal as Refusal {
                // Without a reply there is nobody to talk to; 421 says that it ends (RFC 5321 §3.8).
                guard let status = refusal.outcome.status, status != 421 else { throw refusal }
                refusals.append((address, refusal.outcome))
            }
        }
        guard refusals.count < addresses.count else {
            // One who may be taken later is reason enough to come again.
            throw Refusal(
                outcome: refusals.first { $0.outcome.state == .failed }?.outcome ?? refusals[0].outcome)
        }
        return refusals.map { "\($0.address) (\($0.outcome.status ?? 0) \($0.outcome.answer))" }
    }

    private func logIn(
        _ username: String, _ password: String, _ offer: Reply, _ talk: inout SMTPTalk
    ) async throws {
        let ways = Set(
            (offer.offers("AUTH") ?? "").uppercased().split(separator: " ").dropFirst().map(String.init))
        func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
        if ways.contains("PLAIN") {
            _ = try await talk.ask("AUTH PLAIN \(encoded("\0\(username)\0\(password)"))", 235)
        } else if ways.contains("LOGIN") {
            _ = try await talk.ask("AUTH LOGIN", 334)
            _ = try await talk.ask(encoded(username), 334)
            _ = try await talk.ask(encoded(password), 235)
        } else {
            throw Refusal(outcome: NotificationOutcome(.refused, "the server offers neither AUTH PLAIN nor AUTH LOGIN"))
        }
    }
}

/// Counts what a connection has brought, read or not.
final class ReceivedBytes: Sendable {
    private let bytes = Mutex(0)

    var count: Int { bytes.withLock { $0 } }
    func add(_ more: Int) { bytes.withLock { $0 += more } }
}

private final class ReceivedBytesHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let received: ReceivedBytes

    init(_ received: ReceivedBytes) { self.received = received }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.add(unwrapInboundIn(data).readableBytes)
        context.fireChannelRead(data)
    }
}

/// Commands and replies over a connection.
struct SMTPTalk {
    var lines: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var buffer = ByteBuffer()
    /// Bytes that were taken from the connection.
    private(set) var taken = 0

    init(
        lines: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        (self.lines, self.outbound) = (lines, outbound)
    }

    /// Whether nothing came that was not read.
    var isEmpty: Bool { buffer.readableBytes == 0 }

    func say(_ line: String) async throws { try await outbound.write(ByteBuffer(string: line + "\r\n")) }

    mutating func ask(_ line: String, _ codes: Int...) async throws -> SMTPDelivery.Reply {
        try await say(line)
        return try await expect(codes)
    }

    mutating func expect(_ code: Int) async throws -> SMTPDelivery.Reply { try await expect([code]) }

    private mutating func expect(_ codes: [Int]) async throws -> SMTPDelivery.Reply {
        let reply = try await reply()
        guard codes.contains(reply.code) else {
            // Of 4xx the server says itself that it passes (RFC 5321 §4.2.1).
            let text = reply.lines.first ?? ""
            let state: NotificationOutcome.State = (500..<600).contains(reply.code) ? .refused : .failed
            throw SMTPDelivery.Refusal(outcome: NotificationOutcome(state, status: reply.code, text))
        }
        return reply
    }

    private mutating func reply() async throws -> SMTPDelivery.Reply {
        var texts: [String] = []
        var taken = 0
        while true {
            guard let line = nextLine() else {
                guard buffer.readableBytes + taken <= SMTPDelivery.replyBytesMax else {
                    throw SMTPDelivery.Refusal(outcome: NotificationOutcome(.failed, "the reply is too long"))
                }
                guard var part = try await lines.next() else {
                    throw SMTPDelivery.Refusal(
                        outcome: NotificationOutcome(.failed, "no answer in time, or the connection was closed"))
                }
                self.taken += part.readableBytes
                buffer.writeBuffer(&part)
                continue
            }
            taken += line.utf8.count
            guard taken <= SMTPDelivery.replyBytesMax, line.utf8.count >= 3, let code = Int(line.prefix(3)) else {
                throw SMTPDelivery.Refusal(outcome: NotificationOutcome(.failed, "this is no mail server's reply"))
            }
            let rest = line.dropFirst(3)
            texts.append(String(rest.dropFirst()))
            if rest.first != "-" { return SMTPDelivery.Reply(code: code, lines: texts) }
        }
    }

    private mutating func nextLine() -> String? {
        guard let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let length = end - buffer.readerIndex
        let line = buffer.readString(length: length) ?? ""
        buffer.moveReaderIndex(forwardBy: 1)
        buffer.discardReadBytes()
        return line.hasSuffix("\r") ? String(line.dropLast()) : line
    }
}
