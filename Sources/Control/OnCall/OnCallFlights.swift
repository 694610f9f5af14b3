/// The notices that are on their way: so many at one time, fewer by one way, and of one escalation one after the other
/// by each, so that who is told hears things in their order.
struct OnCallFlights: Sendable {
    private struct Line: Hashable {
        let escalation: String
        let channel: OnCallChannel?
    }

    private var ways: [OnCallChannel: Int] = [:]
    private var lines: Set<Line> = []

    var isEmpty: Bool { lines.isEmpty }
    /// Ways that take no more at present.
    var full: [OnCallChannel] { ways.filter { $0.value >= OnCallService.sendsOneWayMax }.map(\.key) }

    private static func line(_ notice: OnCallNotice) -> Line {
        Line(escalation: notice.escalation.text, channel: notice.channel)
    }

    func mayBegin(_ notice: OnCallNotice) -> Bool {
        guard lines.count < OnCallService.sendsMax, !lines.contains(Self.line(notice)) else { return false }
        return notice.channel.map { ways[$0, default: 0] < OnCallService.sendsOneWayMax } ?? true
    }

    mutating func begin(_ notice: OnCallNotice) {
        lines.insert(Self.line(notice))
        if let channel = notice.channel { ways[channel, default: 0] += 1 }
    }

    mutating func end(_ notice: OnCallNotice) {
        lines.remove(Self.line(notice))
        guard let channel = notice.channel, let count = ways[channel] else { return }
        ways[channel] = count > 1 ? count - 1 : nil
    }
}
