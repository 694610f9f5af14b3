import Kernel
import Testing

@testable import Server

@Suite("The route table")
struct RouteTableTests {
    private static func route(_ method: APIRequest.Method, _ path: String) -> Route {
        Route(method, path, .open, path) { _ in .noContent }
    }

    private static let table = RouteTable([
        route(.get, "/"), route(.get, "/a"), route(.post, "/a"), route(.get, "/a/{id}"), route(.get, "/a/fixed"),
        route(.post, "/a/{id}/done"), route(.get, "/a/fixed/{x}"), route(.get, "/{any}/{id}/last"),
        route(.get, "/files/{path*}"), route(.get, "/files/one/{x}/end"),
    ])

    @Test(
        "fixed segments win, placeholders take one segment, a rest takes all",
        arguments: [
            ("/", "/", [:]), ("/a", "/a", [:]), ("/a/7", "/a/{id}", ["id": "7"]), ("/a/fixed", "/a/fixed", [:]),
            ("/a/fixed/7", "/a/fixed/{x}", ["x": "7"]), ("/a/7/last", "/{any}/{id}/last", ["any": "a", "id": "7"]),
            ("/a/fixed/last", "/a/fixed/{x}", ["x": "last"]), ("/a/%41%2Fb", "/a/{id}", ["id": "A/b"]),
            ("/files/x/y/z", "/files/{path*}", ["path": "x/y/z"]),
            ("/files/one/2/end", "/files/one/{x}/end", ["x": "2"]),
            ("/files/one/2/other", "/files/{path*}", ["path": "one/2/other"]),
        ] as [(String, String, [String: String])])
    func finds(_ path: String, _ pattern: String, _ expected: [String: String]) {
        guard case .found(let route, let parameters) = Self.table.match(.get, path) else {
            Issue.record("\(path) was not found")
            return
        }
        #expect(route.path == pattern)
        #expect(parameters == expected)
    }

    @Test("what is not there", arguments: ["", "x", "*", "/b", "/a/", "/a//last", "//", "/a/7/8", "/files", "/files/"])
    func misses(_ path: String) {
        switch Self.table.match(.get, path) {
        case .found(let route, _): Issue.record("\(path) is \(route.path)")
        default: break
        }
    }

    @Test("another method of the same path is told")
    func otherMethods() {
        guard case .otherMethods(let methods) = Self.table.match(.put, "/a") else {
            Issue.record("expected the other methods")
            return
        }
        #expect(methods == [.get, .post])
        guard case .otherMethods(let unknown) = Self.table.match(nil, "/a/7/done") else {
            Issue.record("expected the other methods")
            return
        }
        #expect(unknown == [.post])
    }
}
