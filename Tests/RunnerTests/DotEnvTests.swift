import Testing

@testable import Runner

@Suite struct DotEnvTests {
    private static func text(_ text: String) throws -> String {
        try DotEnv.parse(text).map { "\($0.name)=\($0.value)" }.joined(separator: "|")
    }

    @Test(arguments: [
        ("", ""), ("# a comment\n\n  # another", ""), ("A=1\nB=2", "A=1|B=2"), ("export A=1\r\nB=2\r\n", "A=1|B=2"),
        ("A = spaced out ", "A=spaced out"), ("A=", "A="), ("A=x#y", "A=x#y"), ("A=x #y", "A=x"),
        ("A='x #y $Z \\n'", "A=x #y $Z \\n"), (#"A="x\ny \"q\" \$Z \d" # c"#, "A=x\ny \"q\" $Z \\d"),
        ("A=\"one\ntwo\"\nB='3\n4'", "A=one\ntwo|B=3\n4"), ("A=1\nA=2", "A=2"), ("A=$B", "A=$B"),
        ("URL=postgres://u:p@h/d?a=b", "URL=postgres://u:p@h/d?a=b"), ("a.b-c=1", "a.b-c=1"),
    ])
    func reads(source: String, expected: String) throws { #expect(try Self.text(source) == expected) }

    @Test(arguments: [("A=1\nnothing", 2), ("=1", 1), ("1A=1", 1), ("A B=1", 1), ("A=\"x\nB=2", 1), ("\nA='x' y", 2)])
    func refuses(source: String, line: Int) {
        do {
            _ = try Self.text(source)
            Issue.record("it was read")
        } catch {
            #expect((error as? DotEnv.Failure)?.line == line)
        }
    }
}
