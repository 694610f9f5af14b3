import Testing

@testable import Kernel

/// What every list and every edit of the interface does alike.
struct ConventionTests {
    @Test(
        arguments: [
            (read: 0, items: 0, next: nil), (read: 2, items: 2, next: nil), (read: 3, items: 3, next: nil),
            (read: 4, items: 3, next: "3"),
        ] as [(read: Int, items: Int, next: String?)])
    func onlyAPageBehindWhichIsMoreHasANextOne(read: Int, items: Int, next: String?) {
        let page = Page(limit: 3).cut(Array(1..<(read + 1))) { String($0) }
        #expect(page.items == Array(1..<(items + 1)))
        #expect(page.next == next)
    }

    @Test(arguments: [nil, "*", "\"7\"", "\"6\", \"7\"", " \"7\" ", "\"1\",*"])
    func theTagIsTaken(ifMatch: String?) throws {
        try EntityTag.check(ifMatch, against: "\"7\"", of: "the queue \"a\"")
    }

    @Test(arguments: ["", "\"6\"", "7", "W/\"7\"", "\"77\""])
    func anotherTagIsRefused(ifMatch: String) {
        let problem = #expect(throws: Problem.self) {
            try EntityTag.check(ifMatch, against: "\"7\"", of: "the queue \"a\"")
        }
        #expect(problem?.code == .preconditionFailed)
        #expect(problem?.detail == "The queue \"a\" has changed since it was read.")
    }
}
