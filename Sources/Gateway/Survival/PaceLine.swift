/// Calls that wait for one target's limits, in the order in which they came. Pure; its length is bounded by who enters
/// (``Pacer/Queue``).
struct PaceLine<Waiting: Sendable>: Sendable {
    struct Ticket: Sendable, Hashable {
        fileprivate let number: UInt64
    }

    private var waiting: [Ticket: Waiting] = [:]
    /// With those that left since; the first that is still there is the head.
    private var order: [Ticket] = []
    private var first = 0
    private var last: UInt64 = 0

    var count: Int { waiting.count }

    mutating func enter(_ call: Waiting) -> Ticket {
        last += 1
        let ticket = Ticket(number: last)
        waiting[ticket] = call
        order.append(ticket)
        return ticket
    }

    mutating func leave(_ ticket: Ticket) -> Waiting? { waiting.removeValue(forKey: ticket) }

    /// Who is next.
    mutating func head() -> (ticket: Ticket, call: Waiting)? {
        while first < order.count {
            if let call = waiting[order[first]] { return (order[first], call) }
            first += 1
        }
        order.removeAll(keepingCapacity: true)
        first = 0
        return nil
    }

    mutating func leaveHead() -> Waiting? {
        guard let head = head() else { return nil }
        first += 1
        // What has left takes no more room than what waits.
        if first > 64, first * 2 > order.count {
            order.removeFirst(first)
            first = 0
        }
        return waiting.removeValue(forKey: head.ticket)
    }
}
