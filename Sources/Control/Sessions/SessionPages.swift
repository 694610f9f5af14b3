import Kernel
import Telemetry

/// Sessions: the list of them, and each step by step.
public struct SessionPages: Sendable {
    let shell: PageShell
    let service: SessionService

    public init(shell: PageShell, service: SessionService) {
        (self.shell, self.service) = (shell, service)
    }

    public var routes: [Route] {
        [
            shell.route("/sessions", .operateOrView, "The sessions of agents", handler: showList),
            shell.route("/sessions/{id}", .operateOrView, "One session, step by step", handler: show),
        ]
    }

    private func showList(_ request: APIRequest) async throws -> APIReply {
        let query = try SessionQuery(request, now: shell.world.now)
        let found = try await service.list(query)
        let view = SessionListView(
            agent: query.agent ?? "", isFiltered: query.agent != nil, isCut: !found.isComplete,
            hasSessions: !found.sessions.isEmpty,
            sessions: found.sessions.map { SessionRowView($0, now: shell.world.now) },
            noSessions: query.agent == nil
                ? EmptyView(
                    headline: "No sessions yet",
                    explanation: "Spans that name a conversation (gen_ai.conversation.id, session.id), and traces that "
                        + "begin with an agent's span, are sessions.")
                : EmptyView(headline: "No session is like that", explanation: "Change the filter, or clear it."))
        return try await shell.page(
            "Sessions", at: .sessions, template: "sessions", view: view, topics: [], request: request)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let session = try await service.session(request.parameter("id"))
        let view = ReplayPageView(
            title: "Session", short: PageText.clipped(session.id, 40), source: "/api/v1/sessions/\(session.id.asPath)",
            tree: session.traces.count == 1 ? "/traces/\(session.traces[0])" : nil)
        return try await shell.page(
            "Session", at: .sessions, template: "replay", view: view, topics: [], request: request)
    }
}

extension String {
    /// As a step of a path: whatever is no letter or digit is escaped (RFC 3986 §2.1).
    var asPath: String {
        let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_".utf8)
        return utf8.reduce(into: "") { path, byte in
            path +=
                plain.contains(byte)
                ? String(UnicodeScalar(byte)) : "%" + Hexadecimal.encode([byte]).uppercased()
        }
    }
}

// MARK: - Views

struct ReplayPageView: PageView {
    let title: String
    let short: String
    let source: String
    /// Where its one trace is shown as a tree.
    let tree: String?
}

struct SessionListView: PageView {
    let agent: String
    let isFiltered: Bool
    let isCut: Bool
    let hasSessions: Bool
    let sessions: [SessionRowView]
    let noSessions: EmptyView
}

struct SessionRowView: PageView {
    let id: String
    let path: String
    let kind: String
    let agent: LinkView?
    let state: String
    let stateLabel: String
    let turns: String
    let tools: String
    let errors: String?
    let tokens: String?
    let cost: String
    let took: String
    let began: TimeView

    init(_ session: Session, now: Timestamp) {
        id = PageText.clipped(session.id, 48)
        path = "/sessions/\(session.id.asPath)"
        kind = session.isTrace ? "trace" : PageText.plural(session.traces.count, "trace")
        agent = .agent(session.agents.first)
        let isBroken = session.errors > 0 && session.state == .ended
        state = isBroken ? "failed" : session.state == .ended ? "done" : session.state.rawValue
        stateLabel = isBroken ? "With errors" : PageText.label(session.state.rawValue)
        turns = PageText.count(Int64(session.turns))
        tools = PageText.count(Int64(session.tools))
        errors = session.errors > 0 ? PageText.plural(session.errors, "error") : nil
        tokens = session.usage.total > 0 ? CallText.tokens(session.usage.total) : nil
        let known = session.nanoUSD.map { CallText.money($0) }
        cost = known.map { session.unpriced > 0 ? "\($0) at least" : $0 } ?? "–"
        took = CallText.milliseconds((session.endedAt - session.startedAt) / 1_000_000)
        began = .ago(Timestamp(microseconds: session.startedAt / 1_000), now: now)
    }
}
