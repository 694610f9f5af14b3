import Kernel
import Testing

@testable import Gateway

@Suite("What is ordered of models")
struct ModelOrdersTests {
    private static func at(_ seconds: Int64) -> Timestamp { BreakerTests.at(seconds) }

    @Test("a breaker that is ordered open stays so, and is given back half open")
    func breaker() throws {
        var breaker = Breaker(.init(failuresInRow: 3))
        let before = try BreakerTests.admitted(&breaker, at: Self.at(0))
        breaker.hold(at: Self.at(0))
        #expect(breaker.snapshot(at: Self.at(0)).cause == .ordered)
        // What was under way says nothing any more, and no time opens it.
        breaker.record(before, BreakerTests.well, at: Self.at(1))
        #expect(breaker.admit(at: Self.at(86_400)) == nil)
        breaker.release(at: Self.at(86_400))
        let probe = try BreakerTests.admitted(&breaker, at: Self.at(86_400))
        #expect(probe.isProbe && breaker.admit(at: Self.at(86_400)) == nil)
        breaker.record(probe, BreakerTests.well, at: Self.at(86_401))
        #expect(breaker.isClosed)
    }

    @Test("a release changes nothing that opened by itself, or that somebody reset")
    func others() {
        var ill = Breaker(.init(failuresInRow: 1))
        _ = BreakerTests.run(&ill, [BreakerTests.ill], at: Self.at(0))
        ill.release(at: Self.at(1))
        #expect(ill.admit(at: Self.at(1)) == nil)
        var reset = Breaker()
        reset.hold(at: Self.at(0))
        reset.reset(at: Self.at(1))
        reset.release(at: Self.at(2))
        #expect(reset.isClosed)
    }

    @Test("orders are followed until they are changed")
    func orders() {
        let orders = ModelOrders()
        #expect(orders.isEmpty && orders.route(of: "a") == nil && !orders.isPaused("a"))
        orders.set(paused: ["b"], routes: ["a": "c"])
        #expect(orders.route(of: "a") == "c" && orders.isPaused("b") && orders.paused == ["b"])
        orders.set(paused: [], routes: [:])
        #expect(orders.isEmpty && orders.route(of: "a") == nil)
    }
}
