import Kernel
import Testing

@testable import Runner

@Suite struct PresentTests {
    private let now = Timestamp(rfc3339: "2026-11-20T08:15:30Z") ?? Timestamp(microseconds: 0)

    @Test func tablesAlignAndEndWithoutBlanks() {
        let table = TextTable(["NAME", "N"], [["a", "1"], ["日本", "22"], ["long name", ""], ["x\u{1B}y\n", "3"]])
        #expect(table.lines() == ["NAME       N", "a          1", "日本       22", "long name", "x·y·       3"])
        #expect(table.lines(width: 6)[3] == "long …")
    }

    @Test(arguments: [
        (0.0, "0 s"), (99, "99 s"), (100, "1 m"), (5_999, "99 m"), (6_000, "1 h"), (172_799, "47 h"), (172_800, "2 d"),
    ])
    func agesAreShort(seconds: Double, words: String) {
        #expect(Words.span(seconds) == words)
    }

    @Test func valuesReadWell() {
        #expect(Words.bytes(512) == "512 B" && Words.bytes(3_400_000) == "3.4 MB" && Words.bytes(nil) == "-")
        #expect(Words.dollars(1_234_567_890) == "$1.2345" && Words.dollars(.null) == "-")
        #expect(
            Words.dollars(750) == "$0.00000075" && Words.dollars(0) == "$0.00" && Words.dollars(-5) == "-$0.000000005")
        #expect(Words.age("2026-11-20T08:15:00Z", at: now) == "30 s")
        #expect(Words.age("2026-11-20T08:16:30Z", at: now) == "in 60 s")
        #expect(Words.age(.null, at: now) == "-")
        #expect(Words.plain(["a": [1, "b"], "c": .null]) == "a=1, b c=-")
        #expect(
            Words.details(["name": "crane", "empty": .null, "createdAt": "2026-11-20T08:15:00.000000Z"], at: now)
                == "name       crane\ncreatedAt  2026-11-20 08:15:00 (30 s)")
    }

    @Test func listsSayHowToFillThem() {
        #expect(ListView.agents.text([], at: now).contains("reeve run"))
        let agent: JSONValue = [
            "name": "crane", "status": "busy", "statusSince": "2026-11-20T08:15:00.000000Z", "cpuPercent": 12.34,
            "memoryBytes": 1_500_000, "currentTasks": [["id": "t"]], "project": "p", "statusMessage": "reading",
        ]
        let line = ListView.agents.table([agent], at: now).lines()[1]
        #expect(line == "crane  busy    30 s   -      12.3 %  1.5 MB  1      p        reading")
    }

    @Test func callsAndCostsAsTables() {
        let call: JSONValue = [
            "id": "call_1", "status": "done", "startedAt": "2026-11-20T08:15:00.000000Z", "agent": "writer",
            "model": "small", "target": "main/small", "durationMs": 120, "failure": .null, "cost": .null,
            "usage": ["buckets": ["input": 10, "output": 5, "toolUses": ["webSearch": 1]], "estimated": true],
        ]
        let line = ListView.calls.table([call], at: now).lines()[1]
        #expect(line == "call_1  done    30 s   writer  small  main/small  ~15     ?     120  -")
        let sums: JSONValue = [
            "name": .null, "nanoUSD": 1_500, "calls": 3, "failed": 1, "tokens": ["total": 45],
            "lost": ["retriesNanoUSD": 200, "abortedNanoUSD": 300], "savedNanoUSD": 0, "unpricedCalls": 1,
            "acceptedDeliverables": .null, "nanoUSDPerAccepted": .null,
        ]
        let lines = ListView.costs(by: "tag").table([sums], at: now).lines()
        #expect(lines[0] == "TAG  COST        CALLS  FAILED  TOKENS  LOST        SAVED  UNPRICED  ACCEPTED  EACH")
        #expect(lines[1] == "-    $0.0000015  3      1       45      $0.0000005  $0.00  1         -         -")
    }

    @Test func theScreenFits() {
        var view = TopView(url: "http://r")
        view.agents = (0..<60).map { ["name": .string("agent-\($0)"), "status": $0 == 59 ? "offline" : "idle"] }
        view.queues = (0..<9).map { ["name": .string("q\($0)"), "ready": 2, "running": 1, "inReview": 0] }
        view.events = (0..<99).map { ["seq": .int($0), "type": "task.done", "at": now.json, "actor": "a"] }
        for (columns, rows) in [(80, 24), (200, 60), (40, 12), (20, 5), (10, 1)] {
            let lines = TopScreen.lines(view, columns: columns, rows: rows, at: now)
            #expect(lines.count <= rows)
            #expect(lines.allSatisfy { TextWidth.of($0) <= max(20, columns) })
        }
        let lines = TopScreen.lines(view, columns: 120, rows: 40, at: now)
        #expect(lines[0].contains("1 offline, 59 idle") || lines[0].contains("59 idle, 1 offline"))
        #expect(lines[0].contains("18 ready, 9 running"))
        // What needs a look stands first.
        #expect(lines[3].contains("agent-59"))
        #expect(lines.last?.contains("task.done") == true)
    }
}
