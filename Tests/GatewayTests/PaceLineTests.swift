import Testing

@testable import Gateway

/// Who waits for a target's limits goes in the order in which they came.
@Suite struct PaceLineTests {
    @Test func firstComeFirstServed() {
        var line = PaceLine<Int>()
        let tickets = (0..<5).map { line.enter($0) }
        #expect(line.leave(tickets[1]) == 1)
        #expect(line.leave(tickets[1]) == nil)
        #expect(line.leave(tickets[0]) == 0)
        #expect(line.head()?.call == 2)
        #expect([line.leaveHead(), line.leaveHead(), line.leaveHead(), line.leaveHead()] == [2, 3, 4, nil])
        #expect(line.count == 0)
    }

    @Test func whoHasGoneLeavesNothing() {
        var line = PaceLine<Int>()
        for number in 0..<10_000 {
            let ticket = line.enter(number)
            if number % 3 == 0 { _ = line.leave(ticket) } else { #expect(line.leaveHead() == number) }
        }
        #expect(line.count == 0 && line.head() == nil)
        _ = line.enter(1)
        #expect(line.leaveHead() == 1)
    }
}
