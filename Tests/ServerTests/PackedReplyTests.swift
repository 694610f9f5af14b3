import Kernel
import Testing

@testable import Server

@Suite("Packed replies")
struct PackedReplyTests {
    @Test(
        "a client takes gzip where it says so",
        arguments: [
            ("gzip", true), ("deflate, gzip;q=0.5", true), ("*", true), ("GZIP", true), ("x-gzip", true),
            ("identity", false), ("", false), ("gzip;q=0", false), ("gzip; q=0.0, *", false), ("*;q=0", false),
            ("br, gzipped", false), (String(repeating: "gzip,", count: 1_000), false),
        ])
    func takesGzip(_ header: String, _ isTaken: Bool) {
        #expect(APIReply.takesGzip(header) == isTaken)
    }
}
