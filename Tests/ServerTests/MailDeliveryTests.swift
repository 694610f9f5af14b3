import Foundation
import Kernel
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Control
@testable import Server

@Suite("Mail to servers that do not do as they should")
struct MailDeliveryTests {
    /// What a server says to lines that begin so, each piece sent by itself.
    typealias Script = [(begin: String, pieces: [String])]

    private static func send(
        _ script: Script, to: [String] = ["ada@example.org", "eve@example.org", "bob@example.org"],
        password: String? = nil, security: AlertReceiver.MailSecurity = .never
    ) async throws -> (outcome: NotificationOutcome, heard: [String]) {
        let server = try await MailServer(script)
        let mail = NotificationMail(
            url: "smtp://127.0.0.1:\(server.port)", from: "reeve@example.org", to: to, message: "Subject: x\r\n\r\nx",
            username: password.map { _ in "reeve" }, password: password, security: security, allowPrivate: true,
            timeout: .seconds(5), caFile: nil)
        let outcome = await NotificationTransport().send(mail)
        let heard = server.heard
        try await server.close()
        return (outcome, heard)
    }

    @Test("one who is refused keeps the mail from nobody else, and is named")
    func oneRefused() async throws {
        let script: Script = [("RCPT TO:<eve@", ["550 no such user\r\n"])]
        let (outcome, heard) = try await Self.send(script)
        #expect((outcome.state, outcome.status) == (.delivered, 250))
        #expect(outcome.warning == "the mail is not taken for eve@example.org (550 no such user)")
        #expect(outcome.answer.hasPrefix("the mail is not taken for eve@example.org"))
        #expect(heard.count { $0.hasPrefix("RCPT") } == 3)
        #expect(heard.contains("DATA"))
        #expect(try await Self.send([]).outcome.warning == nil)
    }

    @Test(
        "where all are refused it is tried again if one may be taken later",
        arguments: [
            (["550", "550", "550"], .refused, 550), (["550", "450", "550"], .failed, 450),
            (["250", "421", "250"], .failed, 421),
        ] as [([String], NotificationOutcome.State, Int)])
    func allRefused(_ codes: [String], _ state: NotificationOutcome.State, _ status: Int) async throws {
        let script: Script = zip(["ada", "eve", "bob"], codes).map { ("RCPT TO:<\($0)@", ["\($1) so\r\n"]) }
        let (outcome, heard) = try await Self.send(script)
        #expect((outcome.state, outcome.status) == (state, status))
        #expect(!heard.contains("DATA"))
    }

    @Test(
        "what is said before the connection is safe is not taken for what is said behind it (CVE-2011-0411)",
        arguments: [
            ["220 go\r\n250 AUTH PLAIN\r\n"], ["220 go\r\n", "250-evil\r\n250 AUTH PLAIN\r\n"],
            ["220 go\r\n", "2", "50 AUTH PLAIN\r\n235 in\r\n"],
        ], [AlertReceiver.MailSecurity.offered, .required])
    func injected(_ pieces: [String], _ security: AlertReceiver.MailSecurity) async throws {
        let script: Script = [("EHLO", ["250-here\r\n250 STARTTLS\r\n"]), ("STARTTLS", pieces)]
        for _ in 0..<10 {
            let (outcome, heard) = try await Self.send(script, password: "s3cret", security: security)
            #expect(outcome.state == .failed, "\(outcome)")
            #expect(!heard.contains { $0.hasPrefix("AUTH") || $0.hasPrefix("MAIL") }, "\(heard)")
        }
    }

    @Test("nothing is said in the clear where that is not allowed")
    func withoutTLS() async throws {
        let plain: Script = [("EHLO", ["250-here\r\n250 AUTH PLAIN\r\n"])]
        for (password, security) in [(nil, AlertReceiver.MailSecurity.required), ("s3cret", .offered)] {
            let (outcome, heard) = try await Self.send(plain, password: password, security: security)
            #expect(outcome.state == .refused)
            #expect(heard == ["EHLO reeve"])
        }
    }

    @Test("a reply that does not end, or is none, ends the attempt")
    func noReplies() async throws {
        let endless: Script = [("EHLO", [String(repeating: "250-x\r\n", count: 10_000)])]
        #expect(try await Self.send(endless).outcome.state == .failed)
        #expect(
            try await Self.send([("EHLO", ["HTTP/1.1 200 OK\r\n"])]).outcome.answer == "this is no mail server's reply")
    }
}

/// A mail server that says what a script says, and takes what that says nothing of.
private final class MailServer: Sendable {
    private let channel: any Channel
    private let lines: Lines

    final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    init(_ script: MailDeliveryTests.Script) async throws {
        let lines = Lines()
        self.lines = lines
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Talk(script, lines))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    var heard: [String] { lines.all.withLock { $0 } }
    func close() async throws { try await channel.close() }

    private final class Talk: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let script: MailDeliveryTests.Script
        private let lines: Lines
        private var rest = ""
        private var isData = false

        init(_ script: MailDeliveryTests.Script, _ lines: Lines) { (self.script, self.lines) = (script, lines) }

        func channelActive(context: ChannelHandlerContext) { say("220 here\r\n", context) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            rest += String(buffer: unwrapInboundIn(data))
            while let end = rest.range(of: "\r\n") {
                let line = String(rest[..<end.lowerBound])
                rest = String(rest[end.upperBound...])
                hear(line, context)
            }
        }

        private func hear(_ line: String, _ context: ChannelHandlerContext) {
            if isData {
                guard line == "." else { return }
                isData = false
                return say("250 taken\r\n", context)
            }
            lines.all.withLock { $0.append(line) }
            if let known = script.first(where: { line.hasPrefix($0.begin) }) {
                for piece in known.pieces { say(piece, context) }
            } else {
                isData = line == "DATA"
                say(isData ? "354 go on\r\n" : "250 so be it\r\n", context)
            }
        }

        private func say(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }
    }
}
